"""`runs=` and `allow=`: the whole test again, reported once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_chaoskit.bound import at_least, in_words

Suite = Callable[..., pytest.RunResult]
SCRIPTED = """
import itertools
import pytest

OUTCOMES = iter({outcomes!r})
numbers = itertools.count()

@pytest.fixture(scope="module")
def wide():
    print("WIDE up")
    yield
    print("WIDE down")

@pytest.fixture
def fresh():
    number = next(numbers)
    yield number
    print("FRESH down", number)

@pytest.mark.chaos(runs={runs}, allow={allow})
def test_often(chaos, fresh, wide):
    assert fresh == next(numbers) - 1
    print("SUFFIX", chaos.given["suffix"], chaos.given["close_share"])
    next(numbers)
    chaos.terminate("app", next(OUTCOMES)).verify()

def test_after(wide): pass
"""


def scripted(outcomes: str, *, runs: int, allow: int = 0) -> str:
    words = {"p": "pass", "f": "fail", "u": "unknown"}
    return SCRIPTED.format(outcomes=[words[each] for each in outcomes], runs=runs, allow=allow)


def test_every_run_has_fresh_fixtures_and_wider_ones_stay(suite: Suite) -> None:
    result = suite(scripted("ppp", runs=3), "--chaos", "-s")
    result.assert_outcomes(passed=2)
    assert sum("FRESH down" in line for line in result.outlines) == 3
    assert sum("WIDE up" in line for line in result.outlines) == 1
    assert sum("WIDE down" in line for line in result.outlines) == 1
    told = [line.split("SUFFIX ")[1] for line in result.outlines if "SUFFIX" in line]
    assert told == ["run1 0.8", "run2 0.5", "run3 0.8"]
    result.stdout.fnmatch_lines(["*test_often*3 of 3 runs passed (95 % sure: at least 36.8 % do)"])


def test_more_failures_than_allowed_are_red(suite: Suite) -> None:
    result = suite(scripted("pffp", runs=4, allow=1), "--chaos")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["FAILED test_shop.py::test_often - 2 of 4 runs passed*"],
    )


def test_as_many_failures_as_allowed_are_green(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite(scripted("pfpp", runs=4, allow=1), "--chaos", "--junitxml=junit.xml")
    result.assert_outcomes(passed=2)
    assert "3 of 4 runs passed" in (pytester.path / "junit.xml").read_text()


def test_a_run_that_proved_nothing_is_repeated_and_never_counts(suite: Suite) -> None:
    result = suite(scripted("upup", runs=2), "--chaos")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*2 of 2 runs passed*2 more proved nothing"])


def test_too_few_judged_runs_are_unknown(suite: Suite) -> None:
    result = suite(scripted("uuup", runs=2), "--chaos")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_often - unknown: *"])


def test_a_harness_fault_ends_the_repeats(suite: Suite) -> None:
    source = """
import pytest
from chaoskit.errors import LaunchError
@pytest.mark.chaos(runs=5)
def test_a(chaos):
    print("ONCE MORE")
    raise LaunchError("no")
"""
    result = suite(source, "--chaos", "-s")
    result.assert_outcomes(errors=1)
    assert sum(line.endswith(" ONCE MORE") for line in result.outlines) == 1


def test_a_wider_fixture_that_fails_at_the_end_is_an_error_of_the_test(suite: Suite) -> None:
    source = """
import pytest
@pytest.fixture(scope="module")
def wide():
    yield
    raise ValueError("wide")
@pytest.fixture
def narrow(request):
    yield
    if "narrow" in request.node.name: raise ValueError("narrow")
@pytest.mark.chaos(runs=2)
@pytest.mark.parametrize("name", ["one", "narrow", "two"])
def test_a(chaos, wide, narrow, name):
    chaos.terminate("app").verify()
"""
    result = suite(source, "--chaos")
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines_random(
        ["ERROR*test_a?narrow? - ValueError: narrow", "ERROR*test_a?two? - ValueError: wide"]
    )


def test_the_option_repeats_every_chaos_test(suite: Suite) -> None:
    result = suite("def test_a(chaos):\n    chaos.terminate('app').verify()", "--chaos", "--chaos-runs=2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*2 of 2 runs passed*"])


def test_the_bound_is_exact() -> None:
    assert at_least(50, 50) == pytest.approx(0.05 ** (1 / 50), abs=1e-9)
    assert at_least(0, 5) == 0
    assert at_least(1, 1) == pytest.approx(0.05)
    assert at_least(19, 20) == pytest.approx(0.7839, abs=1e-4)  # Clopper and Pearson (1934), one-sided 95 %
    assert in_words(20, 20).startswith("20 of 20 runs passed (95 % sure: at least 86 % do)")


def test_old_run_folders_of_passed_tests_are_pruned(suite: Suite, pytester: pytest.Pytester) -> None:
    source = """
import pytest
@pytest.mark.parametrize("number", range(4))
def test_a(chaos, number, chaos_dir):
    assert chaos_dir.is_dir()
    chaos.terminate("app").verify()
def test_fails(chaos): chaos.terminate("app", "fail").verify()
"""
    mine = pytester.mkdir(".chaos") / "mine"
    mine.mkdir()
    suite(source, "--chaos", "--chaos-keep=failed")
    left = [each for each in Path(pytester.path, ".chaos").iterdir() if (each / ".chaoskit").exists()]
    assert len(left) == 1
    assert mine.is_dir()
    suite(None, "--chaos", "--chaos-keep=all")
    left = [each for each in Path(pytester.path, ".chaos").iterdir() if (each / ".chaoskit").exists()]
    assert len(left) == 1 + 4 + 4 + 1


def test_the_folder_ignores_itself(suite: Suite, pytester: pytest.Pytester) -> None:
    suite("def test_a(chaos):\n    chaos.terminate('app').verify()", "--chaos")
    folder = pytester.path / ".chaos"
    assert "\n*\n" in (folder / ".gitignore").read_text()
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert (folder / "README.md").is_file()


def test_an_unwritable_folder_is_an_error_that_names_it(suite: Suite, pytester: pytest.Pytester) -> None:
    (pytester.path / "taken").write_text("a file")
    result = suite("def test_a(chaos): pass", "--chaos", "--chaos-dir=taken/runs")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ERROR test_shop.py::test_a - storage: the folder of run folders*could not be made*"])
