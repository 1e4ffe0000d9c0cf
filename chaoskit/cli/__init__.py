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
from chaoskit.errors import ChaoskitError, near

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
    except click.ClickException as error:
        return _usage(error, words)
    except ChaoskitError as error:
        return _trouble(error.kind, str(error), words)
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
    except Exception as error:  # noqa: BLE001 - a bug of ours must not look like a verdict (Python would say 1)
        traceback.print_exc()
        return _trouble("bug", f"{type(error).__name__}: {error} (a bug of chaoskit: please report it)", words)
    return ended if isinstance(ended, int) else PASS


def _usage(error: click.ClickException, words: list[str]) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return HARNESS
    context = getattr(error, "ctx", None)
    asked = context.command_path if context is not None else "chaoskit"
    return _trouble("usage", f"{error.format_message()}\nSee: {asked} --help", words)


def _trouble(kind: str, message: str, words: list[str]) -> int:
    click.echo(f"chaoskit: {message}", err=True)
    target = _json_target(words)
    if target is not None:
        from chaoskit.result import error_json  # noqa: PLC0415 - only here, and it imports the checks

        try:
            write_json(target, error_json(kind, message))
        except ChaoskitError as error:
            if str(error) not in message:
                click.echo(f"chaoskit: {error}", err=True)
    return HARNESS


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
