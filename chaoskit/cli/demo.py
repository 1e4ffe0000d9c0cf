"""`chaoskit demo`: strikes three real servers, one good and two guilty, and shows what happened to their work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chaoskit.checks.verdict import Outcome
from chaoskit.cli import FAIL, PASS, UNKNOWN
from chaoskit.cli.options import terminal, terminal_options
from chaoskit.cli.striking import OpenHarness, headlines, near_path, striking
from chaoskit.cli.terminal import Terminal
from chaoskit.drivers.command import Command
from chaoskit.errors import UsageError
from chaoskit.history.facts import InstanceExited, RequestLost, SignalSent
from chaoskit.profiles import process
from chaoskit.reports.text import timeline
from chaoskit.verbs import Run
from chaoskit.workloads.requests import Requests

SHOWN = 2  # losses of a guilty server


@dataclass(frozen=True, slots=True)
class Case:
    """One server of the demo, what is held in it and what it deserves."""

    program: str
    target: str
    deserves: Outcome
    because: str


CASES = (
    Case("drains.py", "GET /slow", Outcome.PASS, "finishes what it holds, then exits"),
    Case("resets_in_body.py", "GET /big", Outcome.FAIL, "resets the downloads that are under way"),
    Case("gives_up_early.py", "GET /slow", Outcome.FAIL, "waits 0.3 s for work that takes a second"),
)


@click.command(short_help="Strike three real servers, one good, two guilty.")
@click.option("--dir", metavar="DIR", default=".chaos", envvar="CHAOSKIT_DIR", show_default=True, help="Run folders.")
@terminal_options
def command(dir: str, **given: Any) -> int:  # noqa: A002 - the flag's name
    """Start three small servers, stop each while 4 requests are in its hands, and say what became of them.

    Exit code 0: each got the verdict that it deserves.
    """
    say = terminal(given)
    say.note("Three servers, each told to stop (SIGTERM) while 4 requests are in its hands:\n")
    with striking(Path(dir), say, None) as open_harness:
        runs = [_strike(case, open_harness, say) for case in CASES]
    return _end(runs, say)


def _strike(case: Case, open_harness: OpenHarness, say: Terminal) -> Run:
    server = Command(
        ("{python}", str(targets() / case.program), "--port", "{port}", "--work", "1"),
        name=case.program.removesuffix(".py"),
        ready="/healthz",
    )
    harness = open_harness(0.8)
    try:
        run = harness.terminate(server, during=Requests(case.target, rehearse=False), profile=process(grace_s=5))
    finally:
        harness.close()
    say.result(f"{headlines(run, say)}\n      {case.program}, {case.target}: {case.because}")
    if run.outcome is Outcome.FAIL and not say.quiet:
        say.result(_picture(run, say))
    say.result("")
    return run


def _picture(run: Run, say: Terminal) -> str:
    """The signal, the first losses, the exit."""
    accused = {event for each in run.verdicts for finding in each.findings for event in finding.events}
    losses = [each.index for each in run.history if each.index in accused and isinstance(each.fact, RequestLost)]
    frame = [each.index for each in run.history if isinstance(each.fact, SignalSent | InstanceExited)]
    lines = timeline(run.history, around=[*frame, *losses[:SHOWN]])
    more = [] if len(losses) <= SHOWN else [f"{'':12}and {len(losses) - SHOWN} more like these"]
    return "\n".join(say.painted(f"  {line}", "dim") for line in [*lines, *more])


def _end(runs: list[Run], say: Terminal) -> int:
    wrong = [case for case, run in zip(CASES, runs, strict=True) if run.outcome is not case.deserves]
    for case in wrong:
        say.result(f"unexpected: {case.program} deserves {case.deserves.upper()}")
    guilty = next((run for run in runs if run.outcome is Outcome.FAIL), runs[-1])
    say.note(f"Look closer:  chaoskit show {near_path(guilty.dir)}")
    say.note("Your turn:    chaoskit check --get /a-slow-path -- YOUR COMMAND --port {port}")
    if not wrong:
        return PASS
    return UNKNOWN if any(run.outcome is Outcome.UNKNOWN for run in runs) else FAIL


def targets() -> Path:
    """The folder of sample servers: inside the installed package, else beside it in the source tree.

    Raises:
        UsageError: neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_targets", package.parent / "targets"):
        if (folder / CASES[0].program).is_file():
            return folder
    raise UsageError("the sample servers are not installed: expected chaoskit/_targets in the package")
