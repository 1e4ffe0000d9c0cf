"""Options that several commands share, and what this release answers to those of a later one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from chaoskit.cli.terminal import Terminal

Function = TypeVar("Function", bound=Callable[..., Any])

_JOBS = "background jobs come with a later release; this one strikes HTTP services"
_CONTAINERS = "containers come with a later release; this one strikes local processes (-- COMMAND)"
LATER = {
    **dict.fromkeys(
        ("--worker", "--broker", "--publish", "--publish-command", "--count", "--concurrency", "--hold", "--settle"),
        _JOBS,
    ),
    **dict.fromkeys(("--count-repeats", "--checkpoint", "--rework"), _JOBS),
    **dict.fromkeys(("--image", "--compose", "--service"), _CONTAINERS),
}


class Patient(click.Command):
    """A command that ends its options at the first word of the user's own command, and knows what comes later."""

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours = args[: args.index("--")] if "--" in args else args
        for word in ours:
            name = word.partition("=")[0]
            if name in LATER:
                raise click.UsageError(f"{name}: {LATER[name]}", ctx)
        return super().parse_args(ctx, args)


def terminal_options(function: Function) -> Function:
    """--quiet, --verbose and --color."""
    for option in (
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            help="Colours; auto: on a terminal, unless NO_COLOR is set.",
        ),
        click.option("-v", "--verbose", is_flag=True, help="Say more: the whole timeline, notes."),
        click.option("-q", "--quiet", is_flag=True, help="Say less: one line, nothing on stderr but errors."),
    ):
        function = option(function)
    return function


def json_option(function: Function) -> Function:
    """--json FILE."""
    return click.option("--json", metavar="FILE", help="Write the result as JSON; - is standard output.")(function)


def terminal(given: dict[str, Any], json: str | None = None) -> Terminal:
    """The terminal that the shared options ask for; takes them out of `given`."""
    return Terminal(
        color=given.pop("color"),
        quiet=given.pop("quiet"),
        verbose=given.pop("verbose"),
        results_to_stderr=json == "-",
    )
