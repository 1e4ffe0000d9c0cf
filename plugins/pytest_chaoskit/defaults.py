"""What `chaos_settings` says of `Requests` and `Command`: used where the test left an argument as it was."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaoskit import Command, Requests, UsageError
from chaoskit.errors import near
from pytest_chaoskit.marker import KEYS

SYSTEM = {
    name: each.default
    for name, each in inspect.signature(Command).parameters.items()
    if name not in ("command", "name") and each.default is not inspect.Parameter.empty
}
WORK = {
    name: each.default
    for name, each in inspect.signature(Requests).parameters.items()
    if each.kind is inspect.Parameter.KEYWORD_ONLY
}


def check(settings: Mapping[str, Any]) -> None:
    """Refuse keys that would do nothing.

    Raises:
        UsageError: names the key and the near ones.
    """
    known = [*KEYS, *WORK, *SYSTEM]
    for key in settings:
        if key not in known:
            raise UsageError(f"chaos_settings has '{key}', which nobody reads{near(key, known)}")


def system_with(system: Any, settings: Mapping[str, Any], name: Callable[[Any], str]) -> Any:
    """The same system, its address unchanged, with defaults filled in."""
    changes = {
        key: settings[key] for key, built_in in SYSTEM.items() if key in settings and _left(system, key, built_in)
    }
    if not isinstance(system, Command) or not changes:
        return system
    made = copy.copy(system)
    for key, value in {**changes, "name": name(system)}.items():
        object.__setattr__(made, key, value)
    return made


def work_with(during: Any, settings: Mapping[str, Any]) -> Any:
    """The same workloads with defaults filled in."""
    if isinstance(during, Sequence) and not isinstance(during, str):
        return [work_with(each, settings) for each in during]
    if not isinstance(during, Requests):
        return during
    changes = {key: settings[key] for key, built_in in WORK.items() if key in settings and _left(during, key, built_in)}
    if not changes:
        return during
    as_given = {key: getattr(during, key) for key in WORK}
    as_given["new"] = None if during.new is None else str(during.new)
    return Requests(*map(str, during.targets), **{**as_given, **changes})


def _left(value: Any, key: str, built_in: Any) -> bool:
    given = getattr(value, key, None)
    return given is built_in or bool(type(given) is type(built_in) and given == built_in)
