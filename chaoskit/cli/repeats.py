"""`check --runs N --allow K`: repeats a strike, repeats what could not be judged, and says k of n."""

from __future__ import annotations

from chaoskit.checks.verdict import Outcome
from chaoskit.cli.asked import Asked
from chaoskit.cli.striking import OpenHarness, headlines, report, strike_once
from chaoskit.cli.terminal import Terminal
from chaoskit.result import RunsResult, runs_result
from chaoskit.verbs import Run

#: Every second run closes our idle connections earlier: an exit that follows both closings waited for them.
CLOSE_SHARES = (0.8, 0.5)


def repeat(asked: Asked, say: Terminal, open_harness: OpenHarness) -> tuple[RunsResult, str]:
    """Strike until N runs could be judged, at most N extra: the result and what a person reads."""
    judged: list[Run] = []
    unproven: list[Run] = []
    lines: list[str] = []
    while len(judged) < asked.runs and len(unproven) <= asked.runs:
        number = len(judged) + len(unproven) + 1
        run = strike_once(open_harness(CLOSE_SHARES[len(judged) % 2]), asked)
        (unproven if run.outcome is Outcome.UNKNOWN else judged).append(run)
        line = f"run {number}: {headlines(run, say)}"
        say.progress(line)
        lines.append(line)
    shown = judged if len(judged) >= asked.runs else [*judged, *unproven]
    result = runs_result([each.result for each in shown], asked.allow, asked.runs)
    outcome = Outcome(result.outcome)
    told = [] if say.quiet else [*lines, *_worst_report(judged, unproven, say)]
    return result, "\n".join([*told, _summary(judged, asked, outcome, say)])


def _worst_report(judged: list[Run], unproven: list[Run], say: Terminal) -> list[str]:
    worst = next((each for each in judged if each.outcome is Outcome.FAIL), unproven[0] if unproven else None)
    return [] if worst is None else ["", report(worst, say), ""]


def _summary(judged: list[Run], asked: Asked, outcome: Outcome, say: Terminal) -> str:
    failed = sum(each.outcome is Outcome.FAIL for each in judged)
    missing = "" if len(judged) >= asked.runs else f"; only {len(judged)} of {asked.runs} runs could be judged"
    return f"{say.painted(outcome.upper(), outcome)}  {len(judged) - failed} of {len(judged)} runs passed, {asked.allow} may fail{missing}"
