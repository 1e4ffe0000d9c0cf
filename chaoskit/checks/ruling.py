"""How findings and doubts make one verdict: an error fails; without one, a doubt makes it unknown."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.checks.account import Account
from chaoskit.checks.verdict import Finding, Outcome, Verdict, unknown


def rule(check: str, findings: Sequence[Finding], words: str, doubts: Sequence[Finding] = ()) -> Verdict:
    """The verdict; `words` is its line where nothing is accused."""
    errors = [each for each in findings if each.severity == "error"]
    if errors:
        rest = [each for each in (*findings, *doubts) if each is not errors[0]]
        return Verdict(check, Outcome.FAIL, (errors[0], *rest), errors[0].message)
    if doubts:
        return unknown(check, doubts[0], *doubts[1:], *findings)
    return Verdict(check, Outcome.PASS, tuple(findings), words)


def not_struck(account: Account, check: str) -> Verdict | None:
    """Unknown where no signal was sent; None where one was."""
    if account.signal is not None:
        return None
    return unknown(check, Finding("not_struck", "nothing was struck"))
