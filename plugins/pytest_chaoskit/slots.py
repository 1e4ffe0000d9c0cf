"""Bounds how many strikes are under way at once over all processes that share a folder of run folders.

Two strikes on two cores disturb one another: each would measure the other's work.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

POLL_S = 0.02


def default_slots() -> int:
    """Half the cores that we may use, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // 2)


class Slots:
    """Calling it gives a context manager that waits for one of `count` locked files.

    A process holds one slot at most: a strike inside another's block must not wait for its own test.
    """

    def __init__(self, folder: Path, count: int | None = None) -> None:
        self._folder = folder
        self._count = count or default_slots()
        self._guard = threading.Lock()
        self._users = 0
        self._file: IO[bytes] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold a slot while the block runs."""
        with self._guard:
            if self._users == 0:
                self._file = self._take()
            self._users += 1
        try:
            yield
        finally:
            with self._guard:
                self._users -= 1
                if self._users == 0 and self._file is not None:
                    self._file.close()  # closing unlocks
                    self._file = None

    def _take(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            for number in range(self._count):
                file = _lock(self._folder / f"{number}.lock")
                if file is not None:
                    return file
            time.sleep(POLL_S)


def _lock(path: Path) -> IO[bytes] | None:
    import fcntl

    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
