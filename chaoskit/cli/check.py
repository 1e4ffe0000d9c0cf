"""`chaoskit check`: launch a command, keep it busy, stop it, judge it; no test code needed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from chaoskit.cli import FAIL, PASS, UNKNOWN
from chaoskit.cli.asked import Asked, in_order, seconds_or, seconds_or_command
from chaoskit.cli.options import Patient, json_option, terminal, terminal_options
from chaoskit.cli.repeats import repeat
from chaoskit.cli.striking import report, strike_once, striking
from chaoskit.cli.terminal import Terminal, must_be_writable, write_json
from chaoskit.result import to_json

CODES = {"pass": PASS, "fail": FAIL, "unknown": UNKNOWN}
EPILOG = """\b
Examples:
  chaoskit check --get /export -- gunicorn shop:app --bind {host}:{port}
  chaoskit check --ready /healthz --get /export --profile kubernetes -- node server.js --port {port}

In COMMAND, {port} is a free port, {host} 127.0.0.1, {dir} a folder of the run's own, {python} this Python and {sink} the
downstream that holds calls. chaoskit --help lists the exit codes."""


class _Check(Patient):
    """Looks at the order of --get, --post and --data before click forgets it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = list(args)
        rest = super().parse_args(ctx, args)
        ctx.params["targets"] = tuple(in_order(words))
        return rest


def _release(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    return None if value is None else seconds_or("never", value)


def _pre_stop(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    return None if value is None else seconds_or_command(value)


@click.command(cls=_Check, epilog=EPILOG, short_help="Strike a command while it works, and judge it.")
@click.option("--get", metavar="PATH", multiple=True, expose_value=False, help="Hold GET requests of PATH.")
@click.option("--post", metavar="PATH", multiple=True, expose_value=False, help="Hold POST requests of PATH.")
@click.option("--data", metavar="FILE", multiple=True, expose_value=False, help="Body of the --post before it.")
@click.option("-H", "--header", metavar="'NAME: VALUE'", multiple=True, help="A header of every request.")
@click.option("--clients", metavar="N", type=int, default=4, show_default=True, help="Requests sent at once.")
@click.option("--hold-at-least", metavar="N", type=int, default=1, show_default=True, help="In hand at the strike.")
@click.option("--rate", metavar="R", type=float, help="Requests a second before, during and after, instead.")
@click.option(
    "--disposition",
    type=click.Choice(["drain", "reject"]),
    default="drain",
    show_default=True,
    help="Promised of held work.",
)
@click.option("--ready", metavar="PATH|tcp|log:TEXT", default="tcp", show_default=True, help="When it is ready.")
@click.option("--warm-up", metavar="S", type=float, default=0, help="Wait after that.")
@click.option("--new", metavar="PATH", help="New work after the signal, beside the held kind.")
@click.option("--idle", metavar="N", type=int, default=2, show_default=True, help="Idle kept-alive connections.")
@click.option("--silent", metavar="N", type=int, default=0, help="Connections without a byte sent.")
@click.option("--expect", metavar="TEXT", help="What every whole body ends with.")
@click.option("--upload", metavar="S", type=float, default=0, help="Spread the request's body over S seconds.")
@click.option("--download", metavar="S", type=float, default=0, help="Read the answer over S seconds.")
@click.option("--release", metavar="S|never", callback=_release, help="Held downstream calls go on after S seconds.")
@click.option("--via", metavar="URL", help="Send through a front that passes on to it.")
@click.option("--port", metavar="N", type=int, help="The port, where the command has no {port}.")
@click.option("--cwd", metavar="DIR", type=click.Path(exists=True, file_okay=False), help="Working directory.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="Environment, beside the inherited one.")
@click.option("--rehearse", "rehearse", flag_value=True, type=bool, default=None, help="Ask once first, POST too.")
@click.option("--no-rehearsal", "rehearse", flag_value=False, type=bool, default=None, help="Ask nothing first.")
@click.option(
    "--profile",
    metavar="NAME",
    default="process",
    envvar="CHAOSKIT_PROFILE",
    show_default=True,
    help="The platform; see: chaoskit profiles.",
)
@click.option("--grace", metavar="S", type=float, help="Grace period.")
@click.option("--pre-stop", metavar="S|CMD", callback=_pre_stop, help="Pre-stop hook.")
@click.option("--propagation", metavar="S", type=float, help="How long new work still arrives.")
@click.option("--signal", metavar="NAME", help="The first signal.")
@click.option("--to", type=click.Choice(["leader", "group", "all"]), help="Who gets it.")
@click.option("--runs", metavar="N", type=click.IntRange(1), default=1, show_default=True, help="Strike N times.")
@click.option("--allow", metavar="K", type=click.IntRange(0), default=0, help="Runs that may fail.")
@json_option
@click.option("--dir", metavar="DIR", default=".chaos", envvar="CHAOSKIT_DIR", show_default=True, help="Run folders.")
@terminal_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def command(**given: Any) -> int:
    """Launch COMMAND, keep it busy, stop it while work is in its hands, and judge what its clients saw."""
    say = terminal(given, given["json"])
    asked = Asked(**given)
    _refuse_incomplete(asked)
    if asked.json is not None:
        must_be_writable(asked.json)
    if asked.runs > 1:
        return _many(asked, say)
    return _one(asked, say)


def _refuse_incomplete(asked: Asked) -> None:
    if not asked.command:
        raise click.UsageError(
            "no command to strike: end with -- COMMAND, such as -- gunicorn shop:app --bind {host}:{port}"
        )
    if not asked.targets:
        raise click.UsageError("nothing keeps it busy: give --get PATH or --post PATH, one that takes a second or so")
    if asked.allow >= asked.runs:
        raise click.UsageError(f"--allow {asked.allow} of --runs {asked.runs} would allow every run to fail")


def _one(asked: Asked, say: Terminal) -> int:
    with striking(Path(asked.dir), say, _again()) as open_harness:
        run = strike_once(open_harness(0.8), asked)
        say.result(report(run, say))  # first: a full disk must not hide the verdict
        if asked.json is not None:
            write_json(asked.json, to_json(run.result))
        return CODES[run.outcome]


def _many(asked: Asked, say: Terminal) -> int:
    with striking(Path(asked.dir), say, _again()) as open_harness:
        result, text = repeat(asked, say, open_harness)
    say.result(text)
    if asked.json is not None:
        write_json(asked.json, to_json(result))
    return CODES[result.outcome]


def _again() -> str:
    words: list[str] = click.get_current_context().find_root().obj
    return shlex.join(["chaoskit", *words])
