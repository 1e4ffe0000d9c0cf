"""Options from the command line, the environment and ini files; what a test's settings come to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_chaoskit.defaults import system_with, work_with

from chaoskit import Command, Requests

Suite = Callable[..., pytest.RunResult]
TOLD = """
import pytest

def test_told(chaos):
    run = chaos.terminate("app")
    run.verify()
    settings = chaos.given["settings"]
    print("TOLD", {key: getattr(value, "name", value) for key, value in sorted(settings.items())})
"""


def told(result: pytest.RunResult) -> str:
    result.assert_outcomes(passed=1)
    return next(line.split("TOLD ")[1] for line in result.outlines if "TOLD " in line)


@pytest.mark.parametrize(
    "toml",
    [
        "[tool.pytest]\nchaos_enabled = true\nchaos_runs = 1\nchaos_profile = 'ecs'\nchaos_keep = '3'",
        "[tool.pytest.ini_options]\nchaos_enabled = true\nchaos_runs = 1\nchaos_profile = 'ecs'\nchaos_keep = 3",
    ],
)
def test_ini_keys_in_both_tables(suite: Suite, pytester: pytest.Pytester, toml: str) -> None:
    if toml.startswith("[tool.pytest]") and pytest.version_tuple < (9, 0):
        pytest.skip("[tool.pytest] came with pytest 9")
    pytester.makepyprojecttoml(toml)
    assert told(suite(TOLD, "-s")) == "{'profile': 'ecs', 'unknown': 'fail'}"


def test_command_line_beats_environment_beats_ini(
    suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nchaos_profile = ecs\nchaos_unknown = warn")
    monkeypatch.setenv("CHAOSKIT_ENABLED", "1")
    assert "'profile': 'ecs', 'unknown': 'warn'" in told(suite(TOLD, "-s"))
    monkeypatch.setenv("CHAOSKIT_PROFILE", "heroku")
    assert "'heroku'" in told(suite(None, "-s"))
    assert "'nomad'" in told(suite(None, "-s", "--chaos-profile", "nomad"))
    assert "'force_profile': 'spot'" in told(suite(None, "-s", "--chaos-force-profile", "spot"))


def test_the_header_says_where_values_came_from(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSKIT_PROFILE", "heroku")
    result = suite(TOLD, "--chaos", "-v")
    result.stdout.fnmatch_lines(["chaos: enabled=True (--chaos), profile=heroku (CHAOSKIT_PROFILE)"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--chaos-keep=few",), "*--chaos-keep is 'few'; expected all, failed or a number of run folders"),
        (("--chaos-runs=0",), "*--chaos-runs is 0; expected a whole number of at least 1"),
        (("-o", "chaos_runs=0"), "*ini chaos_runs is *; expected a whole number of at least 1"),
        (("--chaos-replay=nowhere",), "*--chaos-replay: no run folder 'nowhere'*"),
        (("--chaos-driver=moon",), "*invalid choice: 'moon'*"),
    ],
)
def test_a_wrong_value_is_a_usage_error(suite: Suite, options: tuple[str, ...], said: str) -> None:
    result = suite(TOLD, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_markers_are_merged_key_by_key_and_the_closest_wins(suite: Suite) -> None:
    source = """
import pytest
pytestmark = pytest.mark.chaos(grace_s=60, signal="SIGINT", profile="ecs")

@pytest.mark.chaos(grace_s=20, to="group")
class TestShop:
    @pytest.mark.chaos(to="all", profile=None)
    def test_told(self, chaos):
        chaos.terminate("app").verify()
        print("TOLD", sorted(chaos.given["settings"].items()))
"""
    assert told(suite(source, "--chaos", "--chaos-profile=nomad", "-s")) == (
        "[('grace_s', 20), ('profile', 'ecs'), ('signal', 'SIGINT'), ('to', 'all'), ('unknown', 'fail')]"
    )


def test_a_parametrised_profile_beats_the_marker_and_settings_come_last(suite: Suite) -> None:
    source = """
