"""The durable record of effects: a line is on disk before its call is answered, and one fsync serves many."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from pathlib import Path

from chaoskit.errors import StorageError

Waiter = asyncio.Future[None]
MOST = 10_000  # lines of one fsync


class EffectFile:
    """Appends lines to a file of its own in `folder`, from a thread of its own, between `open` and `close`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"effects-{os.getpid()}-{os.urandom(2).hex()}.jsonl"
        self._descriptor = -1
        self._lines: queue.SimpleQueue[tuple[bytes, Waiter] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"the record of effects '{self.path}' cannot be written: {error.strerror}") from error
        self._thread = threading.Thread(target=self._write_all, name="chaoskit-record", daemon=True)
        self._thread.start()

    async def append(self, line: bytes) -> None:
        """Return once the line is on disk.

        Raises:
            StorageError: it is not.
        """
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._lines.put((line, waiter))
        await waiter

    def close(self) -> None:
        """Write what waits; a record without a line leaves no file. Idempotent."""
        if self._thread is None:
            return
        self._lines.put(None)
        self._thread.join(5)
        self._thread = None
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
            if self.path.stat().st_size == 0:
                self.path.unlink()

    def _write_all(self) -> None:
        while (first := self._lines.get()) is not None:
            batch = [first]
            last = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < MOST and not last:
                    more = self._lines.get_nowait()
                    last = more is None
                    if more is not None:
                        batch.append(more)
            error = self._write(b"".join(line for line, _ in batch))
            for loop in {waiter.get_loop() for _, waiter in batch}:
                with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                    loop.call_soon_threadsafe(
                        _settle, [waiter for _, waiter in batch if waiter.get_loop() is loop], error
                    )
            if last:
                return

    def _write(self, lines: bytes) -> StorageError | None:
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
            os.fsync(self._descriptor)
        except OSError as error:
            return StorageError(f"the record of effects '{self.path}' took no more: {error.strerror}")
        return None


def _settle(waiters: list[Waiter], error: StorageError | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
