"""`chaoskit doctor`: what this machine can do, what it lacks, and what follows from that."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json as json_codec
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click

from chaoskit.cli import HARNESS, PASS
from chaoskit.cli.options import json_option, terminal, terminal_options
from chaoskit.cli.terminal import write_json
from chaoskit.drivers.sockets import oracle_name, why_not

State = Literal["ok", "limited", "missing"]
STYLES = {"ok": "pass", "limited": "warning", "missing": "fail"}
ENOUGH_FILES = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `missing` means that nothing can be struck here."""

    what: str
    state: State
    text: str


@click.command(short_help="Say what this machine can and cannot do.")
@json_option
@terminal_options
def command(json: str | None, **given: Any) -> int:
    """Look at everything that a run needs. Exit code 3 when something is missing without which nothing works."""
    say = terminal(given, json)
    findings = [look() for look in LOOKS]
    if json is not None:
        write_json(json, json_codec.dumps([asdict(each) for each in findings], indent=1))
    width = max(len(each.what) for each in findings)
    for each in findings:
        if not say.quiet or each.state == "missing":
            say.result(f"{say.painted(each.state.ljust(7), STYLES[each.state])}  {each.what.ljust(width)}  {each.text}")
    return HARNESS if any(each.state == "missing" for each in findings) else PASS


def _version() -> Finding:
    python = platform.python_version()
    version = importlib.metadata.version("chaoskit")
    return Finding("chaoskit", "ok", f"{version} on {platform.python_implementation()} {python}, {platform.platform()}")


def _packages() -> Finding:
    names = ("click", "httptools", "msgspec", "psutil", "pytest", "requests")
    lost = [each for each in names if importlib.util.find_spec(each) is None]
    if lost:
        return Finding("packages", "missing", f"{', '.join(lost)}: pip install chaoskit")
    return Finding("packages", "ok", ", ".join(f"{each} {importlib.metadata.version(each)}" for each in names))


def _loop() -> Finding:
    if importlib.util.find_spec("uvloop") is not None:
        return Finding("event loop", "ok", f"uvloop {importlib.metadata.version('uvloop')}")
    return Finding("event loop", "limited", "asyncio: requests start up to a few ms late (uvloop is not installed)")


def _oracle() -> Finding:
    name = oracle_name()
    if name is not None:
        return Finding("socket oracle", "ok", f"{name}: tells requests in hand from those in the backlog")
    return Finding("socket oracle", "limited", f"{why_not()}; gate and first byte take its place")


def _signals() -> Finding:
    if hasattr(os, "pidfd_open"):
        return Finding("signals", "ok", "through a pidfd: a recycled pid is never hit")
    return Finding("signals", "limited", "by kill, only while the process is unreaped (no pidfd here)")


def _files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    if soft < ENOUGH_FILES <= (hard if hard != resource.RLIM_INFINITY else ENOUGH_FILES):
        return Finding("open files", "ok", f"{soft}, may be raised to {most}")
    state: State = "ok" if soft >= ENOUGH_FILES else "limited"
    return Finding("open files", state, f"{soft} of at most {most}: about {soft // 2} requests can be held at once")


def _folder() -> Finding:
    folder = Path(os.environ.get("CHAOSKIT_DIR", ".chaos"))
    place = folder if folder.is_dir() else folder.absolute().parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return Finding("run folders", "ok", str(folder))
    except OSError as error:
        return Finding("run folders", "limited", f"'{place}' cannot be written ({error.strerror}): use --dir")


def _pytest() -> Finding:
    here = any(each.name == "chaoskit" for each in importlib.metadata.entry_points(group="pytest11"))
    if here:
        return Finding("pytest plugin", "ok", "pytest --chaos")
    return Finding("pytest plugin", "limited", f"not registered for {sys.executable}: pip install chaoskit there")


def _environment() -> Finding:
    names = sorted(name for name in os.environ if name.startswith("CHAOSKIT_"))
    return Finding(
        "environment", "ok", ", ".join(f"{each}={os.environ[each]}" for each in names) or "no CHAOSKIT_* set"
    )


LOOKS: tuple[Callable[[], Finding], ...] = (
    _version,
    _packages,
    _loop,
    _oracle,
    _signals,
    _files,
    _folder,
    _pytest,
    _environment,
)
