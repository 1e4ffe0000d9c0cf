"""What one run comes to, as every check reads it: what was planned, struck and held, and how each request ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaoskit.checks.durations import Durations
from chaoskit.checks.exchange import Exchange, Rehearsed
from chaoskit.history import facts
from chaoskit.history.events import Event

EARLY_S = 0.25  # EXPERIENCE, section 10: what a REJECT server takes this soon after the signal is only noted

TOLERANCE_S = 0.02  # by which our clock may tell the end of a held request late


@dataclass(slots=True)
class Account:
    """What one run comes to. Events are None where they did not happen."""

    plan: facts.RunPlanned | None = None
    launched: Event | None = None  # of the struck instance
    others: list[facts.InstanceLaunched] = field(default_factory=list)
    moment: Event | None = None
    missed: Event | None = None
    hand: Event | None = None  # the last WorkInHand before the signal
    stop: Event | None = None
    signal: Event | None = None
    resume: Event | None = None
    again: Event | None = None
    pre_stop: Event | None = None
    deadline: Event | None = None  # our SIGKILL
    expired: Event | None = None
    exit: Event | None = None
    listener: Event | None = None
    left: list[Event] = field(default_factory=list)
    children: facts.ChildrenSeen | None = None
    stalls: list[Event] = field(default_factory=list)
    noted: list[Event] = field(default_factory=list)
    block: facts.BlockEnded | None = None
    ended: facts.RunEnded | None = None
    last_s: float = 0.0

    held: list[Exchange] = field(default_factory=list)
    held_end_s: float | None = None  # when the last held request ended
    after: list[Exchange] = field(default_factory=list)  # those that may be accused, of purpose work, new, readiness
    passing: list[Exchange] = field(default_factory=list)  # a sample of those that cannot
    counts: Counter[str] = field(default_factory=Counter)  # of all after the signal, by End
    answers: Counter[str] = field(default_factory=Counter)  # of new work, without readiness, inside the window or not
    retry_afters: Counter[str] = field(default_factory=Counter)
    probes: list[Exchange] = field(default_factory=list)  # readiness after the signal, the first and the odd ones
    other_accepted: bool = False  # another instance took a connection after the signal
    first_clean_s: float | None = None  # when the first new work that was rejected cleanly was opened
    first_late_long_s: float | None = None  # likewise the first of a REJECT kind that came late enough to be judged
    idle: list[Exchange] = field(default_factory=list)
    idle_closed: list[Event] = field(default_factory=list)  # by the server, before use
    idle_open: set[int] = field(default_factory=set)  # kept-alive connections that were open at the signal
    client_closed: Event | None = None  # the first of our own closings after the signal
    before: list[Exchange] = field(default_factory=list)  # losses before the signal
    own_ended: list[Event] = field(default_factory=list)
    callers_left: list[Event] = field(default_factory=list)
    rehearsed: dict[str, Rehearsed] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)
    last_answer_s: float | None = None  # after the signal, readiness left out
    answered_before_close_s: float | None = None  # the last answer before `client_closed`
    only_counted: int = 0  # after the signal, beyond what is kept whole
    keeps_open: int = 0  # 503 answers after the signal without `Connection: close`
    events: dict[int, Event] = field(default_factory=dict)  # what a report may want to show

    # ---- what follows from it ---------------------------------------------------------------------------------

    @property
    def struck(self) -> str:
        """The name of the struck instance."""
        for event in (self.signal, self.stop, self.launched):
            if event is not None:
                return str(event.fact.instance)  # type: ignore[union-attr]
        return self.plan.system if self.plan else "the system"

    @property
    def signal_fact(self) -> facts.SignalSent | None:
        """The strike."""
        return self.signal.fact if self.signal else None  # type: ignore[return-value]

    @property
    def signal_s(self) -> float:
        """When the kernel took the signal; infinite when none was sent."""
        return self.signal_fact.sent_s if self.signal_fact else float("inf")

    @property
    def strike_s(self) -> float:
        """The earliest instant at which the kernel may have taken the signal.

        `sent_s` is read once the call is back, and a busy machine may run the struck system in between.
        """
        fact = self.signal_fact
        if fact is None:
            return float("inf")
        return min(fact.sent_s, max(fact.planned_s, self.hand.at_s if self.hand else fact.planned_s))

    @property
    def stop_s(self) -> float:
        """When the platform began the stop."""
        return self.stop.at_s if self.stop else self.signal_s

    @property
    def deadline_s(self) -> float | None:
        """When the platform would kill."""
        if self.stop is not None:
            return float(self.stop.fact.deadline_s)  # type: ignore[union-attr]
        return self.signal_s + self.plan.profile.grace_s if self.plan and self.signal else None

    @property
    def exit_fact(self) -> facts.InstanceExited | None:
        """The leader's exit."""
        return self.exit.fact if self.exit else None  # type: ignore[return-value]

    @property
    def exit_s(self) -> float | None:
        """When the leader was gone."""
        return self.exit_fact.exited_s if self.exit_fact else None

    @property
    def killed_at_deadline(self) -> bool:
        """Whether the leader lived until our SIGKILL at the deadline."""
        if self.deadline is None and self.expired is None:
            return False
        if self.exit_fact is None:
            return True
        sent_s = float(self.deadline.fact.sent_s) if self.deadline else self.expired.at_s  # type: ignore[union-attr]
        # The launcher tells the exit and its kill on different ways; a leader may also die of its children's end.
        return self.exit_fact.exited_s >= sent_s - (0.05 if self.exit_fact.signal == "SIGKILL" else 0.0)

    @property
    def hand_fact(self) -> facts.WorkInHand | None:
        """What was in hand just before the signal."""
        return self.hand.fact if self.hand else None  # type: ignore[return-value]

    @property
    def propagation_s(self) -> float:
        """How long after the stop action new work still comes."""
        return self.plan.profile.propagation_s if self.plan else 0.0

    @property
    def propagates(self) -> bool:
        """Whether the platform goes on sending new work."""
        return self.propagation_s > 0

    @property
    def window_end_s(self) -> float:
        """When the window of new work ends (EXPERIENCE, section 5)."""
        if self.propagates:
            return self.stop_s + self.propagation_s
        return max(self.signal_s, self.held_end_s or self.signal_s)

    @property
    def window_is_empty(self) -> bool:
        """No new work arrives after the signal under this profile: pre-stop outlasts propagation."""
        return self.propagates and self.window_end_s <= self.signal_s

    @property
    def listener_closed_s(self) -> tuple[float, float] | None:
        """Between which two instants the listener closed."""
        if self.listener is not None:
            return self.listener.fact.last_seen_s, self.listener.at_s  # type: ignore[union-attr]
        return (self.exit_s, self.exit_s) if self.exit_s is not None and not self.left_listeners else None

    @property
    def left_listeners(self) -> bool:
        """Whether a listener outlived the leader."""
        return any(each.fact.listeners for each in self.left)  # type: ignore[union-attr]

    @property
    def handed_over(self) -> bool:
        """Whether another instance answered on the struck one's port after the signal."""
        return self.other_accepted

    @property
    def through_front(self) -> bool:
        """Whether work was sent through a front."""
        return any(each.via for each in (self.plan.workloads if self.plan else ()))

    @property
    def others_listen(self) -> bool:
        """Whether another instance was launched on the struck one's port."""
        port = getattr(self.launched.fact, "port", None) if self.launched else None
        return port is not None and any(each.port == port for each in self.others)

    def accuses(self, exchange: Exchange) -> bool:
        """Whether the loss of a new request may be laid on the struck instance."""
        return exchange.owner == "struck" or (exchange.owner != "other" and not self.others_listen)

    def untold(self, exchange: Exchange) -> bool:
        """Whether it cannot be told who answered: more than one process listens, and the owner was not seen.

        Where only one listens, an owner that was not seen is a connection that was over before we looked.
        """
        return exchange.owner in (None, "unknown") and (self.others_listen or self.other_accepted)

    def answered_by_struck(self, exchange: Exchange) -> bool:
        """Whether an answer may be laid on the struck instance."""
        return exchange.owner != "other" and not self.untold(exchange)

    @property
    def idle_closing_s(self) -> float | None:
        """When we closed our kept-alive connections: seen, or planned where any was open."""
        if self.client_closed is not None:
            return self.client_closed.at_s
        if self.plan is None or self.stop is None or len(self.idle_open) <= len(self.idle_closed):
            return None
        return self.stop_s + self.plan.idle_close_share * self.plan.profile.grace_s

    def stalled_within(self, start_s: float, end_s: float) -> bool:
        """Whether our own loop was late between two instants: durations there are not the system's."""
        return any(event.at_s >= start_s and event.at_s - event.fact.late_s <= end_s for event in self.stalls)  # type: ignore[union-attr]

    def in_window(self, exchange: Exchange, tolerance_s: float = TOLERANCE_S) -> bool:
        """Whether a request was opened inside the window, by more than what our clock may be late."""
        return exchange.opened_s < self.window_end_s - tolerance_s

    def workload(self, index: int) -> facts.WorkloadPlanned | None:
        """The planned workload of this index."""
        for each in self.plan.workloads if self.plan else ():
            if each.index == index:
                return each
        return None

    def disposition(self, exchange: Exchange) -> str:
        """The promise for this very request: only the held kind of a REJECT workload may be rejected."""
        workload = self.workload(exchange.workload)
        if workload is None or workload.disposition != "reject":
            return "drain"
        if exchange.purpose == "work" or exchange.route in workload.targets:
            return "reject"
        return "drain"

    def has(self, disposition: str) -> bool:
        """Whether a workload was planned with this promise."""
        return any(each.disposition == disposition for each in (self.plan.workloads if self.plan else ()))

    def requests_planned(self) -> bool:
        """Whether chaoskit's own client sent work."""
        return any(each.kind == "requests" for each in (self.plan.workloads if self.plan else ()))

    def own_planned(self) -> bool:
        """Whether a user's own client kept the system busy."""
        return any(each.kind == "own" for each in (self.plan.workloads if self.plan else ()))
