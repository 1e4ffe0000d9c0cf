"""A fault is a value with one method; what it may do to the system is the small port `Hand`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chaoskit.profiles import Profile


class Hand(Protocol):
    """What a fault can do to the struck instance. Instants are seconds on the run's clock."""

    @property
    def profile(self) -> Profile:
        """The platform whose stop is played."""

    def now(self) -> float:
        """The present instant."""

    def stop_action(self) -> float:
        """Begin the stop: the clocks of deadline and propagation start; returns the deadline."""

    def pre_stop(self) -> None:
        """Run or wait out the profile's pre-stop hook, at most until the deadline."""

    def signal(self, name: str, to: str, reason: str, at_s: float | None = None) -> bool:
        """Send a signal at an instant (None: now); False when nothing was left to signal."""

    def sleep_until(self, at_s: float) -> bool:
        """Wait; True when the leader was gone before."""

    def kill_at(self, at_s: float) -> None:
        """SIGKILL to the whole tree at this instant unless it is gone by then."""


class Fault(Protocol):
    """One thing that goes wrong."""

    @property
    def kind(self) -> str:
        """The word in history and report."""

    def strike(self, hand: Hand) -> None:
        """Do it; returns when the last signal that the fault itself sends is out."""

    def ends_process(self) -> bool:
        """Whether the system is expected to end."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """The platform's stop: pre-stop, signal, SIGKILL at the deadline, which counts from the stop action."""

    kind = "terminate"

    def strike(self, hand: Hand) -> None:
        deadline = hand.stop_action()
        hand.kill_at(deadline)
        hand.pre_stop()
        hand.signal(hand.profile.signal, hand.profile.to, "stop")

    def ends_process(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Twice:
    """As terminate, and the same signal again `again_after_s` later (an impatient operator, a second Ctrl-C)."""

    again_after_s: float = 0.5
    kind = "twice"

    def strike(self, hand: Hand) -> None:
        Terminate().strike(hand)
        if not hand.sleep_until(hand.now() + self.again_after_s):
            hand.signal(hand.profile.signal, hand.profile.to, "again")

    def ends_process(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL at once, to leader, group or the whole tree: nobody can prepare."""

    to: str = "all"
    kind = "kill"

    def strike(self, hand: Hand) -> None:
        hand.stop_action()
        hand.signal("SIGKILL", self.to, "kill")

    def ends_process(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP to every process, SIGCONT `for_s` later (a frozen VM, a live migration)."""

    for_s: float = 1.0
    kind = "pause"

    def strike(self, hand: Hand) -> None:
        hand.stop_action()
        hand.signal("SIGSTOP", "all", "pause")
        hand.sleep_until(hand.now() + self.for_s)
        hand.signal("SIGCONT", "all", "resume")

    def ends_process(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class AtStart:
    """The stop comes `after_s` after the launch, ready or not: a deploy that is rolled back at once."""

    after_s: float = 0.1
    kind = "at_start"

    def strike(self, hand: Hand) -> None:
        Terminate().strike(hand)

    def ends_process(self) -> bool:
        return True
