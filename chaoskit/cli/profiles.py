"""`chaoskit profiles`: the platforms that can be played, with their numbers and where those come from."""

from __future__ import annotations

import dataclasses
import json as json_codec
from pathlib import Path
from typing import Any

import click

from chaoskit.cli.options import json_option, terminal, terminal_options
from chaoskit.cli.terminal import write_json
from chaoskit.profiles import Profile, all_profiles, by_name

HEADINGS = ("NAME", "SIGNAL", "TO", "GRACE", "PRE-STOP", "PROPAGATION", "AT MOST")


@click.command(short_help="List the platforms and their numbers.")
@click.argument("name", required=False)
@json_option
@terminal_options
def command(name: str | None, json: str | None, **given: Any) -> None:
    """List every platform whose stop can be played, or tell about the one called NAME.

    Own ones stand in pyproject.toml, as [tool.chaoskit.profiles.NAME] with base = "kubernetes" and what differs.
    """
    say = terminal(given, json)
    here = Path.cwd()
    chosen = all_profiles(here) if name is None else (by_name(name, here),)
    if json is not None:
        write_json(json, json_codec.dumps([dataclasses.asdict(each) for each in chosen], indent=1))
        return
    if name is None:
        say.result(_table(chosen))
        say.note("\nWhere the numbers come from: chaoskit profiles NAME")
        return
    say.result("\n".join(_lines(chosen[0])))


def _table(chosen: tuple[Profile, ...]) -> str:
    rows = [HEADINGS, *(_row(each) for each in chosen)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(profile: Profile) -> tuple[str, ...]:
    counts = "in grace" if profile.pre_stop_counts else "before it"
    most = "" if profile.max_grace_s is None else f"{profile.max_grace_s:g} s"
    grace, propagation = f"{profile.grace_s:g} s", f"{profile.propagation_s:g} s"
    return (profile.name, profile.signal, profile.to, grace, counts, propagation, most)


def _lines(profile: Profile) -> list[str]:
    hook = profile.pre_stop_s if isinstance(profile.pre_stop_s, str) else f"{profile.pre_stop_s:g} s"
    counts = "counts into the grace period" if profile.pre_stop_counts else "comes before the grace period"
    most = "" if profile.max_grace_s is None else f" (at most {profile.max_grace_s:g} s)"
    return [
        profile.name,
        f"  signal       {profile.signal} to {profile.to}",
        f"  grace        {profile.grace_s:g} s{most}, then SIGKILL",
        f"  pre-stop     {hook}; {counts}",
        f"  propagation  {profile.propagation_s:g} s",
        *([f"  note         {profile.note}"] if profile.note else []),
        f"  source       {profile.source}",
    ]
