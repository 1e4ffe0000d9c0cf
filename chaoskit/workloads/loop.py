"""The engine's event loop in a thread of its own, behind a synchronous API; uvloop where it installs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import resource
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from chaoskit.errors import ChaoskitError

T = TypeVar("T")
TICK_S = 0.05
STALL_S = 0.1  # EXPERIENCE, section 10: later than this and what was seen may be our doing


class LoopThread:
    """One loop, one thread; `name` says which loop runs."""

    def __init__(self) -> None:
        self.name, self._new_loop = _loop_factory()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._stalled: Callable[[float], None] | None = None

    def start(self) -> LoopThread:
        """Start the thread; idempotent."""
        if self._thread is None:
            raise_descriptor_limit()
            self._started.clear()
            self._thread = threading.Thread(target=self._run, name="chaoskit-engine", daemon=True)
            self._thread.start()
            self._started.wait()
        return self

    def close(self) -> None:
        """Cancel what runs, stop the loop, join the thread; idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        self._loop = self._thread = None

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run a coroutine on the loop and wait for it from another thread.

        Raises:
            ChaoskitError: it took longer than `timeout_s`.
        """
        if self._loop is None:
            work.close()
            raise ChaoskitError("the engine is not running")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise ChaoskitError(f"the engine did not finish its work in {timeout_s:g} s") from None

    def call_soon(self, work: Callable[[], object]) -> None:
        """Call something on the loop as soon as it comes round; nothing happens once it is closed."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(work)

    def on_stall(self, callback: Callable[[float], None] | None) -> None:
        """Who is told, with the seconds, when the loop was late by more than 0.1 s."""
        self._stalled = callback

    def _run(self) -> None:
        loop = self._new_loop()
        asyncio.set_event_loop(loop)
        self._loop = loop
        loop.call_soon(self._started.set)
        loop.call_later(TICK_S, self._tick, loop.time() + TICK_S)
        try:
            loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
                loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _tick(self, due: float) -> None:
        loop = self._loop
        if loop is None:
            return
        late_s = loop.time() - due
        if late_s > STALL_S and self._stalled is not None:
            self._stalled(late_s)
        loop.call_later(TICK_S, self._tick, loop.time() + TICK_S)


def raise_descriptor_limit() -> None:
    """Let this process open as many sockets as the machine allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _loop_factory() -> tuple[str, Callable[[], asyncio.AbstractEventLoop]]:
    try:
        import uvloop
    except ImportError:  # no wheel for this Python: the plain loop does, with coarser timers
        return "asyncio", asyncio.new_event_loop
    return "uvloop", uvloop.new_event_loop
