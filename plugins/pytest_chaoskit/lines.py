"""One run in few words: JUnit properties, the line of the summary, the section of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_chaoskit import folders

if TYPE_CHECKING:
    import pytest

    from chaoskit import Run

Properties = list[tuple[str, str]]
MOST = 10  # runs of one test that JUnit and the summary tell one by one, the worst first
WORST = ("fail", "unknown", "pass")
KNOWN_BY = {"socket_oracle": "the socket oracle", "first_byte": "the first byte", "log_line": "a log line"}


def properties(config: pytest.Config, runs: Sequence[Run]) -> Properties:
    """Five strings a run: what xdist and JUnit carry."""
    ordered = sorted(runs, key=lambda run: WORST.index(run.result.outcome))
    return [pair for run in ordered[:MOST] for pair in _five(config, run)]


def _five(config: pytest.Config, run: Run) -> Properties:
    result = run.result
    return [
        ("chaoskit.outcome", result.outcome),
        ("chaoskit.profile", profile(result.profile, None if result.strike is None else result.strike.signal)),
        ("chaoskit.strike", strike(result.strike)),
        ("chaoskit.exit", leaving(result.exit)),
        ("chaoskit.run", folders.shown(config, run.dir)),
    ]


def profile(made: Any, sent: str | None = None) -> str:
    """`kubernetes: SIGTERM to the leader, grace 30 s`; of a kill or a pause, what was sent instead."""
    if made is None:
        return "no profile"
    if sent not in (None, made.signal):
        return f"{made.name}: {sent}"
    to = {"all": "all processes", "group": "the process group"}.get(made.to, f"the {made.to}")
    return f"{made.name}: {made.signal} to {to}, grace {made.grace_s:g} s"


def strike(made: Any) -> str:
    """`4 of 4 in hand, known by the gate`."""
    if made is None or made.signal is None:
        return "nothing was struck"
    held = "?" if made.held is None else made.held
    count = f"{held} in hand" if made.sent is None else f"{held} of {made.sent} in hand"
    known = "" if made.known_by is None else f", known by {KNOWN_BY.get(made.known_by, 'the ' + made.known_by)}"
    return f"{count}{known}"


def leaving(made: Any) -> str:
    """`exit code 0 after 2.31 s`."""
    if made is None or (made.code is None and made.signal is None):
        return "killed at the deadline" if made is not None and made.killed_at_deadline else "no exit seen"
    how = f"exit code {made.code}" if made.signal is None else f"ended by {made.signal}"
    after = "" if made.after_s is None else f" after {made.after_s:.2f} s"
    return f"{how}{after}{', killed at the deadline' if made.killed_at_deadline else ''}"


def section(config: pytest.Config, run: Run, *, full: bool) -> str:
    """What a report tells of one run; the whole of it where the user wants more words."""
    if full:
        return run.report()
    given = dict(_five(config, run))
    return f"{run.name}: {line(given)}"


def line(given: dict[str, str]) -> str:
    """The five in one line."""
    return "; ".join(
        (
            given["chaoskit.outcome"],
            given["chaoskit.profile"],
            given["chaoskit.strike"],
            given["chaoskit.exit"],
            given["chaoskit.run"],
        )
    )


def grouped(pairs: Iterable[tuple[str, object]]) -> list[dict[str, str]]:
    """The runs that a report carries."""
    runs: list[dict[str, str]] = []
    for name, value in pairs:
        if name == "chaoskit.outcome":
            runs.append({})
        if runs and name.startswith("chaoskit."):
            runs[-1][name] = str(value)
    return [each for each in runs if "chaoskit.run" in each]
