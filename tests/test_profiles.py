"""Profiles are values: validated when made, each number with its source, found by name, extended by the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit import profiles
from chaoskit.errors import UsageError
from chaoskit.profiles import Profile, all_profiles, by_name


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(
        """
        [tool.chaoskit.profiles.ours]
        base = "kubernetes"
        grace_s = 60
        pre_stop_s = 5

        [tool.chaoskit.profiles.staging]
        base = "ours"
        propagation_s = 12

        [tool.chaoskit.profiles.fargate]
        max_grace_s = 240
        grace_s = 200

        [tool.chaoskit.profiles.circle]
        base = "circle"

        [tool.chaoskit.profiles.wrong]
        base = "docker"
        grase_s = 3
        """
    )
    return tmp_path


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda each: each.name)
def test_every_profile_names_its_source(profile: Profile) -> None:
    assert profile.source.startswith("https://") or profile.name == "process"


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda each: each.name)
def test_every_profile_has_a_function_of_its_name_and_is_found_by_it(profile: Profile) -> None:
    made = getattr(profiles, f"{profile.name}_" if profile.name == "lambda" else profile.name)()
    assert made == profile == by_name(profile.name) == by_name(profile.name.replace("_", "-").upper())


def test_the_numbers_are_those_of_the_vendors() -> None:
    assert {each.name: (each.signal, each.to, each.grace_s, each.propagation_s) for each in all_profiles()} == {
        "process": ("SIGTERM", "leader", 10, 0),
        "kubernetes": ("SIGTERM", "leader", 30, 5),
        "ecs": ("SIGTERM", "leader", 30, 0),
        "fargate": ("SIGTERM", "leader", 30, 0),
        "docker": ("SIGTERM", "leader", 10, 0),
        "compose": ("SIGTERM", "leader", 10, 0),
        "systemd": ("SIGTERM", "all", 90, 0),
        "nomad": ("SIGINT", "leader", 5, 0),
        "heroku": ("SIGTERM", "all", 30, 0),
        "cloud_run": ("SIGTERM", "leader", 10, 0),
        "lambda": ("SIGTERM", "leader", 0.3, 0),
        "spot": ("SIGTERM", "all", 120, 0),
    }


def test_what_is_given_replaces_the_number_and_nothing_else() -> None:
    made = profiles.kubernetes(60, pre_stop_s="sleep 5", signal="quit", to="group")
    assert (made.grace_s, made.pre_stop_s, made.signal, made.to) == (60, "sleep 5", "SIGQUIT", "group")
    assert (made.name, made.propagation_s, made.source) == ("kubernetes", 5, profiles.KUBERNETES.source)


def test_none_leaves_a_number_as_it_is() -> None:
    assert profiles.kubernetes(None, propagation_s=None) == profiles.kubernetes()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"grace_s": 0}, "grace_s is 0; expected seconds above 0"),
        ({"grace_s": float("nan")}, "grace_s is nan"),
        ({"grace_s": float("inf")}, "grace_s is inf"),
        ({"grace_s": True}, "grace_s is True"),
        ({"pre_stop_s": -1}, "pre_stop_s is -1"),
        ({"pre_stop_s": " "}, "pre_stop_s is empty"),
        ({"propagation_s": "5"}, "propagation_s is '5'"),
        ({"to": "leeder"}, r"to is 'leeder'; expected leader, group, all \(did you mean 'leader'\?\)"),
        ({"signal": "SIGTREM"}, "SIGTERM"),
        ({"grase_s": 3}, r"has no 'grase_s' \(did you mean 'grace_s'"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        profiles.kubernetes(**wrong)  # type: ignore[arg-type]


def test_a_grace_period_that_the_platform_does_not_grant_is_refused_with_the_source() -> None:
    with pytest.raises(UsageError, match=r"kills after 120 s at most \(https://docs.aws"):
        profiles.fargate(300)
    assert profiles.fargate(300, max_grace_s=400).grace_s == 300


def test_an_unknown_name_offers_the_near_ones() -> None:
    with pytest.raises(UsageError, match=r"no profile 'kubernetse' \(did you mean 'kubernetes'\?\)"):
        by_name("kubernetse")


def test_own_profiles_come_from_the_nearest_pyproject(project: Path) -> None:
    below = project / "services" / "shop"
    below.mkdir(parents=True)
    ours, staging = by_name("ours", below), by_name("staging", below)
    assert (ours.name, ours.grace_s, ours.pre_stop_s, ours.propagation_s) == ("ours", 60, 5, 5)
    assert (staging.name, staging.grace_s, staging.propagation_s) == ("staging", 60, 12)


def test_an_own_profile_may_extend_the_shipped_one_of_its_name(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.chaoskit.profiles.docker]\nbase = "docker"\ngrace_s = 25\n')
    assert by_name("docker", project).grace_s == 25
    assert by_name("docker").grace_s == 10


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong", r"has no 'grase_s' \(did you mean 'grace_s'"),
        ("circle", "profile 'circle' is based on itself: circle -> circle"),
        ("owrs", "did you mean 'ours'"),
    ],
)
def test_a_wrong_table_is_named(project: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        by_name(name, project)


def test_a_pyproject_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.chaoskit\n")
    with pytest.raises(UsageError, match=r"pyproject.toml' cannot be read"):
        by_name("ours", tmp_path)


def test_all_profiles_lists_own_ones_last(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.chaoskit.profiles.ours]\nbase = "ecs"\n')
    assert [each.name for each in all_profiles(tmp_path)][-2:] == ["spot", "ours"]
