"""The pytest plugin of chaoskit: options, marker, gate and fixtures (PYTEST_DONT_REWRITE).

This module is imported in every pytest run of an environment that has chaoskit, so it pulls in the standard library
and pytest only. What watches tests (`outcome`, `repeat`) is registered when the first chaos test is collected, the
library itself is imported when the first one runs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from pytest_chaoskit import marker, options, summary
from pytest_chaoskit.fixtures import (
    _chaos_gate,
    _chaos_library,
    chaos,
    chaos_dir,
    chaos_profile,
    chaos_settings,
    chaos_sink,
    chaos_sink_server,
)
from pytest_chaoskit.summary import pytest_report_header, pytest_sessionfinish, pytest_terminal_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "_chaos_gate",
    "_chaos_library",
    "chaos",
    "chaos_dir",
    "chaos_profile",
    "chaos_settings",
    "chaos_sink",
    "chaos_sink_server",
    "pytest_report_header",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

SKIP_REASON = summary.SKIP_REASON


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--chaos` and `--chaos-*`, each also as an ini key."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; refuse values that cannot be meant."""
    config.addinivalue_line("markers", marker.HELP)
    options.check(config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Mark tests that request `chaos`; a marker with wrong arguments is a collection error."""
    report = yield
    if report.passed:
        wrong = [text for each in report.result if (text := _prepared(each))]
        if wrong:
            report.outcome = "failed"
            report.longrepr = "\n".join(dict.fromkeys(wrong))
            report.result = []
    return report


def _prepared(node: pytest.Item | pytest.Collector) -> str | None:
    if not isinstance(node, pytest.Item):
        return None
    if node.get_closest_marker("chaos") is None:
        if "chaos" not in getattr(node, "fixturenames", ()):
            return None
        node.add_marker(pytest.mark.chaos)
    return marker.problem(node)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Skip chaos tests unless they were asked for; else get ready for them."""
    struck = [each for each in items if each.get_closest_marker("chaos") is not None]
    if not struck:
        return
    late = [text for each in struck if (text := marker.problem(each))]
    if late:  # added by somebody's own pytest_collection_modifyitems
        raise pytest.UsageError("\n".join(dict.fromkeys(late)))
    if not options.enabled(config):
        for each in struck:
            each.add_marker(pytest.mark.skip(reason=SKIP_REASON))
        return
    from pytest_chaoskit import activation

    activation.activate(config, struck)
