"""The command line: one file a command; this one finds them and turns every end into an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from chaoskit.cli.terminal import write_json
from chaoskit.errors import ChaoskitError, StorageError, UsageError, near

PASS, FAIL, UNKNOWN, HARNESS, INTERRUPTED = 0, 1, 2, 3, 130
COMMANDS = ("check", "demo", "doctor", "judge", "profiles", "show")

EPILOG = """\b
Exit codes:
    0  pass
    1  fail: work was lost, or a promise was broken
    2  unknown: the run proved nothing
    3  chaoskit could not do its work, or was called wrongly
  130  interrupted"""


class _Stopped(BaseException):
    """SIGTERM to ourselves, on its way out through every clean-up."""


class _Commands(click.Group):
    """Imports a command when it is called: `chaoskit profiles` need not wait for an HTTP engine."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            ctx.fail(f"no command '{cmd_name}'{near(cmd_name, COMMANDS)}. There are: {', '.join(COMMANDS)}")
        module = importlib.import_module(f"chaoskit.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - only a bug of ours
        return command


@click.command(
    cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="chaoskit", message="chaoskit %(version)s")
def program() -> None:
    """Prove what happens to the work in flight when a service is told to stop."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the program with these arguments and leave with its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(_exit_code(words))


def _exit_code(words: list[str]) -> int:
    try:
        ended = program.main(words, prog_name="chaoskit", standalone_mode=False, obj=words)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except _Stopped:
        click.echo("told to stop (SIGTERM): what was started is removed", err=True)
        return 128 + signal.SIGTERM
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python must not complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PASS
    except Exception as error:  # noqa: BLE001 - sorted out there; Python itself would say 1, which is "fail"
        return _trouble(error, words)
    return ended if isinstance(ended, int) else PASS


def _trouble(error: Exception, words: list[str]) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return HARNESS
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        asked = "chaoskit" if context is None else context.command_path
        told: ChaoskitError = UsageError(f"{error.format_message()}\nSee: {asked} --help")
    elif isinstance(error, ChaoskitError):
        told = error
    else:
        traceback.print_exception(error)
        told = ChaoskitError(f"{type(error).__name__}: {error} (this is a bug of chaoskit: please report it)")
    click.echo(f"chaoskit: {told}", err=True)
    _tell_in_json(told, words)
    return HARNESS


def _tell_in_json(error: ChaoskitError, words: list[str]) -> None:
    target = _json_target(words)
    if target is None:
        return
    from chaoskit.result import error_json

    try:
        write_json(target, error_json(error))
    except StorageError as second:
        if second.args != error.args:
            click.echo(f"chaoskit: {second}", err=True)


def _json_target(words: list[str]) -> str | None:
    """The value of --json, read by hand: a command line that cannot be parsed owes its caller JSON too."""
    ours = words[: words.index("--")] if "--" in words else words
    for index, word in enumerate(ours):
        if word == "--json" and index + 1 < len(ours):
            return ours[index + 1]
        if word.startswith("--json="):
            return word.removeprefix("--json=")
    return None


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the clean-up that follows is bounded
    raise _Stopped
