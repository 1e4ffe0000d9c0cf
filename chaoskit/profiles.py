"""How each platform stops a service: signal, recipient, grace and propagation as values, each with its source.

A platform whose documentation gives no number for how long new work still arrives has a propagation of 0: chaoskit
accuses nobody on a guess. Override what is different at your place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from chaoskit.errors import UsageError, near
from chaoskit.signals import name_of

RECIPIENTS = ("leader", "group", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One platform's stop. Times are seconds; `pre_stop_s` is a duration, or a command that is run and waited for.

    Raises:
        UsageError: a value is out of range, or longer than the platform allows; the message names it.
    """

    name: str
    signal: str = "SIGTERM"
    to: str = "leader"
    grace_s: float = 10
    pre_stop_s: float | str = 0
    pre_stop_counts: bool = True  # the grace period includes the pre-stop hook
    propagation_s: float = 0
    max_grace_s: float | None = None
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what no platform could do."""
        object.__setattr__(self, "signal", name_of(self.signal))
        if self.to not in RECIPIENTS:
            raise UsageError(
                f"profile '{self.name}': to is {self.to!r}; "
                f"expected {', '.join(RECIPIENTS)}{near(str(self.to), RECIPIENTS)}"
            )
        self._number("grace_s", self.grace_s, above=True)
        self._number("propagation_s", self.propagation_s)
        if not isinstance(self.pre_stop_s, str):
            self._number("pre_stop_s", self.pre_stop_s)
        elif not self.pre_stop_s.strip():
            raise UsageError(f"profile '{self.name}': pre_stop_s is empty; expected seconds or a command")
        if self.max_grace_s is not None and self.grace_s > self.max_grace_s:
            raise UsageError(
                f"profile '{self.name}': grace_s is {self.grace_s:g}, but the platform kills after "
                f"{self.max_grace_s:g} s at most ({self.source}); where yours differs, give max_grace_s too"
            )

    def _number(self, name: str, value: object, *, above: bool = False) -> None:
        good = isinstance(value, int | float) and not isinstance(value, bool) and (value > 0 if above else value >= 0)
        if not good or value == float("inf"):
            expected = "seconds above 0" if above else "seconds, at least 0"
            raise UsageError(f"profile '{self.name}': {name} is {value!r}; expected {expected}")

    def but(self, **overrides: Any) -> Profile:
        """The same profile with other values; None leaves one as it is.

        Raises:
            UsageError: a name that no profile has, with the near ones.
        """
        return _overridden(self, overrides)


class Overrides(TypedDict, total=False):
    """What every profile lets you override, beside `grace_s`."""

    pre_stop_s: float | str | None
    pre_stop_counts: bool | None
    propagation_s: float | None
    signal: str | None
    to: str | None
    max_grace_s: float | None


_KNOBS = ("grace_s", *Overrides.__annotations__)

PROCESS = Profile(name="process", source="chaoskit's own default", note="a plain process: no hook, no load balancer")
KUBERNETES = Profile(
    name="kubernetes",
    grace_s=30,
    propagation_s=5,
    source="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
    note="terminationGracePeriodSeconds includes preStop; endpoints are removed at the same time, not before",
)
ECS = Profile(
    name="ecs",
    grace_s=30,
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html",
    note="stopTimeout; on EC2 also ECS_CONTAINER_STOP_TIMEOUT of the agent",
)
FARGATE = Profile(
    name="fargate",
    grace_s=30,
    max_grace_s=120,
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html",
    note="stopTimeout, 120 s at most",
)
DOCKER = Profile(
    name="docker",
    grace_s=10,
    source="https://docs.docker.com/reference/cli/docker/container/stop/",
    note="docker stop -t; the signal is the image's STOPSIGNAL",
)
COMPOSE = Profile(
    name="compose",
    grace_s=10,
    source="https://docs.docker.com/reference/compose-file/services/#stop_grace_period",
    note="stop_grace_period; stop_signal",
)
SYSTEMD = Profile(
    name="systemd",
    to="all",
    grace_s=90,
    pre_stop_counts=False,
    source="https://www.freedesktop.org/software/systemd/man/latest/systemd.kill.html",
    note="KillMode=control-group: every process of the unit, then SIGCONT; TimeoutStopSec counts anew after ExecStop",
)
NOMAD = Profile(
    name="nomad",
    signal="SIGINT",
    grace_s=5,
    pre_stop_counts=False,
    max_grace_s=30,
    source="https://developer.hashicorp.com/nomad/docs/job-specification/task#kill_timeout",
    note="kill_timeout, bounded by the client's max_kill_timeout (30 s); kill_signal; shutdown_delay comes before it",
)
HEROKU = Profile(
    name="heroku",
    to="all",
    grace_s=30,
    max_grace_s=30,
    source="https://devcenter.heroku.com/articles/dynos#graceful-shutdown-with-sigterm",
    note="every process of the dyno gets the signal; not adjustable",
)
CLOUD_RUN = Profile(
    name="cloud_run",
    grace_s=10,
    max_grace_s=10,
    source="https://cloud.google.com/run/docs/container-contract#instance-shutdown",
    note="not adjustable",
)
LAMBDA = Profile(
    name="lambda",
    grace_s=0.3,
    max_grace_s=0.5,
    source="https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html",
    note="SIGTERM is sent only where an extension is registered; 0.5 s with an internal one",
)
SPOT = Profile(
    name="spot",
    to="all",
    grace_s=120,
    max_grace_s=120,
    source="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html",
    note="the notice is the stop action; what turns it into a signal is yours",
)

_ALL = (PROCESS, KUBERNETES, ECS, FARGATE, DOCKER, COMPOSE, SYSTEMD, NOMAD, HEROKU, CLOUD_RUN, LAMBDA, SPOT)


def process(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A plain process: SIGTERM to the leader, 10 s, no pre-stop, no propagation. The default."""
    return PROCESS.but(grace_s=grace_s, **overrides)


