"""What is done once, when the first chaos test that will run is collected."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chaoskit.profiles import by_name
from pytest_chaoskit import marker, options, outcome, repeat
from pytest_chaoskit.state import MAKERS
from pytest_chaoskit.stopping import Stopping

READY_S = 30  # as chaoskit.plan.Limits: each is the most that a step of one run may take
REHEARSAL_S = 60
MOMENT_S = 30
CLEAN_UP_S = 15
LEAST_S = 600  # a test may make several runs, each with a grace of its own
STOPPING = "chaoskit-stopping"
NAMES = {"chaoskit-outcome": outcome, "chaoskit-repeat": repeat}


def activate(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Begin to watch tests; bound them where pytest-timeout is present."""
    register(config)
    if config.pluginmanager.hasplugin("timeout"):
        for each in items:
            if each.get_closest_marker("timeout") is None:
                each.add_marker(pytest.mark.timeout(_worst_case_s(each)))


def register(config: pytest.Config) -> None:
    """Register what watches tests, once."""
    config.stash.setdefault(MAKERS, {})
    for name, module in NAMES.items():
        if not config.pluginmanager.hasplugin(name):
            config.pluginmanager.register(module, name)
    if not config.pluginmanager.hasplugin(STOPPING):
        stopping = Stopping()
        config.pluginmanager.register(stopping, STOPPING)
        stopping.listen()


def _worst_case_s(item: pytest.Item) -> float:
    """Twice (a disturbed run is repeated once) the most of each step, for every run and as many extra ones."""
    given = marker.merged(item)
    named = given.get("profile") or options.value(item.config, "profile") or "process"
    profile = by_name(named, item.path.parent) if isinstance(named, str) else named
    grace_s = float(given.get("grace_s", profile.grace_s))
    hook_s = 0.0 if isinstance(profile.pre_stop_s, str) else profile.pre_stop_s
    run_s = READY_S + REHEARSAL_S + MOMENT_S + hook_s + grace_s + profile.propagation_s + CLEAN_UP_S
    runs, _ = marker.runs_and_allow(item)
    times = 2 * runs if runs > 1 else 1
    return max(LEAST_S, 2 * run_s, _general_s(item.config)) * times


def _general_s(config: pytest.Config) -> float:
    """The time-out that the user has for every test; 0 where there is none."""
    given = config.getoption("timeout", None)
    return float(config.getini("timeout") or 0 if given is None else given)
