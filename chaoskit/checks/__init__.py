"""What it means: pure functions from a history to a verdict."""

from __future__ import annotations

from chaoskit.checks.account import Account
from chaoskit.checks.budgeting import budget
from chaoskit.checks.connections import drains, no_resets
from chaoskit.checks.fold import account_of
from chaoskit.checks.ledger import ledger_of
from chaoskit.checks.refusals import long_work_asked, readiness_first, rejects_cleanly, stops_accepting
from chaoskit.checks.shutdown import exit_code, exits_in_time, leaves_nothing_behind
from chaoskit.checks.struck import disturbed, struck
from chaoskit.checks.verdict import Check, Finding, Outcome, Verdict, fail_if, failed, passed, unknown, worst
from chaoskit.errors import UsageError, near
from chaoskit.history.events import History

ALL: tuple[Check, ...] = (
    struck,
    no_resets,
    drains,
    rejects_cleanly,
    stops_accepting,
    readiness_first,
    exits_in_time,
    exit_code,
    leaves_nothing_behind,
    budget,
)


def by_name(name: str) -> Check:
    """The shipped check of this name.

    Raises:
        UsageError: there is none; near names are offered.
    """
    for check in ALL:
        if check.__name__ == name:
            return check
    names = [check.__name__ for check in ALL]
    raise UsageError(f"there is no check '{name}'{near(name, names)}; the checks are {', '.join(names)}")


def implied(history: History) -> tuple[Check, ...]:
    """The checks that the plan's fault and dispositions imply."""
    account = account_of(history)
    if account.signal is None or account.plan is None:
        return (struck,)
    fault = account.plan.fault
    chosen_kill = account.signal_fact is not None and account.signal_fact.signal == "SIGKILL"
    if fault == "kill" or chosen_kill:
        return (struck,)
    if fault == "pause":
        return (struck, no_resets)
    if fault == "at_start":
        return (struck, exits_in_time, exit_code, leaves_nothing_behind)
    return _of_a_stop(history, account)


def _of_a_stop(history: History, account: Account) -> tuple[Check, ...]:
    checks: list[Check] = [struck, no_resets]
    if _held_to_drain(history, account):
        checks.append(drains)
    checks.append(rejects_cleanly)
    if account.has("reject") and not account.window_is_empty and long_work_asked(account):
        checks.append(stops_accepting)
    if account.plan is not None and account.plan.readiness is not None:
        checks.append(readiness_first)
    return (*checks, exits_in_time, exit_code, leaves_nothing_behind, budget)


def _held_to_drain(history: History, account: Account) -> bool:
    """Whether anything that has to be drained was held; where nothing was, `struck` says so."""
    own = account.own_planned() and account.has("drain") and account.hand_fact is not None and account.hand_fact.own > 0
    return own or any(account.disposition(each.exchange) == "drain" for each in ledger_of(history).rows)


def judge(history: History, checks: tuple[Check, ...] | None = None) -> tuple[Verdict, ...]:
    """One verdict a check; without `checks`, those that the plan implies."""
    return tuple(check(history) for check in (implied(history) if checks is None else checks))


__all__ = [
    "ALL",
    "Check",
    "Finding",
    "Outcome",
    "Verdict",
    "budget",
    "by_name",
    "disturbed",
    "drains",
    "exit_code",
    "exits_in_time",
    "fail_if",
    "failed",
    "implied",
    "judge",
    "leaves_nothing_behind",
    "no_resets",
    "passed",
    "readiness_first",
    "rejects_cleanly",
    "stops_accepting",
    "struck",
    "unknown",
    "worst",
]
