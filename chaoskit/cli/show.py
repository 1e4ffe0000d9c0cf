"""`chaoskit show`: read a saved run: verdicts, and everything that was seen, in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from chaoskit.checks import judge
from chaoskit.cli.judge import saved
from chaoskit.cli.options import terminal, terminal_options
from chaoskit.cli.striking import reading


@click.command(short_help="Show a saved run with its whole timeline.")
@click.argument("run_dir", metavar="RUN_DIR")
@terminal_options
def command(run_dir: str, **given: Any) -> None:
    """Show the run saved in RUN_DIR: verdicts, findings and the whole timeline; - reads events from standard input.

    The exit code is 0 whatever the verdict; `chaoskit judge` returns it.
    """
    say = terminal(given)
    with saved(run_dir) as history:
        verdicts = judge(history)
        say.result(reading(history, verdicts, replace(say, verbose=True), again=None, show=None))