import pytest

@pytest.fixture(scope="session")
def chaos_settings():
    return {"profile": "compose", "grace_s": 7, "clients": 8, "runs": 1}

def show(chaos):
    chaos.terminate("app").verify()
    print("TOLD", sorted(chaos.given["settings"].items()))

@pytest.mark.parametrize("chaos_profile", ["heroku"])
@pytest.mark.chaos(profile="ecs", grace_s=20)
def test_parametrised(chaos): show(chaos)

@pytest.mark.chaos(signal="SIGINT")
def test_settings(chaos): show(chaos)

@pytest.mark.chaos(profile="ecs")
def test_marker(chaos): show(chaos)
"""
    result = suite(source, "--chaos", "-s")
    result.assert_outcomes(passed=3)
    assert [line.split("TOLD ")[1] for line in result.outlines if "TOLD" in line] == [
        "[('clients', 8), ('profile', 'heroku'), ('unknown', 'fail')]",
        "[('clients', 8), ('grace_s', 7), ('profile', 'compose'), ('signal', 'SIGINT'), ('unknown', 'fail')]",
        "[('clients', 8), ('profile', 'ecs'), ('unknown', 'fail')]",
    ]


def test_a_system_is_named_after_the_fixture_that_made_it(suite: Suite) -> None:
    source = """
import pytest
from chaoskit import Command

@pytest.fixture(scope="session")
def shop(): return Command("python shop.py")

@pytest.fixture
def wrapped(shop): return shop

def test_told(chaos, wrapped):
    print("TOLD", chaos.name_of(wrapped), chaos.name_of(Command("other")))
"""
    assert told(suite(source, "--chaos", "-s")) == "shop program"


def test_relative_paths_start_at_the_nearest_project_file(suite: Suite, pytester: pytest.Pytester) -> None:
    inner = pytester.mkdir("inner")
    (inner / "pyproject.toml").touch()
    (inner / "test_inner.py").write_text("def test_told(chaos):\n    print('TOLD', chaos.given['root'].name)")
    assert told(suite(None, "--chaos", "-s", "--rootdir=.", "--confcutdir=.", "inner/test_inner.py")) == "inner"


def test_chaos_settings_may_repeat_tests_and_a_wrong_key_is_an_error(suite: Suite) -> None:
    source = """
import pytest

@pytest.fixture(scope="session")
def chaos_settings():
    return {"runs": 3, KEY: 1}

def test_told(chaos):
    chaos.terminate("app").verify()
    print("TOLD", chaos.given["suffix"])

@pytest.mark.chaos(runs=1)
def test_marker(chaos):
    chaos.terminate("app").verify()
    print("TOLD", chaos.given["suffix"] or "once")
"""
    result = suite(source.replace("KEY", '"allow"'), "--chaos", "-s")
    result.assert_outcomes(passed=2)
    assert [each.split("TOLD ")[1] for each in result.outlines if "TOLD " in each] == ["run1", "run2", "run3", "once"]
    result.stdout.fnmatch_lines(["*test_told  3 of 3 runs passed*"])
    result = suite(source.replace("KEY", '"client"'), "--chaos")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["ERROR*usage: chaos_settings has 'client', which nobody reads (did you mean 'clients'*"]
    )


def test_chaos_settings_fill_in_what_a_test_left_out() -> None:
    shop = Command("python shop.py --port {port}", ready="/healthz")
    made = system_with(shop, {"ready": "/other", "warm_up_s": 2, "env": {"A": "1"}}, lambda _: "shop")
    assert (made.ready, made.warm_up_s, made.env, made.name) == ("/healthz", 2, {"A": "1"}, "shop")
    assert made.address is shop.address
    first, second = work_with([Requests("GET /a", clients=2), Requests("GET /b", new="/x")], {"clients": 8, "idle": 0})
    assert (first.clients, second.clients, first.idle, str(second.new)) == (2, 8, 0, "GET /x")
