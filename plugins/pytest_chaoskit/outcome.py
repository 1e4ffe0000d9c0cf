"""What becomes of a test that struck something: whose fault it is, in words, on the terminal and in JUnit."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pluggy
import pytest
from _pytest import runner
from _pytest._code import Traceback
from _pytest.outcomes import Failed as FailedByHand

import chaoskit
from chaoskit.errors import ChaoskitError, Failed, Unproven
from pytest_chaoskit import folders, lines
from pytest_chaoskit.state import HARNESS, MAKERS

PACKAGE = Path(chaoskit.__file__).parent
OURS = {
    PACKAGE,
    Path(__file__).parent,
    Path(pytest.__file__).parent,
    Path(runner.__file__).parent,
    Path(pluggy.__file__).parent,
}
PREFIX = "chaoskit."


class NeverVerified(FailedByHand):
    """A test made a run and did not look at it: it would be green whatever happened."""


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Remember which fixture made a system: that is its name."""
    made = yield
    if type(made).__module__.startswith("chaoskit.") and hasattr(made, "command"):
        request.config.stash[MAKERS].setdefault(id(made), (made, fixturedef.argname))
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin anew where a test is run again."""
    if HARNESS in item.stash:
        del item.stash[HARNESS]
    item.user_properties[:] = [each for each in item.user_properties if not each[0].startswith(PREFIX)]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose runs nobody looked at, unless it failed anyway."""
    result = yield
    harness = item.stash.get(HARNESS, None)
    if harness is not None:
        blocks, runs = harness.unentered(), harness.unverified()
        if blocks:
            raise NeverVerified(
                f"chaos.{blocks[0]}(...) was never entered, so nothing was struck: write 'with chaos.{blocks[0]}(...) as run:'",
                pytrace=False,
            )
        if runs:
            where = folders.shown(item.config, runs[0].dir)
            raise NeverVerified(
                f"the run of '{runs[0].name}' was never verified: call run.verify(), or look at its outcome ({where})",
                pytrace=False,
            )
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say whose fault it is: the system's, nobody's (unknown) or the harness's own, which no xfail hides."""
    harness = item.stash.get(HARNESS, None)
    error = None if call.excinfo is None else call.excinfo.value
    fault = harness_fault(error) if harness is not None or item.get_closest_marker("chaos") else None
    if call.when == "call" and harness is not None:
        item.user_properties.extend(lines.properties(item.config, harness.runs))
    report = yield
    if fault is not None or isinstance(error, NeverVerified):
        _not_expected(report)
    if isinstance(error, NeverVerified):
        _at_the_test(item, report)
    if fault is not None and call.excinfo is not None:
        _worded(item, call.excinfo, report)
        report.when = "setup" if report.when == "call" else report.when  # 'E', and <error> in JUnit
        _headline(report, f"{fault.kind if isinstance(fault, ChaoskitError) else 'harness'}: {_first_line(fault)}")
    elif isinstance(error, Failed | Unproven | NeverVerified):
        _headline(report, worded(error))
    if call.when == "call" and harness is not None:
        _keep(item, report)
    return report


def harness_fault(error: BaseException | None) -> BaseException | None:
    """The exception that says that the harness failed, also inside a group; None where it did not."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := harness_fault(each)) is not None), None)
    if isinstance(error, ChaoskitError):
        return error
    if isinstance(error, Exception) and not isinstance(error, Failed | Unproven) and _raised_by_us(error):
        return error
    return None


def _raised_by_us(error: Exception) -> bool:
    """Whether the innermost frame is the library's: a user's callable that fails inside it is the user's."""
    if isinstance(error, pytest.skip.Exception | pytest.fail.Exception):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and PACKAGE in Path(trace.tb_frame.f_code.co_filename).parents


def worded(error: BaseException) -> str:
    """The first line: the loss, or `unknown: ...`."""
    text = _first_line(error)
    return f"unknown: {text}" if isinstance(error, Unproven) and not text.startswith("unknown:") else text


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.split("\n", 1)[0]


def _worded(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException], report: pytest.TestReport) -> None:
    """Show the user's lines only: the message says what is wrong, our frames do not."""
    error, style = excinfo.value, item.config.getoption("tbstyle", default="auto")
    if item.config.getoption("fulltrace", default=False) or style == "native" or not isinstance(error, ChaoskitError):
        return
    shown: Any = "long" if style in ("auto", "long") else "short"
    longrepr: Any = excinfo.getrepr(
        showlocals=item.config.getoption("showlocals", default=False),
        style=shown if _theirs(excinfo) else "value",
        funcargs=True,
        tbfilter=lambda found: _theirs(found) or found.traceback,
        chain=not isinstance(error.__cause__, OSError),  # our message has its words already
    )
    report.longrepr = longrepr


def _theirs(excinfo: pytest.ExceptionInfo[BaseException]) -> Traceback:
    return Traceback([each for each in excinfo.traceback if not OURS.intersection(Path(each.path).parents)])


def _not_expected(report: pytest.TestReport) -> None:
    """Undo what xfail made of it."""
    report.outcome = "failed"
    if hasattr(report, "wasxfail"):
        del report.wasxfail


def _at_the_test(item: pytest.Item, report: pytest.TestReport) -> None:
    """Point at the test: the line that raised is ours."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.path, crash.lineno = str(item.path), (item.location[1] or 0) + 1


def _headline(report: pytest.TestReport, text: str) -> None:
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = text


def _keep(item: pytest.Item, report: pytest.TestReport) -> None:
    """Mark the run folders and tell them in a section of the report."""
    harness = item.stash[HARNESS]
    own = item.funcargs.get("chaos_dir") if isinstance(item, pytest.Function) else None
    for each in (*filter(Path.is_dir, harness.folders), *([own] if isinstance(own, Path) else [])):
        folders.mark(each, item.nodeid, failed=report.failed)
    if harness.runs:
        told = "\n".join(lines.section(item.config, run, full=item.config.get_verbosity() > 0) for run in harness.runs)
        report.sections.append(("chaos", told))
