"""`budget`: how the grace was spent, phase by phase, and where else this run would have passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaoskit.budget import Budget
from chaoskit.checks.account import Account
from chaoskit.checks.exchange import End
from chaoskit.checks.fold import account_of
from chaoskit.checks.ledger import Fate, ledger_of
from chaoskit.checks.ruling import rule
from chaoskit.checks.verdict import Finding, Verdict, passed, unknown
from chaoskit.checks.words import seconds
from chaoskit.history.events import History


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds from the stop action on; None where the phase was not seen."""

    pre_stop_s: float
    until_refusal_s: float | None
    until_last_held_s: float | None
    teardown_s: float | None
    margin_s: float | None


def phases_of(account: Account) -> Phases:
    """The phases of one run."""
    refused = [each.opened_s for each in account.after if each.how is End.REFUSED]
    clean = [] if account.first_clean_s is None else [account.first_clean_s]
    first_s = min([*refused, *clean], default=None)
    held_end_s = account.held_end_s
    exit_s = None if account.killed_at_deadline else account.exit_s
    last_s = held_end_s if held_end_s is not None else account.signal_s
    deadline_s = account.deadline_s
    return Phases(
        pre_stop_s=max(0.0, account.signal_s - account.stop_s) if account.pre_stop is not None else 0.0,
        until_refusal_s=None if first_s is None else max(0.0, first_s - account.signal_s),
        until_last_held_s=None if held_end_s is None else max(0.0, held_end_s - account.signal_s),
        teardown_s=None if exit_s is None else max(0.0, exit_s - last_s),
        margin_s=None if exit_s is None or deadline_s is None else max(0.0, deadline_s - exit_s),
    )


def budget(history: History) -> Verdict:
    """Phases, the share of observed durations that fits, and the platforms; fails only a bound that was asked for."""
    account = account_of(history)
    if account.signal is None or account.plan is None:
        return unknown("budget", Finding("not_struck", "nothing was struck"))
    phases = phases_of(account)
    findings = [Finding("phases", _phase_words(phases), "note"), *_fits(account, phases), *_platforms(history, account)]
    bound_s = account.plan.budget_s
    if bound_s is None:
        return passed("budget", _phase_words(phases), *findings)
    exit_s = None if account.killed_at_deadline else account.exit_s
    if exit_s is None:
        words = f"it did not exit by itself; asked for was an exit within {seconds(bound_s)}"
        findings.insert(0, Finding("over_budget", words, "error", _events(account)))
    elif exit_s - account.stop_s > bound_s:
        words = f"the stop took {seconds(exit_s - account.stop_s)}; asked for were at most {seconds(bound_s)}"
        findings.insert(0, Finding("over_budget", words, "error", _events(account)))
    return rule("budget", findings, _phase_words(phases))


def _events(account: Account) -> tuple[int, ...]:
    return tuple(each.index for each in (account.stop, account.signal, account.exit) if each is not None)


def _phase_words(phases: Phases) -> str:
    parts = [
        ("pre-stop", phases.pre_stop_s if phases.pre_stop_s >= 0.001 else None),  # noqa: PLR2004 - a millisecond
        ("until the first refusal", phases.until_refusal_s),
        ("until the last held answer", phases.until_last_held_s),
        ("teardown", phases.teardown_s),
        ("margin", phases.margin_s),
    ]
    return ", ".join(f"{name} {seconds(value)}" for name, value in parts if value is not None)


def _fits(account: Account, phases: Phases) -> list[Finding]:
    """Which share of the observed durations fits what the grace leaves for work in flight."""
    if account.plan is None:
        return []
    profile = account.plan.profile
    spent_s = phases.pre_stop_s if profile.pre_stop_counts else 0.0
    residual_s = Budget(profile.grace_s, pre_stop_s=spent_s, teardown_s=phases.teardown_s or 0.0).residual_s
    share = account.durations.share_within(residual_s)
    longest_s = account.durations.quantile(1.0)
    if share is None or longest_s is None:
        return []
    words = (
        f"{share:.0%} of {account.durations.count:,} observed requests (longest {seconds(longest_s)}) fit the "
        f"{seconds(residual_s)} that the grace leaves for work in flight"
    )
    return [Finding("fits", words, "note")]


def _platforms(history: History, account: Account) -> list[Finding]:
    """On which platform profiles this very run would have passed."""
    lost = ledger_of(history).of(Fate.SEVERED, Fate.HUNG, Fate.NEVER_ACCEPTED, Fate.ERROR_STATUS)
    if account.killed_at_deadline or account.exit_s is None or account.signal_fact is None or lost:
        return []
    took_s = account.exit_s - account.signal_s
    closed = account.listener_closed_s
    open_s = (closed[0] if closed else account.exit_s) - account.signal_s
    names: list[str] = []
    short: list[str] = []
    for profile in _profiles():
        if profile.signal != account.signal_fact.signal:
            continue
        pre_stop_s = profile.pre_stop_s if isinstance(profile.pre_stop_s, int | float) else 0.0
        in_time = took_s + (pre_stop_s if profile.pre_stop_counts else 0.0) <= profile.grace_s
        reachable = not profile.propagation_s or open_s + pre_stop_s >= profile.propagation_s
        (names if in_time and reachable else short).append(
            f"{profile.name} ({seconds(profile.grace_s)})" if in_time or reachable else profile.name
        )
    if not names and not short:
        return []
    words = f"with this very run: in time on {', '.join(names) or 'none'}"
    if short:
        words += f"; not on {', '.join(short)}"
    return [Finding("platforms", words, "note")]


def _profiles() -> tuple[Any, ...]:
    try:
        from chaoskit.profiles import all_profiles
    except ImportError:
        return ()
    return tuple(all_profiles())
