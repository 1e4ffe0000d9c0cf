"""Real processes, launched as the harness does it, and removed whatever happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from chaoskit.drivers.base import Launch
from chaoskit.drivers.process import ProcessDriver, ProcessInstance


class Start(Protocol):
    def __call__(self, *argv: str, cwd: Path | None = None, log: Path | None = None) -> ProcessInstance: ...


def until(wanted: Callable[[], bool], timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not wanted():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Not there, and not a zombie either."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-u", "-c", program)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ProcessInstance] = []

    def begin(*argv: str, cwd: Path | None = None, log: Path | None = None) -> ProcessInstance:
        launch = Launch(
            name="web",
            argv=argv,
            env=dict(os.environ),
            cwd=cwd or tmp_path,
            dir=tmp_path,
            log=log or tmp_path / "output.log",
            host="127.0.0.1",
            port=None,
        )
        started.append(ProcessDriver().launch(launch))
        return started[-1]

    yield begin
    for instance in started:
        instance.remove()
