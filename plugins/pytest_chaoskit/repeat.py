"""`runs=n, allow=m`: the whole test n times, its function-scoped fixtures fresh each time, reported once."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from _pytest.runner import call_and_report

from chaoskit.errors import Unproven
from pytest_chaoskit import bound, marker, outcome
from pytest_chaoskit.state import ATTEMPT, HARNESS

Kind = Literal["pass", "fail", "unknown", "stop"]
KINDS: pytest.StashKey[Kind] = pytest.StashKey()
RESULTS: pytest.StashKey[list[Any]] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Literal[True] | None:
    """Take a repeated test over; every other one goes the usual way."""
    if item.get_closest_marker("chaos") is None:
        return None
    runs, _ = marker.runs_and_allow(item)
    if runs == 1 and not _has_settings(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _Repeated(item).reports(nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Remember what kind of end an attempt had, and what its runs showed."""
    report = yield
    if call.when == "call" and ATTEMPT in item.stash:
        error = None if call.excinfo is None else call.excinfo.value
        harness = item.stash.get(HARNESS, None)
        item.stash[KINDS] = _kind(report, error)
        item.stash[RESULTS].extend(run.result for run in (harness.runs if harness is not None else ()))
    return report


def _kind(report: pytest.TestReport, error: BaseException | None) -> Kind:
    if report.when != "call" or isinstance(error, outcome.NeverVerified):
        return "stop"  # the harness failed, or the test is wrong: doing it again changes nothing
    if isinstance(error, Unproven):
        return "unknown"
    if report.passed:
        return "pass"
    if report.skipped and not hasattr(report, "wasxfail"):
        return "stop"
    return "fail"


def _has_settings(item: Any) -> bool:
    """Whether somebody overrides `chaos_settings`, which may ask for more runs once it has been made."""
    found = item.session._fixturemanager.getfixturedefs("chaos_settings", item)  # noqa: SLF001
    return found is not None and len(found) > 1


class _Repeated:
    """One test, several attempts."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._attempts: list[tuple[Kind, list[pytest.TestReport]]] = []
        item.stash[RESULTS] = []

    def reports(self, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
        """Run until n attempts are judged, at most 2 n in all; setup, call and teardown as one test's."""
        while not self._over():
            self._attempt(nextitem)
        del self._item.stash[ATTEMPT]
        return self._joined()

    @property
    def _runs(self) -> int:
        return marker.runs_and_allow(self._item)[0]

    @property
    def _allow(self) -> int:
        return marker.runs_and_allow(self._item)[1]

    def _over(self) -> bool:
        judged = self._count("pass") + self._count("fail")
        session = self._item.session
        most = 2 * self._runs if self._runs > 1 else 1
        enough = judged >= self._runs or len(self._attempts) >= most
        over = enough or self._count("stop") > 0 or bool(session.shouldstop or session.shouldfail)
        return bool(self._attempts) and over

    def _count(self, kind: Kind) -> int:
        return sum(1 for each, _ in self._attempts if each == kind)

    def _attempt(self, nextitem: pytest.Item | None) -> None:
        """As pytest's own protocol, but wider fixtures stay until the last attempt."""
        item: Any = self._item
        item.stash[ATTEMPT] = len(self._attempts)
        item.stash[KINDS] = "stop"  # stays where setup fails or skips: there is no call then
        if not item._request:  # noqa: SLF001 - taken away after each attempt, as pytest does
            item._initrequest()  # noqa: SLF001
        try:
            reports = [call_and_report(item, "setup", log=False)]
            if reports[0].passed and not item.config.getoption("setuponly", default=False):
                reports.append(call_and_report(item, "call", log=False))
            self._attempts.append((item.stash[KINDS], reports))
            self._tear_down(reports, nextitem)
        finally:
            item._request = False  # noqa: SLF001
            item.funcargs = None

    def _tear_down(self, reports: list[pytest.TestReport], nextitem: pytest.Item | None) -> None:
        item, session = self._item, self._item.session
        following = None if session.shouldstop or session.shouldfail else nextitem
        if self._over():
            reports.append(call_and_report(item, "teardown", log=False, nextitem=following))
            return
        # The parent as next item: only the test's own fixtures go.
        reports.append(call_and_report(item, "teardown", log=False, nextitem=item.parent))
        if reports[-1].failed:
            self._attempts[-1] = ("stop", reports)
            call_and_report(item, "teardown", log=False, nextitem=following)

    def _joined(self) -> list[pytest.TestReport]:
        kinds = [kind for kind, _ in self._attempts]
        stopped = kinds[-1] == "stop"
        failed = self._count("fail") > self._allow
        idle = not failed and _exit_follows_our_closing(self._item.stash[RESULTS])
        judged = self._count("pass") + self._count("fail")
        if stopped or self._runs == 1:
            return self._attempts[-1][1]
        wanted: Kind = "fail" if failed else "unknown" if judged < self._runs else "pass"
        like = next(reports for kind, reports in self._attempts if kind == wanted)
        shown = [*like[:-1], self._attempts[-1][1][-1]]  # the last teardown is that of the wider fixtures too
        told = bound.in_words(self._count("pass"), judged) if judged else "no run could be judged"
        unproven = self._count("unknown")
        told += f", {unproven} more proved nothing" if unproven else ""
        for report in shown:
            report.user_properties.append(("chaoskit.runs", told))
        call = next(each for each in shown if each.when == "call")
        call.duration = sum(each.duration for _, reports in self._attempts for each in reports if each.when == "call")
        if wanted != "pass":
            _tell(call, wanted, told, self._allow)
        elif idle:
            call.outcome = "failed"
            call.longrepr = (
                "it left only after we closed our idle connections, whenever we did (exits_in_time, waits_for_idle)\n\n"
                f"{told}, but the exit followed our closing at 80 % of the grace and at 50 % in the next run."
            )
        else:
            call.sections.append(("chaos runs", told))
        return shown


def _tell(call: pytest.TestReport, wanted: Kind, told: str, allow: int) -> None:
    crash = getattr(call.longrepr, "reprcrash", None)
    if crash is not None:
        first = crash.message.split("\n", 1)[0]
        few = "unknown: too few runs could be judged: " if wanted == "unknown" else ""
        crash.message = f"{few}{told}, {allow} may fail; one that did not: {first.removeprefix('unknown: ')}"
    call.sections.append(("chaos runs", told))


def _exit_follows_our_closing(results: list[Any]) -> bool:
    from chaoskit.result import Result, runs_result

    if len(results) < 2 or not all(isinstance(each, Result) for each in results):  # noqa: PLR2004
        return False
    # With every run allowed to fail, what fails still is what only several runs together can show.
    return any(each.outcome == "fail" for each in runs_result(results, allow=len(results)).checks)
