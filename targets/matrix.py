"""The matrix as a program: prints README.md as made from matrix.toml; with `--write`, writes it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLES = ("requests", "profile", "call")

INTRODUCTION = """\
# Sample servers, correct and guilty

Each is a small program of its own: `python targets/NAME.py --port 8000`. They share `common.py`, a server that stops
as it should, and differ from it in the one thing that their file says. `--work` is how long a `/slow`, `/stream`,
`/big` or `/orders` request takes, `--linger` how long the listener stays after the signal; `/slow?sink=1` calls the
downstream named by `--sink` or `CHAOSKIT_SINK` instead.

A guilty target fails exactly the checks named here and passes all others that apply; a correct one passes all.
What cannot be told is unknown: after our own SIGKILL at the deadline, nobody knows what exit code would have come.

This page is made from `matrix.toml` by `python targets/matrix.py --write`; one test holds the two equal, another runs
every row.
"""


def rows() -> list[dict[str, Any]]:
    """The rows of matrix.toml, each with the defaults filled in."""
    matrix = tomllib.loads((HERE / "matrix.toml").read_text(encoding="utf-8"))
    return [_filled(matrix["defaults"], row) for row in matrix["row"]]


def _filled(defaults: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    tables = {name: {**defaults.get(name, {}), **row.get(name, {})} for name in TABLES}
    return {"fails": [], "unknown": [], "warns": [], **defaults, **row, **tables}


def readme() -> str:
    """README.md, whole."""
    parts = [INTRODUCTION]
    for outcome, title in (("pass", "Correct"), ("fail", "Guilty"), ("unknown", "Nothing proven")):
        lines = [_line(row) for row in rows() if row["outcome"] == outcome]
        parts += [f"\n## {title}\n", "| target | asked | verdict | because |", "|---|---|---|---|", *lines]
    return "\n".join(parts) + "\n"


def _line(row: dict[str, Any]) -> str:
    return f"| [`{row['target']}`]({row['target']}) | {_asked(row)} | {_verdict(row)} | {row['why']} |"


def _asked(row: dict[str, Any]) -> str:
    asked = row["requests"]
    words = [f"{asked['disposition'].upper()} {' and '.join(asked['targets'])}"]
    if row["profile"]["propagation_s"]:
        words.append(f"propagation {row['profile']['propagation_s']:g} s")
    given = ("upload_s", "download_s", "expect", "release_s", "idle", "silent")
    words += [f"`{name}={asked[name]}`" for name in given if asked.get(name)]
    words += ["rehearsed"] if asked["rehearse"] else []
    words += [f"`{name}={value}`" for name, value in row["call"].items()]
    return ", ".join(words)


def _verdict(row: dict[str, Any]) -> str:
    words = [f"**fail** {_checks(row['fails'])}"] if row["fails"] else []
    words += [f"unknown {_checks(row['unknown'])}"] if row["unknown"] else []
    words += [f"warning {_checks(row['warns'])}"] if row["warns"] else []
    return "; ".join(words if row["outcome"] != "pass" else ["pass", *words])


def _checks(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        (HERE / "README.md").write_text(readme(), encoding="utf-8")
    else:
        print(readme(), end="")
