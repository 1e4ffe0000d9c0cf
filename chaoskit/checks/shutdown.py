"""`exits_in_time`, `exit_code`, `leaves_nothing_behind`: how the process itself ended."""

from __future__ import annotations

import signal as signals

from chaoskit.checks.account import Account
from chaoskit.checks.fold import account_of
from chaoskit.checks.struck import exit_words
from chaoskit.checks.verdict import Finding, Verdict, failed, passed, unknown
from chaoskit.checks.words import many, seconds
from chaoskit.history.events import History
from chaoskit.history.facts import LeftBehind

POLITE = ("SIGINT", "SIGHUP", "SIGTERM")
QUIET_S = 1.0  # EXPERIENCE, section 10: nothing held or answered for this long before we close
FOLLOWS_S = 0.3  # and gone within this after


def exits_in_time(history: History) -> Verdict:
    """The leader ends by itself within the grace."""
    account = account_of(history)
    missing = _missing(account, "exits_in_time")
    if missing is not None and not account.killed_at_deadline:
        return missing
    grace_s = account.plan.profile.grace_s if account.plan else 0.0
    if account.killed_at_deadline:
        return failed("exits_in_time", _killed(account, grace_s))
    took_s = (account.exit_s or 0.0) - account.stop_s
    grace_s = (account.deadline_s or 0.0) - account.stop_s  # with pre-stop where that does not count into the grace
    warnings = [each for each in (_waits_for_idle(account),) if each is not None]
    return passed("exits_in_time", f"{exit_words(account)} after {seconds(took_s)} of {seconds(grace_s)}", *warnings)


def _killed(account: Account, grace_s: float) -> Finding:
    events = tuple(each.index for each in (account.signal, account.expired, account.deadline) if each is not None)
    name = account.signal_fact.signal if account.signal_fact else "the signal"
    words = (
        f"{account.struck} did not exit within the grace of {seconds(grace_s)}: "
        f"SIGKILL ended it; it waited for {_waited_for(account)}"
    )
    return Finding("killed_at_deadline", words, "error", events, _swallowed(account, name))


def _waited_for(account: Account) -> str:
    killed_s = (account.deadline_s or account.last_s) - 0.05
    held = [each for each in account.held if each.ended_s is None or each.ended_s >= killed_s]
    if held:
        return f"{many(len(held), 'held request')} still unanswered"
    new = [each for each in account.after if each.ended_s is None or each.ended_s >= killed_s]
    if new:
        return f"{many(len(new), 'new request')} still unanswered"
    if account.children and account.children.pids:
        return f"its children, perhaps ({', '.join(account.children.names[:5])}); nothing of ours was open"
    return "nothing visible"


def _swallowed(account: Account, name: str) -> str | None:
    """A shell in front that never tells its child, or a process that ignores the signal."""
    children = account.children
    command = account.plan.command if account.plan else ""
    shell = command.split(" ", 1)[0].rsplit("/", 1)[-1] in ("sh", "bash", "dash", "zsh", "ash")
    to_leader = account.signal_fact is not None and account.signal_fact.to == "leader"
    if shell and children is not None and children.pids and to_leader:
        return f"the leader is a shell and {name} went to it alone: a shell does not pass it on (start with `exec`)."
    if account.listener is None and account.answers and not account.answers.get("refused"):
        return f"it went on as if nothing had happened: {name} may be ignored or not handled."
    return None


