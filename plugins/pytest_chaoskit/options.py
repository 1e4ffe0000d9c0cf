"""Every option three ways: command line, `CHAOSKIT_*`, ini key; and which of them a value came from (PYTEST_DONT_REWRITE)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Option(NamedTuple):
    """One option: `--chaos-NAME`, `CHAOSKIT_NAME`, `chaos_NAME` (dashes are underscores there)."""

    name: str
    help: str
    kind: str = "string"  # string, int, bool
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int = 0
    metavar: str | None = None


class Setting(NamedTuple):
    """A value and where it came from: `--chaos-profile`, `CHAOSKIT_PROFILE`, `ini chaos_profile` or `default`."""

    value: Any
    origin: str


OPTIONS = {
    each.name: each
    for each in (
        Option("enabled", "Run tests that strike systems; without it they are skipped", "bool", default=False),
        Option("profile", "How the platform stops a service, where the test does not say", metavar="NAME"),
        Option("force_profile", "As --chaos-profile, whatever the tests say", metavar="NAME"),
        Option("driver", "Where systems run", default="process", choices=("process",)),
        Option("runs", "Repeat each chaos test", "int", 1, least=1, metavar="N"),
        Option("allow", "How many of the runs may fail", "int", 0, metavar="N"),
        Option("dir", "Folder of the run folders, relative to rootdir", default=".chaos", metavar="DIR"),
        Option(
            "keep",
            "Run folders to keep: all, failed, or the last N beside the failed ones",
            default="20",
            metavar="all|failed|N",
        ),
        Option("replay", "Strike at the moment of this earlier run again", metavar="RUN_DIR"),
        Option("unknown", "What a run that proves nothing is", default="fail", choices=("fail", "warn")),
        Option(
            "parallel", "Strikes under way at once over all workers (default: cores / 2)", "int", least=1, metavar="N"
        ),
    )
}
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


def add(parser: pytest.Parser) -> None:
    """Add them all to pytest's parser."""
    group = parser.getgroup("chaoskit", "chaos testing")
    for each in OPTIONS.values():
        note = "" if each.default is None else f". Default: {each.default!r}"
        if each.kind == "bool":
            group.addoption(
                "--chaos", action=argparse.BooleanOptionalAction, default=None, dest="chaos_enabled", help=each.help
            )
        else:
            group.addoption(
                f"--chaos-{each.name.replace('_', '-')}",
                dest=f"chaos_{each.name}",
                type=int if each.kind == "int" else str,
                choices=each.choices or None,
                metavar=each.metavar,
                default=None,
                help=each.help + note,
            )
        parser.addini(f"chaos_{each.name}", each.help + note, type=_ini_type(each), default=None)


def _ini_type(option: Option) -> Any:
    if option.kind == "bool":
        return "bool"
    if option.kind == "int" and pytest.version_tuple >= (8, 4):
        return "int"  # [tool.pytest] of pytest 9 has typed values: `chaos_runs = 5` must be welcome
    if option.name == "keep" and pytest.version_tuple >= (9, 2):
        return int | str
    return "string"


def get(config: pytest.Config, name: str) -> Setting:
    """The value of one option: command line, then environment, then ini, then default.

    Raises:
        pytest.UsageError: the value is none that the option can have; says where it came from.
    """
    option = OPTIONS[name]
    flag = "--chaos" if name == "enabled" else f"--chaos-{name.replace('_', '-')}"
    variable = f"CHAOSKIT_{name.upper()}"
    given = config.getoption(f"chaos_{name}", None)
    if given is not None:
        return Setting(_checked(option, given, flag), flag)
    if os.environ.get(variable):
        return Setting(_checked(option, os.environ[variable], variable), variable)
    given = config.getini(f"chaos_{name}")
    if given is not None and given != "":
        return Setting(_checked(option, given, f"ini chaos_{name}"), f"ini chaos_{name}")
    return Setting(option.default, "default")


def value(config: pytest.Config, name: str) -> Any:
    """The value of one option, wherever it came from."""
    return get(config, name).value


def enabled(config: pytest.Config) -> bool:
    """Whether chaos tests run."""
    return bool(value(config, "enabled"))


def check(config: pytest.Config) -> None:
    """Refuse wrong values before anything is collected."""
    for name in OPTIONS:
        get(config, name)
    replay = value(config, "replay")
    if replay is not None and not (config.invocation_params.dir / replay).is_dir():
        raise pytest.UsageError(f"--chaos-replay: no run folder '{replay}'; expected one of .chaos/")


def folder(config: pytest.Config) -> Path:
    """The folder of all run folders, absolute."""
    return config.rootpath / Path(value(config, "dir")).expanduser()


def _checked(option: Option, given: Any, origin: str) -> Any:
    if option.kind == "bool":
        return _bool(given, origin)
    if option.kind == "int":
        return _int(option, given, origin)
    text = str(given)
    if option.choices and text not in option.choices:
        raise pytest.UsageError(f"{origin} is {text!r}; expected {' or '.join(option.choices)}")
    if option.name == "keep" and text not in ("all", "failed") and not text.isdigit():
        raise pytest.UsageError(f"{origin} is {text!r}; expected all, failed or a number of run folders")
    return text


def _bool(given: Any, origin: str) -> bool:
    if isinstance(given, bool):
        return given
    if str(given).lower() in _YES:
        return True
    if str(given).lower() in _NO:
        return False
    raise pytest.UsageError(f"{origin} is {given!r}; expected 1 or 0")


def _int(option: Option, given: Any, origin: str) -> int:
    try:
        number = int(given)
    except ValueError:
        number = option.least - 1
    if number < option.least:
        raise pytest.UsageError(f"{origin} is {given!r}; expected a whole number of at least {option.least}")
    return number
