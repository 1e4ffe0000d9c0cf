"""What is going to be done in one run: frozen, validated when made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaoskit.errors import UsageError
from chaoskit.faults.base import Fault
from chaoskit.moments import Held, Moment, parts
from chaoskit.profiles import Profile
from chaoskit.workloads.requests import Requests


@dataclass(frozen=True, slots=True)
class Limits:
    """How long we wait for what, in seconds."""

    ready_s: float = 30.0
    moment_s: float = 30.0  # EXPERIENCE: a moment that does not come within 30 s ends in unknown
    rehearsal_s: float = 60.0
    hung_s: float = 2.0  # past the deadline: then a held request is hung
    leaves_s: float = 1.0  # after the leader's exit: then a child is left behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One system, the work that keeps it busy, the moment and the fault."""

    system: Any  # a Command
    name: str
    workloads: tuple[Requests, ...]
    profile: Profile
    fault: Fault
    moment: Moment = field(default_factory=Held)
    limits: Limits = field(default_factory=Limits)
    exit_code: int | None = None
    budget_s: float | None = None
    own: bool = False  # a user's own client drives (an -ing block)
    root: Path
    run_dir: Path
    test: str | None = None
    replay_after_s: float | None = None
    idle_close_share: float = 0.8

    def __post_init__(self) -> None:
        """Refuse plans that cannot be run."""
        if not self.workloads and not self.own:
            raise UsageError(
                f"nothing keeps '{self.name}' busy: give during=Requests('GET /path'), or use the -ing form with your own client"
            )
        if self.profile.grace_s <= 0:
            raise UsageError(f"grace_s is {self.profile.grace_s:g}; expected seconds above 0")
        hook = self.profile.pre_stop_s
        if self.profile.pre_stop_counts and not isinstance(hook, str) and hook >= self.profile.grace_s:
            raise UsageError(
                f"pre_stop_s is {hook:g} and counts into the grace of {self.profile.grace_s:g} s: no time is left for the "
                "signal, SIGKILL comes first. Raise grace_s or lower pre_stop_s"
            )
        fronts = {id(getattr(each.via, "system", each.via)) for each in self.workloads if each.via is not None}
        if len(fronts) > 1:
            raise UsageError("the workloads of one run go through different fronts (via=): split them into two runs")
        if len(fronts) == 1 and any(each.via is None for each in self.workloads):
            raise UsageError("one workload of this run has a front (via=), another has none: split them into two runs")

    @property
    def via(self) -> Any:
        """The front that every workload goes through, or None."""
        given = self.workloads[0].via if self.workloads else None
        return getattr(given, "system", given)  # what chaos.launch gave stands for its system

    def watched_logs(self) -> tuple[str, ...]:
        """The texts that the moment looks for in the log."""
        return tuple(each.text for each in parts(self.moment) if hasattr(each, "text"))

    def watched_bytes(self) -> tuple[int, ...]:
        """The body byte counts that the moment looks for."""
        return tuple(sorted({each.count for each in parts(self.moment) if type(each).__name__ == "Byte"}))  # type: ignore[attr-defined]
