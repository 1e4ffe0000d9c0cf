"""The grace period as a budget: what is spent before work in flight gets its share, and what is promised for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chaoskit.errors import UsageError


class Disposition(StrEnum):
    """What the owner of a system promises, before the deadline, about one kind of work."""

    DRAIN = "drain"
    REJECT = "reject"
    FINISH = "finish"
    REQUEUE = "requeue"
    CHECKPOINT = "checkpoint"


DRAIN = Disposition.DRAIN
REJECT = Disposition.REJECT
FINISH = Disposition.FINISH
REQUEUE = Disposition.REQUEUE
CHECKPOINT = Disposition.CHECKPOINT


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds of one grace period by what spends them; only `residual_s` is there for work in flight."""

    grace_s: float
    pre_stop_s: float = 0.0
    keep_alive_drain_s: float = 0.0
    teardown_s: float = 0.0
    margin_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse parts that are negative."""
        for name in ("grace_s", "pre_stop_s", "keep_alive_drain_s", "teardown_s", "margin_s"):
            if getattr(self, name) < 0:
                raise UsageError(f"Budget: {name} is {getattr(self, name)}; expected seconds >= 0")

    @property
    def spent_s(self) -> float:
        """Seconds that are gone before any work in flight gets its share."""
        return self.pre_stop_s + self.keep_alive_drain_s + self.teardown_s + self.margin_s

    @property
    def residual_s(self) -> float:
        """Seconds for work in flight; never below 0."""
        return max(0.0, self.grace_s - self.spent_s)

    def fits(self, duration_s: float) -> bool:
        """Whether work of this duration, begun at the stop action, ends inside the budget."""
        return duration_s <= self.residual_s