def _waits_for_idle(account: Account) -> Finding | None:
    """It left only after we had closed the connections that we kept open."""
    closed_s, exit_s = account.idle_closing_s, account.exit_s
    if closed_s is None or exit_s is None or not closed_s <= exit_s <= closed_s + FOLLOWS_S:
        return None
    answered_s = account.answered_before_close_s if account.client_closed is not None else account.last_answer_s
    quiet_since_s = max(account.signal_s, account.held_end_s or 0.0, answered_s or 0.0)
    if closed_s - quiet_since_s < QUIET_S:
        return None
    words = (
        f"{account.struck} exited {seconds(exit_s - closed_s)} after we closed the connections that we had kept open, with "
        f"nothing held or answered for {seconds(closed_s - quiet_since_s)} before: it seems to wait for idle clients"
    )
    events = tuple(each.index for each in (account.client_closed, account.exit) if each is not None)
    return Finding("waits_for_idle", words, "warning", events, "give idle kept-alive connections an end of their own.")


def exit_code(history: History) -> Verdict:
    """0, 128 + the signal, or death by that very signal; or what the user asked for."""
    account = account_of(history)
    missing = _missing(account, "exit_code")
    if missing is not None:
        return missing
    if account.killed_at_deadline:
        return unknown("exit_code", Finding("killed_at_deadline", "our SIGKILL at the deadline hides its exit code"))
    return _judge_code(account, account.plan.exit_code if account.plan else None)


def _judge_code(account: Account, wanted: int | None) -> Verdict:
    fact, sent = account.exit_fact, account.signal_fact
    if fact is None or sent is None or account.exit is None:
        return unknown("exit_code", Finding("unproven", "its exit was not seen"))
    by_signal = 128 + _number(sent.signal)
    code = fact.code if fact.signal is None else 128 + _number(fact.signal)
    words, events = exit_words(account), (account.exit.index,)
    if code in ((0, by_signal) if wanted is None else (wanted,)):
        return passed("exit_code", words)
    if wanted is None and fact.signal in POLITE:
        told = f"{account.struck} was ended by {fact.signal}, which is not the signal that was sent ({sent.signal})"
        return passed("exit_code", words, Finding("other_signal", told, "warning", events))
    expected = f"0, {by_signal} or an end by {sent.signal}" if wanted is None else str(wanted)
    return failed("exit_code", Finding("exit_code", f"{words}; expected {expected}", "error", events))


def _number(name: str) -> int:
    try:
        return int(signals.Signals[name])
    except KeyError:
        return -1


def leaves_nothing_behind(history: History) -> Verdict:
    """No child and no listener is there 1 s after the leader's own exit."""
    account = account_of(history)
    missing = _missing(account, "leaves_nothing_behind")
    if missing is not None:
        return missing
    if account.killed_at_deadline:
        reason = Finding("killed_at_deadline", "our SIGKILL at the deadline went to the whole tree")
        return unknown("leaves_nothing_behind", reason)
    last = account.left[-1] if account.left else None
    if last is None or not isinstance(last.fact, LeftBehind):
        return unknown("leaves_nothing_behind", Finding("unproven", "nobody looked after the exit what was left"))
    fact = last.fact
    if not fact.pids and not fact.listeners:
        return passed("leaves_nothing_behind", "nothing was left")
    if not fact.final:
        return unknown(
            "leaves_nothing_behind", Finding("unproven", "the run ended before the last look at what was left")
        )
    parts = []
    if fact.pids:
        noun = "process" if len(fact.pids) == 1 else "processes"
        parts.append(f"{len(fact.pids)} {noun} ({', '.join(dict.fromkeys(fact.names))})")
    if fact.listeners:
        noun = "listener on port" if len(fact.listeners) == 1 else "listeners on ports"
        parts.append(f"{len(fact.listeners)} {noun} {', '.join(str(port) for port in fact.listeners)}")
    words = f"{' and '.join(parts)} left behind: still there {seconds(fact.after_s)} after {account.struck} exited"
    return failed("leaves_nothing_behind", Finding("left_behind", words, "error", (last.index,)))


def _missing(account: Account, check: str) -> Verdict | None:
    if account.signal is None:
        return unknown(check, Finding("not_struck", "nothing was struck"))
    if account.exit is None:
        return unknown(check, Finding("unproven", f"the exit of {account.struck} was not seen"))
    return None
