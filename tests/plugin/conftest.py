"""A small suite of a user's, run in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FAKES = """
import sys
sys.path.insert(0, {folder!r})
import chaos_fakes
import pytest

@pytest.fixture(scope="session")
def _chaos_library():
    return chaos_fakes.library()
"""
QUIET = ("-p", "no:randomly", "-p", "no:asyncio")  # pytest-asyncio warns where its own ini key is not set


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the outer session was started with is none of the inner one's."""
    for name in [each for each in os.environ if each.startswith(("CHAOSKIT_", "PYTEST_XDIST", "GITHUB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("COLUMNS", "240")  # nothing is cut


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """`suite(source, *options)` runs a test file against the fake library, strictly."""
    pytester.makeconftest(FAKES.format(folder=str(Path(__file__).parent)))

    def run(source: str | None, *options: str, **more: Any) -> pytest.RunResult:
        if source is not None:
            pytester.makepyfile(test_shop=source)
        plain = [] if more.get("randomly") else [*QUIET]
        return pytester.runpytest_subprocess("--strict-markers", "-W", "error", *plain, *options, timeout=60)

    return run
