"""The marker `chaos`: its keywords, merged key by key over module and class, the closest first (PYTEST_DONT_REWRITE)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_chaoskit import options

if TYPE_CHECKING:
    import pytest

KEYS = ("profile", "grace_s", "signal", "to", "runs", "allow")
PLAN_KEYS = ("profile", "grace_s", "signal", "to")
HELP = (
    "chaos(profile=None, grace_s=None, signal=None, to=None, runs=1, allow=0): "
    "strikes systems; runs with --chaos only. Merged key by key over module and class, the closest wins."
)


def merged(item: pytest.Item) -> dict[str, Any]:
    """The keywords of all `chaos` markers of a test; None counts as not given."""
    found: dict[str, Any] = {}
    for mark in item.iter_markers("chaos"):
        for key, value in mark.kwargs.items():
            if value is not None:
                found.setdefault(key, value)
    return found


def problem(item: pytest.Item) -> str | None:
    """What is wrong with the markers of a test, in one sentence, or None."""
    for mark in item.iter_markers("chaos"):
        if mark.args:
            return f"{item.nodeid}: chaos({mark.args[0]!r}) has an argument without a name: expected {', '.join(KEYS)}"
        for key in mark.kwargs:
            if key not in KEYS:
                from chaoskit.errors import near

                return f"{item.nodeid}: the marker chaos has no '{key}'{near(key, KEYS)}. It has: {', '.join(KEYS)}"
    given = merged(item)
    wrong = _wrong(given)
    return f"{item.nodeid}: {wrong}" if wrong else _profile_problem(item, given)


def _wrong(given: dict[str, Any]) -> str | None:
    return _wrong_counts(given) or _wrong_stop(given)


def _wrong_counts(given: dict[str, Any]) -> str | None:
    runs, allow = given.get("runs", 1), given.get("allow", 0)
    if not _is_whole(runs) or runs < 1:
        return f"chaos(runs={runs!r}): expected a whole number of at least 1"
    if not _is_whole(allow) or allow < 0:
        return f"chaos(allow={allow!r}): expected a whole number of at least 0"
    if "runs" in given and allow >= runs:
        return f"chaos(runs={runs}, allow={allow}): a test whose every run may fail proves nothing"
    return None


def _wrong_stop(given: dict[str, Any]) -> str | None:
    grace_s = given.get("grace_s", 1)
    if not _is_number(grace_s) or grace_s <= 0:
        return f"chaos(grace_s={grace_s!r}): expected seconds above 0"
    if given.get("to", "leader") not in ("leader", "group", "all"):
        from chaoskit.errors import near

        return f"chaos(to={given['to']!r}): expected leader, group or all{near(str(given['to']), ['leader', 'group', 'all'])}"
    if not isinstance(given.get("signal", 1), str | int) or isinstance(given.get("signal"), bool):
        return f"chaos(signal={given['signal']!r}): expected a name such as 'SIGINT', or its number"
    return None


def _profile_problem(item: pytest.Item, given: dict[str, Any]) -> str | None:
    profile = given.get("profile")
    if profile is None and "signal" not in given:
        return None
    from chaoskit.errors import UsageError
    from chaoskit.profiles import Profile, by_name, process

    try:
        if isinstance(profile, str):
            by_name(profile, item.path.parent)
        elif profile is not None and not isinstance(profile, Profile):
            return f"{item.nodeid}: chaos(profile={profile!r}): expected a name, or a value of chaoskit.profiles"
        if "signal" in given:
            process(signal=given["signal"])
    except UsageError as error:
        return f"{item.nodeid}: chaos({'profile' if isinstance(profile, str) else 'signal'}=...): {error}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def runs_and_allow(item: pytest.Item) -> tuple[int, int]:
    """How often a test runs and how many runs may fail: marker, command line, environment, ini, `chaos_settings`.

    The last is known only when the fixtures of the first run have been made.
    """
    from pytest_chaoskit.state import DEFAULTS

    given, last = merged(item), item.stash.get(DEFAULTS, {})
    found = []
    for key in ("runs", "allow"):
        option = options.get(item.config, key)
        fallback = last.get(key, option.value) if option.origin == "default" else option.value
        found.append(int(given.get(key, fallback)))
    return found[0], min(found[1], found[0] - 1)


def plan_settings(
    item: pytest.Item, profile_fixture: object, settings: dict[str, Any], *, parametrised: bool
) -> dict[str, Any]:
    """profile, grace_s, signal and to of one test, below what a call says.

    parametrised `chaos_profile` > marker > command line > environment > ini > `chaos_settings` > default. A layer that
    names a profile brings its grace, signal and recipient along: those of farther layers do not reach into it.
    """
    layers: list[dict[str, Any]] = []
    own = {} if profile_fixture is None else {"profile": profile_fixture}
    if parametrised:
        layers.append(own)
    layers.append({key: value for key, value in merged(item).items() if key in PLAN_KEYS})
    option = options.value(item.config, "profile")
    layers.append({} if option is None else {"profile": option})
    if not parametrised:
        layers.append(own)
    layers.append({key: value for key, value in settings.items() if key in PLAN_KEYS and value is not None})
    found: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            found.setdefault(key, value)
        if "profile" in found:
            break
    return found
