"""The gate holds calls of the system open until the harness lets them go: proof that work is in its hands."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

When = Literal["before", "after"]


@dataclass(slots=True, eq=False)
class Hold:
    """One held call; `done` is set when it may go on, or when its caller has left."""

    call: int
    done: asyncio.Event
    how: str = "released"


class Gate:
    """Armed for at most so many calls; used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._most = 0
        self._taken = 0
        self._when: When = "before"
        self._allow: Callable[[], bool] = lambda: True
        self._holds: list[Hold] = []
        self._open = True

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop on which calls wait."""
        self._loop = loop

    def arm(self, most: int, when: When = "before", allow: Callable[[], bool] = lambda: True) -> None:
        """Hold the next `most` calls that arrive while `allow()`: before they count, or after."""
        with self._lock:
            self._most, self._taken, self._when, self._allow, self._open = most, 0, when, allow, False

    def disarm(self) -> None:
        """Hold no further call; those that are held stay held."""
        with self._lock:
            self._most = 0

    def release(self) -> None:
        """Let every held call go, and hold none any more."""
        with self._lock:
            self._open, self._most = True, 0
            holds, loop = list(self._holds), self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the server is closed: nobody waits any more
                for hold in holds:
                    loop.call_soon_threadsafe(hold.done.set)

    @property
    def held(self) -> int:
        """How many calls are held now."""
        return len(self._holds)

    @property
    def when(self) -> When:
        """Whether a held call has counted already."""
        return self._when

    def take(self, call: int) -> Hold | None:
        """A hold for this call, where the gate wants it."""
        with self._lock:
            if self._open or self._taken >= self._most or not self._allow():
                return None
            self._taken += 1
            hold = Hold(call, asyncio.Event())
            self._holds.append(hold)
            return hold

    def drop(self, hold: Hold) -> None:
        """The hold is over."""
        with self._lock:
            if hold in self._holds:
                self._holds.remove(hold)
