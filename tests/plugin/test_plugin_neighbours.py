"""Beside other plugins: xdist, asyncio, anyio, randomly, rerunfailures, timeout."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from pytest_chaoskit.slots import Slots

Suite = Callable[..., pytest.RunResult]
MIXED = """
import pytest
@pytest.mark.parametrize("outcome", ["pass", "fail", "unknown"])
def test_a(chaos, outcome): chaos.terminate("app", outcome).verify()

@pytest.mark.chaos(runs=3)
def test_often(chaos): chaos.terminate("app").verify()
"""


def test_under_xdist_the_controller_tells_everything(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite(MIXED, "--chaos", "-n2", "--junitxml=junit.xml")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "PASS*test_a?pass?*in hand*",
            "FAIL*test_a?fail?*in hand*",
            "UNKNOWN*test_a?unknown?*in hand*",
            "*test_often*3 of 3 runs passed*",
            "FAILED test_shop.py::test_a?fail? - 2 of 8 held requests were severed",
        ]
    )
    root = ET.parse(pytester.path / "junit.xml")  # noqa: S314 - written by us a moment ago
    assert sum(each.get("name") == "chaoskit.outcome" for each in root.iter("property")) == 4


def test_under_xdist_the_last_line_still_says_what_is_missing(suite: Suite) -> None:
    result = suite(MIXED, "-m", "chaos", "-n2")
    result.assert_outcomes(skipped=4)
    assert result.outlines[-1] == "4 chaos tests skipped: add --chaos"


def test_in_random_order(suite: Suite) -> None:
    suite(MIXED, "--chaos", "-p", "no:asyncio", "-p", "randomly", randomly=True).assert_outcomes(passed=2, failed=2)


def test_tests_in_an_event_loop(suite: Suite) -> None:
    source = """
import pytest
@pytest.mark.asyncio
@pytest.mark.chaos(runs=2)
async def test_asyncio(chaos): chaos.terminate("app").verify()

@pytest.mark.anyio
async def test_anyio(chaos): chaos.terminate("app", "fail").verify()

@pytest.fixture
def anyio_backend(): return "asyncio"
"""
    options = ("-p", "asyncio", "-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:randomly")
    suite(source, "--chaos", *options, randomly=True).assert_outcomes(passed=1, failed=1)


def test_a_rerun_makes_a_new_run_and_is_called_flaky(suite: Suite) -> None:
    source = """
OUTCOMES = iter(["fail", "pass"])
def test_a(chaos): chaos.terminate("app", next(OUTCOMES)).verify()
"""
    result = suite(source, "--chaos", "--reruns=2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["PASS*test_a*flaky: rerun 1 time*"])


def test_a_test_without_a_time_out_gets_that_of_its_worst_case(suite: Suite) -> None:
    source = """
import pytest
def test_a(chaos, request):
    assert request.node.get_closest_marker("timeout").args[0] == 600
@pytest.mark.chaos(profile="systemd", grace_s=500)
def test_long(chaos, request):
    assert request.node.get_closest_marker("timeout").args[0] > 1000
@pytest.mark.timeout(33)
def test_own(chaos, request):
    assert request.node.get_closest_marker("timeout").args[0] == 33
def test_plain(request):
    assert request.node.get_closest_marker("timeout") is None
"""
    suite(source, "--chaos").assert_outcomes(passed=4)


def test_one_interrupt_cleans_up(suite: Suite, pytester: pytest.Pytester) -> None:
    source = """
import pytest
@pytest.fixture
def told(chaos):
    yield
    print("CLOSED", chaos.closed)
def test_a(chaos, told):
    raise KeyboardInterrupt
"""
    result = suite(source, "--chaos", "-s")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not [*pytester.path.glob("sink-started*")]


def _strike(folder: Path, going: object, most: object) -> None:
    slots = Slots(folder, 2)
    for _ in range(5):
        with slots(), slots():  # a strike inside another's block does not wait for itself
            with going.get_lock():  # type: ignore[attr-defined]
                going.value += 1  # type: ignore[attr-defined]
                most.value = max(most.value, going.value)  # type: ignore[attr-defined]
            with going.get_lock():  # type: ignore[attr-defined]
                going.value -= 1  # type: ignore[attr-defined]


def test_strikes_are_bounded_over_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    going, most = context.Value("i", 0), context.Value("i", 0)
    workers = [context.Process(target=_strike, args=(tmp_path, going, most)) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60)
    assert all(each.exitcode == 0 for each in workers)
    assert 1 <= most.value <= 2