def kubernetes(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A pod: SIGTERM to PID 1, 30 s that include preStop, and new work for another 5 s."""
    return KUBERNETES.but(grace_s=grace_s, **overrides)


def ecs(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """An ECS task on EC2: SIGTERM to PID 1, stopTimeout 30 s."""
    return ECS.but(grace_s=grace_s, **overrides)


def fargate(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """An ECS task on Fargate: SIGTERM to PID 1, stopTimeout 30 s, at most 120 s."""
    return FARGATE.but(grace_s=grace_s, **overrides)


def docker(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """`docker stop`: STOPSIGNAL to PID 1, 10 s."""
    return DOCKER.but(grace_s=grace_s, **overrides)


def compose(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """`docker compose stop`: stop_signal to PID 1, stop_grace_period 10 s."""
    return COMPOSE.but(grace_s=grace_s, **overrides)


def systemd(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A systemd unit: SIGTERM to every process of it, TimeoutStopSec 90 s."""
    return SYSTEMD.but(grace_s=grace_s, **overrides)


def nomad(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A Nomad task: SIGINT, kill_timeout 5 s, at most 30 s."""
    return NOMAD.but(grace_s=grace_s, **overrides)


def heroku(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A dyno: SIGTERM to every process, 30 s."""
    return HEROKU.but(grace_s=grace_s, **overrides)


def cloud_run(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A Cloud Run instance: SIGTERM, 10 s."""
    return CLOUD_RUN.but(grace_s=grace_s, **overrides)


def lambda_(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """A Lambda environment with an extension: SIGTERM, 0.3 s."""
    return LAMBDA.but(grace_s=grace_s, **overrides)


def spot(grace_s: float | None = None, **overrides: Unpack[Overrides]) -> Profile:
    """An EC2 Spot instance: 120 s from the notice."""
    return SPOT.but(grace_s=grace_s, **overrides)


def all_profiles(root: Path | None = None) -> tuple[Profile, ...]:
    """Every profile that we know; with `root` also those of the nearest pyproject.toml, which come last."""
    own = _own_tables(root) if root is not None else {}
    names = dict.fromkeys([*(each.name for each in _ALL), *own])
    return tuple(_named(name, own, ()) for name in names)


def by_name(name: str, root: Path | None = None) -> Profile:
    """The profile of that name; `[tool.chaoskit.profiles.NAME]` of the pyproject.toml nearest to `root` comes first.

    Raises:
        UsageError: no such profile (near names are offered), or its table is wrong.
    """
    return _named(name, _own_tables(root) if root is not None else {}, ())


def _named(name: str, own: Mapping[str, Mapping[str, Any]], seen: tuple[str, ...]) -> Profile:
    if name in own and name not in seen:
        return _from_table(name, own, seen)
    known = {each.name: each for each in _ALL}
    found = known.get(name.strip().lower().replace("-", "_").rstrip("_"))
    if found is not None:
        return found
    if name in seen:
        raise UsageError(f"profile '{name}' is based on itself: {' -> '.join([*seen, name])}")
    names = [*known, *own]
    raise UsageError(f"no profile '{name}'{near(name.lower(), names)}. There are: {', '.join(names)}")


def _from_table(name: str, own: Mapping[str, Mapping[str, Any]], seen: tuple[str, ...]) -> Profile:
    table = dict(own[name])
    base = table.pop("base", "process")
    if not isinstance(base, str):
        raise UsageError(f"[tool.chaoskit.profiles.{name}]: base is {base!r}; expected the name of a profile")
    note = table.pop("note", None)
    made = _overridden(replace(_named(base, own, (*seen, name)), name=name), table)
    return made if note is None else replace(made, note=str(note))


def _overridden(profile: Profile, overrides: Mapping[str, Any]) -> Profile:
    for name in overrides:
        if name not in _KNOBS:
            raise UsageError(
                f"profile '{profile.name}' has no '{name}'{near(name, _KNOBS)}. There are: {', '.join(_KNOBS)}"
            )
    return replace(profile, **{name: value for name, value in overrides.items() if value is not None})


def _own_tables(root: Path) -> dict[str, Mapping[str, Any]]:
    """The `[tool.chaoskit.profiles]` of the nearest pyproject.toml at or above `root`."""
    place = root.absolute()
    for folder in (place, *place.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _read_tables(path)
    return {}


def _read_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("chaoskit", {}).get("profiles", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"'{path}' cannot be read: {error}") from error
    wrong = [name for name, table in tables.items() if not isinstance(table, Mapping)]
    if wrong:
        raise UsageError(
            f"'{path}': '{wrong[0]}' of [tool.chaoskit.profiles] is no table; expected [tool.chaoskit.profiles.NAME]"
        )
    return dict(tables)
