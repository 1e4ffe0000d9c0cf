"""`chaoskit judge`: judge a saved run again, with this version's checks."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from chaoskit.checks import by_name, judge
from chaoskit.checks.verdict import Check, worst
from chaoskit.cli.check import CODES
from chaoskit.cli.options import json_option, terminal, terminal_options
from chaoskit.cli.striking import reading
from chaoskit.cli.terminal import STANDARD, must_be_writable, write_json
from chaoskit.history.events import History
from chaoskit.history.journal import load
from chaoskit.result import result_of, to_json


@click.command(short_help="Judge a saved run again.")
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--check", "names", metavar="NAME", multiple=True, help="Only this check; all that are implied else.")
@json_option
@terminal_options
def command(run_dir: str, names: tuple[str, ...], json: str | None, **given: Any) -> int:
    """Judge the run saved in RUN_DIR again; - reads its events from standard input.

    The exit code is that of the verdict. Nothing in RUN_DIR is changed.
    """
    say = terminal(given, json)
    if json is not None:
        must_be_writable(json)
    checks: tuple[Check, ...] = tuple(by_name(each) for each in names)
    with saved(run_dir) as history:
        verdicts = judge(history, checks or None)
        if json is not None:
            write_json(json, to_json(result_of(history, verdicts)))
        show = None if run_dir == STANDARD else run_dir
        say.result(reading(history, verdicts, say, again=None, show=show))
        return CODES[worst(verdicts)]


@contextlib.contextmanager
def saved(run_dir: str) -> Iterator[History]:
    """The history in a run folder or a journal, or the events on standard input."""
    if run_dir != STANDARD:
        yield load(Path(run_dir))
        return
    with tempfile.TemporaryDirectory(prefix="chaoskit-") as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes(sys.stdin.buffer.read())
        yield load(path)
