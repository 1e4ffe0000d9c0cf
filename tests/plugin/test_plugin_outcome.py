"""Whose fault it is: F, E, unknown, never verified; what JUnit says."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

Suite = Callable[..., pytest.RunResult]


def case(pytester: pytest.Pytester, name: str) -> ET.Element:
    root = ET.parse(pytester.path / "junit.xml")  # noqa: S314 - written by us a moment ago
    return next(each for each in root.iter("testcase") if each.get("name") == name)


def test_the_first_line_of_a_failure_is_the_loss(suite: Suite, pytester: pytest.Pytester) -> None:
    source = "def test_a(chaos):\n    chaos.terminate('app', 'fail').verify()"
    result = suite(source, "--chaos", "--junitxml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*chaos.terminate('app', 'fail').verify()",
            "E*Again:     pytest test_shop.py::test_a --chaos --chaos-replay .chaos/*",
            "test_shop.py:2: Failed",
            "FAIL*test_a*",
            "FAILED test_shop.py::test_a - 2 of 8 held requests were severed",
        ]
    )
    failure = case(pytester, "test_a").find("failure")
    assert failure is not None
    assert failure.get("message") == "2 of 8 held requests were severed"


def test_properties_are_five_strings_a_run(suite: Suite, pytester: pytest.Pytester) -> None:
    suite("def test_a(chaos):\n    chaos.terminate('app').verify()", "--chaos", "--junitxml=junit.xml")
    found = {each.get("name"): each.get("value") for each in case(pytester, "test_a").iter("property")}
    run = found.pop("chaoskit.run")
    assert run is not None
    assert run.startswith(".chaos/")
    assert found == {
        "chaoskit.outcome": "pass",
        "chaoskit.profile": "process: SIGTERM to the leader, grace 10 s",
        "chaoskit.strike": "4 of 4 in hand, known by the gate",
        "chaoskit.exit": "exit code 0 after 1.50 s",
    }


def test_unknown_is_a_failure_that_says_so_first(suite: Suite) -> None:
    result = suite("def test_a(chaos):\n    chaos.terminate('app', 'unknown').verify()", "--chaos")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_a - unknown: 0 of 4 in hand"])


FAULTS = """
import pytest
from chaoskit.errors import LaunchError

@pytest.mark.xfail
def test_in_the_call(chaos):
    raise LaunchError("'web' exited with 1 before it was ready.")

@pytest.mark.xfail
def test_in_a_group(chaos):
    raise ExceptionGroup("tasks", [ValueError("x"), LaunchError("'web' exited with 1")])

@pytest.fixture
def web(chaos):
    raise LaunchError("'web' is not there")

@pytest.mark.xfail
def test_in_a_fixture(web): pass

@pytest.mark.xfail
def test_at_teardown(chaos, request):
    def fail(): raise LaunchError("'web' would not go")
    request.addfinalizer(fail)
    chaos.terminate("app", "fail").verify()
"""


def test_a_harness_fault_is_an_error_even_where_failure_is_expected(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite(FAULTS, "--chaos", "--junitxml=junit.xml")
    result.assert_outcomes(errors=4, xfailed=1)
    result.stdout.fnmatch_lines(
        ["ERROR test_shop.py::test_in_the_call - launch: 'web' exited with 1 before it was ready."]
    )
    for name in ("test_in_the_call", "test_in_a_group", "test_in_a_fixture"):
        assert case(pytester, name).find("error") is not None
        assert case(pytester, name).find("failure") is None
        assert case(pytester, name).find("skipped") is None


def test_a_bug_of_ours_is_an_error_and_one_of_the_users_is_not(suite: Suite) -> None:
    source = """
from chaoskit.errors import near
def test_ours(chaos): near("x", 3)
def test_theirs(chaos): near("x", (1 / 0 for _ in "a"))
"""
    suite(source, "--chaos").assert_outcomes(errors=1, failed=1)


def test_a_run_never_looked_at_fails_its_test(suite: Suite) -> None:
    source = "import pytest\n@pytest.mark.xfail\ndef test_a(chaos):\n    chaos.terminate('app')"
    result = suite(source, "--chaos")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_a - the run of 'program' was never verified: call*"])


def test_never_looked_at_gives_way_to_a_failure_that_the_test_had_anyway(suite: Suite) -> None:
    result = suite("def test_a(chaos):\n    chaos.terminate('app')\n    assert 1 == 2, 'mine'", "--chaos")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_a - AssertionError: mine*"])


def test_a_block_never_entered_fails_its_test(suite: Suite) -> None:
    result = suite("def test_a(chaos):\n    chaos.terminating('app')", "--chaos")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_a - chaos.terminating(...) was never entered*"])


def test_quiet_is_one_line_and_verbose_is_the_whole_report(suite: Suite) -> None:
    source = "def test_a(chaos):\n    chaos.terminate('app').verify()\n    assert 0"
    result = suite(source, "--chaos", "-q")
    result.stdout.fnmatch_lines(["chaos: 1 pass"])
    result.stdout.no_fnmatch_line("*= chaos =*")
    suite(None, "--chaos", "-v").stdout.fnmatch_lines(["the whole report of program"])
