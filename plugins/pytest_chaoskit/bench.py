"""Makes the harness of one test: its folder, settings, names and slots."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_chaoskit import activation, folders, marker, options
from pytest_chaoskit import defaults as default_settings
from pytest_chaoskit.slots import Slots
from pytest_chaoskit.state import ATTEMPT, DEFAULTS, HARNESS, MAKERS

if TYPE_CHECKING:
    from chaoskit import Harness

SECOND_CLOSE_SHARE = 0.5  # EXPERIENCE of `waits_for_idle`: every second run closes idle connections earlier
FIRST_CLOSE_SHARE = 0.8


def open_harness(
    request: pytest.FixtureRequest,
    library: SimpleNamespace,
    server: Any,
    defaults: dict[str, Any],
    profile: Any,
) -> Harness:
    """The harness of the test that requests `chaos`; remembered for what watches the test."""
    item, config = request.node, request.config
    activation.register(config)  # a test may reach for `chaos` with getfixturevalue
    default_settings.check(defaults)
    item.stash[DEFAULTS] = defaults
    runs, _ = marker.runs_and_allow(item)
    number = item.stash.get(ATTEMPT, 0)
    folder = folders.prepare(options.folder(config))
    harness: Harness = library.Harness(
        run_dir=folder,
        root=_root(item),
        sink_server=server,
        settings=_settings(item, defaults, profile),
        driver=options.value(config, "driver"),
        test=item.nodeid,
        replay=_replay(config, item),
        slots=_slots(config, folder),
        names=_names(config),
        again=lambda run_dir: _again(config, item, run_dir),
        suffix=f"run{number + 1}" if runs > 1 else "",
        close_share=SECOND_CLOSE_SHARE if number % 2 else FIRST_CLOSE_SHARE,
    )
    item.stash[HARNESS] = harness
    return harness


def _settings(item: pytest.Item, defaults: dict[str, Any], profile: Any) -> dict[str, Any]:
    parametrised = "chaos_profile" in getattr(getattr(item, "callspec", None), "params", {})
    rest = {key: value for key, value in defaults.items() if key not in marker.KEYS}
    rest |= marker.plan_settings(item, profile, defaults, parametrised=parametrised)
    forced = options.value(item.config, "force_profile")
    if forced is not None:
        rest["force_profile"] = forced
    rest["unknown"] = options.value(item.config, "unknown")
    return rest


def _root(item: pytest.Item) -> Path:
    """The folder of the nearest pyproject.toml or pytest.ini above the test file, else rootdir."""
    for folder in item.path.parents:
        if (folder / "pyproject.toml").is_file() or (folder / "pytest.ini").is_file():
            return folder
    return item.config.rootpath


def _replay(config: pytest.Config, item: pytest.Item) -> Path | None:
    """The run whose moment this test repeats: only the test that made it does."""
    given = options.value(config, "replay")
    if given is None:
        return None
    from chaoskit import load
    from chaoskit.history.facts import RunPlanned

    folder: Path = config.invocation_params.dir / given
    first = next(iter(load(folder)), None)
    made_by = first.fact.test if first is not None and isinstance(first.fact, RunPlanned) else None
    return folder if made_by in (None, item.nodeid) else None


def _slots(config: pytest.Config, folder: Path) -> Slots:
    found: Slots | None = config.stash.get(SLOTS, None)
    if found is None:
        found = config.stash[SLOTS] = Slots(folder / ".slots", options.value(config, "parallel"))
    return found


SLOTS: pytest.StashKey[Slots] = pytest.StashKey()


def _names(config: pytest.Config) -> Callable[[Any], str | None]:
    makers = config.stash[MAKERS]

    def name(system: Any) -> str | None:
        found = makers.get(id(system))
        return None if found is None else found[1]

    return name


def _again(config: pytest.Config, item: pytest.Item, run_dir: Path) -> str:
    file, *names = item.nodeid.split("::")
    path = os.path.relpath(config.rootpath / file, config.invocation_params.dir)
    test = shlex.quote("::".join((path, *names)))
    return f"pytest {test} --chaos --chaos-replay {shlex.quote(folders.shown(config, run_dir))}"
