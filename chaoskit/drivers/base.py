"""The port that every driver keeps: launch something, signal it, learn how it ended, remove it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything about one start, resolved: no placeholder, no reference is left in it."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    dir: Path  # the instance's own folder, `{dir}`
    log: Path
    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A signal that went out: to whom, when (`time.monotonic()`), and by which call."""

    pids: tuple[int, ...]
    sent_at: float
    path: str  # "pidfd", "kill" or "killpg"


@dataclass(frozen=True, slots=True)
class Exit:
    """The leader's end: a code, or the name of a signal; `at` on `time.monotonic()`."""

    code: int | None
    signal: str | None
    at: float


class Instance(Protocol):
    """One running system. Every instant is on `time.monotonic()`."""

    name: str
    host: str
    port: int | None
    dir: Path
    log: Path
    command: str
    pid: int

    @property
    def url(self) -> str:
        """`http://host:port`."""

    def signal(self, signal: int, to: str, at: float | None = None) -> Sent:
        """Send at an instant (None: now) to the leader, its group, or all of its tree; returns when it is out.

        Raises:
            DriverError: nothing is left to signal.
        """

    def kill_at(self, at: float) -> None:
        """SIGKILL to the whole tree at this instant unless it is gone; kept although the harness is stalled."""

    def deadline(self) -> Sent | None:
        """What `kill_at` did, once it did."""

    def exit(self) -> Exit | None:
        """How the leader ended, once it did."""

    def wait(self, timeout_s: float) -> Exit | None:
        """Wait for the leader's end."""

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """Call back as soon as the leader ends; at once where it has."""

    def tree(self) -> tuple[tuple[int, str], ...]:
        """Living processes (pid, name) of the system, daemonised ones too, the leader first."""

    def remove(self) -> None:
        """End and reap everything that is left of it; idempotent, never raises."""


class Driver(Protocol):
    """Where systems run."""

    def launch(self, launch: Launch) -> Instance:
        """Start one.

        Raises:
            LaunchError: it cannot be started; the message says what to do.
        """
