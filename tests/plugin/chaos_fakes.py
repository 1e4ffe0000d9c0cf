"""A library that strikes nothing: each run ends as the test asks. For the plugin's own logic, in milliseconds."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chaoskit.errors import Failed, Unproven
from chaoskit.result import ExitResult, ProfileResult, Result, StrikeResult


class FakeRun:
    """A run with the outcome that it was told."""

    def __init__(self, folder: Path, name: str, outcome: str, harness: FakeHarness) -> None:
        self.dir, self.name, self.looked_at = folder, name, False
        self.again = harness.again(folder)
        self._outcome = outcome
        profile = ProfileResult(
            name=harness.profile_name(),
            signal="SIGTERM",
            to="leader",
            grace_s=10,
            pre_stop_s=0,
            pre_stop_counts=True,
            propagation_s=0,
        )
        self.result = Result(
            outcome=outcome,  # type: ignore[arg-type]
            system=name,
            profile=profile,
            checks=[],
            held=None,
            after=None,
            idle=None,
            strike=StrikeResult(signal="SIGTERM", sent=4, held=4, known_by="gate"),
            exit=ExitResult(code=0, after_s=1.5),
            notes=[],
        )

    def verify(self) -> None:
        __tracebackhide__ = True
        self.looked_at = True
        if self._outcome == "fail":
            raise Failed(f"2 of 8 held requests were severed\n\n  the report\n  Again:     {self.again}")
        if self._outcome == "unknown":
            raise Unproven("unknown: 0 of 4 in hand\n\n  the report")

    def report(self) -> str:
        return f"the whole report of {self.name}"


class FakeBlock(AbstractContextManager[FakeRun]):
    """An -ing block."""

    def __init__(self, harness: FakeHarness, system: Any, outcome: str) -> None:
        self.entered = False
        self._end: Callable[[], FakeRun] = lambda: harness.terminate(system, outcome)

    def __enter__(self) -> FakeRun:
        self.entered = True
        return self._end()

    def __exit__(self, *_: object) -> None:
        return None


class FakeHarness:
    """What the plugin makes for each test; remembers with what."""

    numbers = itertools.count()

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.runs: list[FakeRun] = []
        self.blocks: list[FakeBlock] = []
        self.folders: list[Path] = []
        self.closed = False
        self.again: Callable[[Path], str] = given["again"]

    def profile_name(self) -> str:
        named = self.given["settings"].get("profile", "process")
        return named if isinstance(named, str) else named.name

    def name_of(self, system: Any) -> str:
        return self.given["names"](system) or "program"

    def terminate(self, system: Any, outcome: str = "pass") -> FakeRun:
        suffix = self.given["suffix"]
        folder = self.given["run_dir"] / f"{next(self.numbers):04}-{os.getpid()}-{suffix}"
        with self.given["slots"]():
            folder.mkdir(parents=True)
        self.folders.append(folder)
        run = FakeRun(folder, self.name_of(system), outcome, self)
        self.runs.append(run)
        return run

    def terminating(self, system: Any, outcome: str = "pass") -> FakeBlock:
        self.blocks.append(FakeBlock(self, system, outcome))
        return self.blocks[-1]

    def unverified(self) -> list[FakeRun]:
        return [each for each in self.runs if not each.looked_at]

    def unentered(self) -> list[str]:
        return ["terminating" for each in self.blocks if not each.entered]

    def close(self) -> None:
        self.closed = True


class FakeSinkServer:
    """A sink that listens nowhere."""

    def __init__(self, record_dir: Path) -> None:
        self.record_dir = record_dir
        self.sink = SimpleNamespace(reset=lambda: None)

    def start(self) -> None:
        Path(f"sink-started-{os.getpid()}").touch()

    def close(self) -> None:
        Path(f"sink-started-{os.getpid()}").unlink()


def library() -> SimpleNamespace:
    return SimpleNamespace(Harness=FakeHarness, SinkServer=FakeSinkServer, nothing=nullcontext)
