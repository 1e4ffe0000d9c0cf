"""From flags to values: what `check` was asked for, as a `Command`, `Requests` and a `Profile`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from chaoskit.budget import Disposition
from chaoskit.cli.terminal import STANDARD
from chaoskit.drivers.command import Command
from chaoskit.errors import UsageError
from chaoskit.profiles import Profile, by_name
from chaoskit.workloads.requests import Requests

Target = tuple[str, str | None]  # "POST /orders" and the file with its body


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One `check`, flag by flag; a flag means what the Python name of the same spelling means."""

    command: tuple[str, ...]
    targets: tuple[Target, ...]
    header: tuple[str, ...]
    clients: int
    hold_at_least: int
    rate: float | None
    disposition: str
    ready: str
    warm_up: float
    new: str | None
    idle: int
    silent: int
    expect: str | None
    upload: float
    download: float
    release: float | Literal["never"] | None
    via: str | None
    port: int | None
    cwd: str | None
    env: tuple[str, ...]
    rehearse: bool | None
    profile: str
    grace: float | None
    pre_stop: float | str | None
    propagation: float | None
    signal: str | None
    to: str | None
    runs: int
    allow: int
    json: str | None
    dir: str

    def system(self) -> Command:
        """What is launched and struck; one word with spaces in it is a whole command line."""
        command = self.command[0] if len(self.command) == 1 else self.command
        return Command(
            command,
            ready=self.ready,
            warm_up_s=self.warm_up,
            env=dict(_pair(each, "=", "--env", "NAME=VALUE") for each in self.env),
            cwd=self.cwd,
            port=self.port,
        )

    def during(self) -> list[Requests]:
        """The work: targets that share a body take turns, every further body is a workload of its own."""
        headers = dict(_pair(each, ":", "-H", "'NAME: VALUE'") for each in self.header)
        groups: dict[str | None, list[str]] = {}
        bodies = [body for _, body in self.targets if body is not None]
        for target, body in self.targets:
            # A GET has no body, so it may share the workload of any other.
            shared = bodies[0] if target.startswith("GET ") and bodies else body
            groups.setdefault(shared, []).append(target)
        return [
            self._requests(targets, body, headers, spread=body is not None or not bodies)
            for body, targets in groups.items()
        ]

    def _requests(self, targets: list[str], body: str | None, headers: dict[str, str], *, spread: bool) -> Requests:
        data = None if body is None else _read(body)
        if data is not None and _is_json(data) and not any(name.lower() == "content-type" for name in headers):
            headers = {**headers, "Content-Type": "application/json"}
        return Requests(
            *targets,
            clients=self.clients,
            hold_at_least=self.hold_at_least,
            rate=self.rate,
            disposition=Disposition(self.disposition),
            headers=headers or None,
            data=data,
            expect=self.expect,
            new=self.new,
            idle=self.idle,
            silent=self.silent,
            upload_s=self.upload if spread else 0,
            download_s=self.download,
            rehearse=self.rehearse,
            release_s=self.release,
            via=self.via,
        )

    def platform(self, root: Path) -> Profile:
        """The profile, with what the flags change in it."""
        return by_name(self.profile, root).but(
            grace_s=self.grace,
            pre_stop_s=self.pre_stop,
            propagation_s=self.propagation,
            signal=self.signal,
            to=self.to,
        )


def in_order(arguments: list[str]) -> list[Target]:
    """The targets with their bodies, in the order in which they stand: a --data belongs to the --post before it.

    click collects each option by itself and forgets how they were mixed, so this looks at the words again.

    Raises:
        click.UsageError: a --data without a --post before it.
    """
    targets: list[Target] = []
    ours = iter(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    for word in ours:
        name, joined, value = word.partition("=")
        if name not in ("--get", "--post", "--data"):
            continue
        value = value if joined else next(ours, "")
        if name == "--data":
            if not targets or not targets[-1][0].startswith("POST "):
                raise click.UsageError("--data FILE is the body of the --post PATH before it, and there is none")
            targets[-1] = (targets[-1][0], value)
        else:
            targets.append((f"{name.removeprefix('--').upper()} {value}", None))
    return targets


def seconds_or(word: str, text: str) -> Any:
    """A number of seconds, or the one word that is allowed instead.

    Raises:
        UsageError: it is neither.
    """
    if text == word:
        return word
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is neither a number of seconds nor '{word}'") from error


def seconds_or_command(text: str) -> float | str:
    """A number of seconds, else a command."""
    try:
        return float(text)
    except ValueError:
        return text


def _pair(text: str, separator: str, flag: str, form: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise UsageError(f"{flag} '{text}': expected {form}")
    return name.strip(), value.strip() if separator == ":" else value


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == STANDARD else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"--data '{source}' cannot be read: {error.strerror}") from error


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict | list)
    except ValueError:
        return False
