"""What the session says of its runs: the section 'chaos', and the line that nobody may overlook (PYTEST_DONT_REWRITE)."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_chaoskit import options

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

SKIP_REASON = "needs --chaos"
COLOURS = {"pass": {"green": True}, "fail": {"red": True}, "unknown": {"yellow": True}}


def pytest_report_header(config: pytest.Config) -> str | None:
    """With -v: which value came from where."""
    if config.get_verbosity() < 1 or not options.enabled(config):
        return None
    told = [(name, options.get(config, name)) for name in options.OPTIONS]
    words = [f"{name}={setting.value} ({setting.origin})" for name, setting in told if setting.origin != "default"]
    return f"chaos: {', '.join(words)}"


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """One line a run."""
    reports = _reports(terminalreporter)
    if not reports:
        return
    from pytest_chaoskit import lines

    quiet = config.get_verbosity() < 0
    counts = dict.fromkeys(COLOURS, 0)
    if not quiet:
        terminalreporter.section("chaos", yellow=False)
    for report in reports:
        runs = lines.grouped(report.user_properties)
        for each in runs:
            counts[each["chaoskit.outcome"]] += 1
        if not quiet and runs:
            _write(terminalreporter, report, runs)
    if quiet:
        terminalreporter.line("chaos: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count))


def _write(terminal: TerminalReporter, report: pytest.TestReport, runs: list[dict[str, str]]) -> None:
    from pytest_chaoskit import lines

    given = dict(report.user_properties)
    name = report.nodeid.rsplit("/", 1)[-1]
    again = sum(1 for each in terminal.stats.get("rerun", ()) if each.nodeid == report.nodeid)
    for each in runs:
        terminal.write(f"{each['chaoskit.outcome'].upper():<8}", **COLOURS[each["chaoskit.outcome"]])
        flaky = f"; flaky: rerun {again} time{'s' * (again > 1)}" if again else ""
        terminal.write(f"{name}  {lines.line(each).split('; ', 1)[1]}{flaky}\n")
    if "chaoskit.runs" in given:
        terminal.write(f"        {name}  {given['chaoskit.runs']}\n")


def _reports(terminal: TerminalReporter) -> list[pytest.TestReport]:
    """The reports that carry runs, one a test: a teardown carries the same once more."""
    seen: dict[str, pytest.TestReport] = {}
    for kind, found in terminal.stats.items():
        for each in found if kind != "rerun" else ():
            if _tells(each) and (each.nodeid not in seen or each.when != "teardown"):
                seen[each.nodeid] = each
    return list(seen.values())


def _tells(report: object) -> bool:
    properties = report.user_properties if isinstance(report, pytest.TestReport) else ()
    return any(name.startswith("chaoskit.") for name, _ in properties)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Prune run folders; say in the very last line that chaos tests were asked for and skipped."""
    yield
    config = session.config
    if hasattr(config, "workerinput"):
        return
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if options.enabled(config):
        if options.folder(config).is_dir() and not config.option.collectonly:
            from pytest_chaoskit import folders

            folders.prune(config)
    elif terminal is not None and re.search(r"\bchaos\b", config.option.markexpr or ""):
        skipped = sum(1 for each in terminal.stats.get("skipped", ()) if "chaos" in getattr(each, "keywords", ()))
        if skipped:
            terminal.write_line(f"{skipped} chaos test{'s' * (skipped > 1)} skipped: add --chaos", yellow=True)
