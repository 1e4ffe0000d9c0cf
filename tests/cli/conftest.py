"""The program as users call it: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TARGETS = Path(__file__).resolve().parents[2] / "targets"
Chaoskit = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CHAOSKIT_", "PYTEST_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        own.pop(name, None)
    return {**own, **more}


@pytest.fixture
def chaoskit(tmp_path: Path) -> Chaoskit:
    """Calls `chaoskit WORDS...` in the test's folder; `env=` adds to the environment, `input=` is standard input."""

    def call(*words: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chaoskit", *words],
            cwd=tmp_path,
            env=environment(**(env or {})),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            **options,
        )

    return call


@pytest.fixture
def server() -> Callable[..., tuple[str, ...]]:
    """`-- COMMAND` for a sample server."""

    def command(name: str, *options: str, work_s: float = 0.7) -> tuple[str, ...]:
        return ("--", sys.executable, str(TARGETS / f"{name}.py"), "--port", "{port}", "--work", str(work_s), *options)

    return command
