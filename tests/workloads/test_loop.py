"""The engine's loop in its thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import resource
import threading
import time

import pytest

from chaoskit.errors import ChaoskitError
from chaoskit.workloads import loop as loops
from chaoskit.workloads.loop import LoopThread


def test_work_runs_in_the_loops_thread_and_its_result_comes_back() -> None:
    engine = LoopThread().start()

    async def work() -> str:
        return threading.current_thread().name

    try:
        assert engine.run(work(), 5) == "chaoskit-engine"
    finally:
        engine.close()


def test_what_work_raises_comes_back_too() -> None:
    engine = LoopThread().start()

    async def work() -> None:
        raise LookupError("lost")

    try:
        with pytest.raises(LookupError, match="lost"):
            engine.run(work(), 5)
    finally:
        engine.close()


def test_work_that_takes_too_long_is_cancelled() -> None:
    engine = LoopThread().start()
    cancelled = threading.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    try:
        with pytest.raises(ChaoskitError, match=r"did not finish its work in 0\.05 s"):
            engine.run(work(), 0.05)
        assert cancelled.wait(5)
    finally:
        engine.close()


def test_closing_cancels_what_runs_and_ends_the_thread() -> None:
    engine = LoopThread().start()
    started, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = pool.submit(engine.run, work(), 30)
        assert started.wait(5)
        engine.close()
        assert cancelled.wait(5)
        with pytest.raises(concurrent.futures.CancelledError):
            pending.result(5)
    engine.close()
    assert not any(thread.name == "chaoskit-engine" for thread in threading.enumerate())


def test_a_closed_engine_takes_no_work() -> None:
    engine = LoopThread()

    async def work() -> None:
        """Never run."""

    with pytest.raises(ChaoskitError, match="not running"):
        engine.run(work(), 1)
    engine.call_soon(lambda: None)


def test_an_engine_starts_again_after_its_end() -> None:
    engine = LoopThread()

    async def one() -> int:
        return 1

    for _ in range(3):
        assert engine.start().start() is engine
        assert engine.run(one(), 5) == 1
        engine.close()


def test_a_call_reaches_the_loop_from_any_thread() -> None:
    engine = LoopThread().start()
    called = threading.Event()
    try:
        engine.call_soon(called.set)
        assert called.wait(5)
    finally:
        engine.close()


def test_a_loop_that_stood_still_tells_for_how_long() -> None:
    engine = LoopThread().start()
    late: list[float] = []
    told = threading.Event()

    def stalled(late_s: float) -> None:
        late.append(late_s)
        told.set()

    try:
        engine.on_stall(stalled)
        engine.call_soon(lambda: time.sleep(0.3))
        assert told.wait(5)
        assert late[0] > 0.1
    finally:
        engine.on_stall(None)
        engine.close()


def test_without_uvloop_the_plain_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    engine = LoopThread().start()

    async def one() -> int:
        return 1

    try:
        assert engine.name == "asyncio"
        assert engine.run(one(), 5) == 1
    finally:
        engine.close()


def test_the_descriptor_limit_is_raised_to_what_the_machine_allows() -> None:
    loops.raise_descriptor_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard or soft >= 65_536
