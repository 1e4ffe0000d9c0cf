"""What a check says: a value, never an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from chaoskit.history.events import History


class Outcome(StrEnum):
    """pass, fail, or unknown: the run proved nothing."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One accusation, warning or note; `events` are the indices that it cites."""

    kind: str
    message: str
    severity: Severity = "error"
    events: tuple[int, ...] = ()
    advice: str | None = None  # "What to look at", only where the evidence supports it


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one check with all that speaks for it. `summary` is its line in the report."""

    check: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    summary: str = ""


Check = Callable[[History], Verdict]


def passed(check: str, summary: str = "", *findings: Finding) -> Verdict:
    """A verdict that passes; findings may be warnings and notes."""
    return Verdict(check, Outcome.PASS, findings, summary)


def failed(check: str, *findings: Finding | str, summary: str = "") -> Verdict:
    """A verdict that fails; a plain string becomes a finding whose kind is the check's name."""
    made = tuple(each if isinstance(each, Finding) else Finding(check, each) for each in findings)
    return Verdict(check, Outcome.FAIL, made, summary or (made[0].message if made else ""))


def unknown(check: str, reason: Finding | str, *findings: Finding, summary: str = "") -> Verdict:
    """A verdict that proves nothing, and why."""
    made = reason if isinstance(reason, Finding) else Finding("unproven", reason)
    return Verdict(check, Outcome.UNKNOWN, (made, *findings), summary or made.message)


def fail_if(check: str, findings: Iterable[Finding], summary: str = "") -> Verdict:
    """Fail when a finding is an error, else pass; warnings and notes alone do not fail."""
    made = tuple(findings)
    errors = [each for each in made if each.severity == "error"]
    if errors:
        return Verdict(check, Outcome.FAIL, made, summary or errors[0].message)
    return Verdict(check, Outcome.PASS, made, summary)


def worst(verdicts: Iterable[Verdict]) -> Outcome:
    """Of several outcomes the worst: fail beats unknown beats pass."""
    outcomes = {each.outcome for each in verdicts}
    for outcome in (Outcome.FAIL, Outcome.UNKNOWN):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS
