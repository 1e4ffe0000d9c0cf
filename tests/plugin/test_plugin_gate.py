"""Who runs and who is skipped; what a marker may say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]
TWO = """
import pytest

@pytest.fixture
def app(chaos):
    return chaos

def test_strikes(app):
    app.terminate("app").verify()

def test_plain():
    pass
"""


def test_without_the_option_a_chaos_test_is_skipped_with_the_reason(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite(TWO, "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*test_shop.py:*needs --chaos"])
    assert not (pytester.path / ".chaos").exists()


def test_with_the_option_it_runs(suite: Suite) -> None:
    result = suite(TWO, "--chaos")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["PASS*test_strikes*process: SIGTERM to the leader*in hand*exit code 0*.chaos*"])


def test_the_last_word_wins(suite: Suite) -> None:
    suite(TWO, "--chaos", "--no-chaos").assert_outcomes(passed=1, skipped=1)
    suite(None, "--no-chaos", "--chaos").assert_outcomes(passed=2)


def test_the_marker_selects_and_the_last_line_says_what_is_missing(suite: Suite) -> None:
    result = suite(TWO, "-m", "chaos")
    result.assert_outcomes(skipped=1, deselected=1)
    assert result.outlines[-1] == "1 chaos test skipped: add --chaos"
    suite(None, "-m", "chaos", "--chaos").assert_outcomes(passed=1, deselected=1)


def test_collecting_only_starts_nothing(suite: Suite, pytester: pytest.Pytester) -> None:
    result = suite(TWO, "--chaos", "--co", "-q")
    result.stdout.fnmatch_lines(["test_shop.py::test_strikes"])
    assert not (pytester.path / ".chaos").exists()
    assert not [*pytester.path.glob("sink-started*")]


def test_a_test_that_reaches_for_chaos_late_is_skipped_too(suite: Suite, pytester: pytest.Pytester) -> None:
    source = "def test_late(request):\n    request.getfixturevalue('chaos').terminate('app').verify()"
    suite(source).assert_outcomes(skipped=1)
    assert not [*pytester.path.glob("sink-started*")]
    suite(None, "--chaos").assert_outcomes(passed=1)


WRONG = {
    "grace=3": "the marker chaos has no 'grace' (did you mean 'grace_s'?)*",
    "grace_s=-1": "chaos(grace_s=-1): expected seconds above 0",
    "runs=0": "chaos(runs=0): expected a whole number of at least 1",
    "runs=2, allow=2": "chaos(runs=2, allow=2): a test whose every run may fail proves nothing",
    "to='leadr'": "chaos(to='leadr'): expected leader, group or all (did you mean 'leader'?)",
    "profile='kubernets'": "*no profile 'kubernets' (did you mean 'kubernetes'?)*",
    "profile=3": "chaos(profile=3): expected a name, or a value of chaoskit.profiles",
    "signal='SIGTRM'": "*SIGTRM*",
    "'kubernetes'": "chaos('kubernetes') has an argument without a name*",
}


def test_a_wrong_marker_is_a_collection_error(suite: Suite) -> None:
    tests = [f"@pytest.mark.chaos({marker})\ndef test_{number}(): pass" for number, marker in enumerate(WRONG)]
    result = suite("\n".join(["import pytest", *tests]))
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    for number, said in enumerate(WRONG.values()):
        result.stdout.fnmatch_lines([f"test_shop.py::test_{number}: {said.replace('[', '[[]')}"])


def test_a_marker_added_by_a_conftest_counts_and_is_checked(suite: Suite, pytester: pytest.Pytester) -> None:
    hook = "import pytest\ndef pytest_collection_modifyitems(items):\n    for each in items: each.add_marker(pytest.mark.chaos({}))"
    pytester.mkpydir("sub")
    (pytester.path / "sub" / "conftest.py").write_text(hook.format(""))
    (pytester.path / "sub" / "test_x.py").write_text("def test_x(): pass")
    suite(None, "sub").assert_outcomes(skipped=1)
    (pytester.path / "sub" / "conftest.py").write_text(hook.format("gracs_s=1"))
    result = suite(None, "sub")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*the marker chaos has no 'gracs_s'*"])


def test_the_library_is_not_imported_where_nothing_runs(suite: Suite) -> None:
    source = TWO + "\ndef test_modules():\n    import sys\n    assert 'chaoskit' not in sys.modules\n"
    source += "    assert not {'docker', 'requests', 'httptools', 'uvloop', 'msgspec'} & set(sys.modules)"
    result = suite(source, "-p", "no:chaos_fakes", "-k", "plain or modules", "--noconftest")
    result.assert_outcomes(passed=2, deselected=1)


def test_the_plugin_can_be_switched_off(suite: Suite) -> None:
    suite("def test_plain(): pass", "-p", "no:chaoskit", "--noconftest").assert_outcomes(passed=1)
