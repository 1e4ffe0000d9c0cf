"""One pass over a history, from which every check reads: what was planned, struck, held, and how each request ended.

State is kept for open requests only; whole exchanges for held and idle ones and for those after the signal that may
be accused. The others are counted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaoskit.checks.durations import Durations
from chaoskit.checks.exchange import End, Exchange, Rehearsed, end_of, from_failed_connect, from_sent
from chaoskit.history import facts
from chaoskit.history.events import Event, History

AFTER = ("work", "new", "readiness")
STRIKES = ("stop", "kill", "pause", "start_up")
KEPT_AFTER = 10_000  # exchanges of one end that are kept whole; more are only counted
KEY_EVENTS = 2_000
RECENT = 4_096
EARLY_S = 0.25  # EXPERIENCE, section 10: what a REJECT server takes this soon after the signal is only noted


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
    after: list[Exchange] = field(default_factory=list)  # those that may be accused, of purpose work, new, readiness
    passing: list[Exchange] = field(default_factory=list)  # a sample of those that cannot
    counts: Counter[str] = field(default_factory=Counter)  # of all after the signal, by End
    answers: Counter[str] = field(default_factory=Counter)  # of new work, without readiness, inside the window or not
    retry_afters: Counter[str] = field(default_factory=Counter)
    probes: list[Exchange] = field(default_factory=list)  # readiness after the signal, the first and the odd ones
    idle: list[Exchange] = field(default_factory=list)
    idle_closed: list[Event] = field(default_factory=list)  # by the server, before use
    warm: int = 0
    client_closed: Event | None = None  # the first of our own closings after the signal
    before: list[Exchange] = field(default_factory=list)  # losses before the signal
    own_ended: list[Event] = field(default_factory=list)
    callers_left: list[Event] = field(default_factory=list)
    rehearsed: dict[str, Rehearsed] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)
    last_answer_s: float | None = None  # after the signal, readiness left out
    answered_before_close_s: float | None = None  # the last answer before `client_closed`
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
        if self.exit_fact.signal != "SIGKILL":
            return False
        sent_s = self.deadline.fact.sent_s if self.deadline else self.expired.at_s  # type: ignore[union-attr]
        return self.exit_fact.exited_s >= sent_s - 0.05

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
    def held_end_s(self) -> float | None:
        """When the last held request ended."""
        ends = [each.ended_s for each in self.held if each.ended_s is not None]
        return max(ends) if ends else None

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
        return any(each.owner == "other" for each in (*self.after, *self.passing, *self.probes, *self.held))

    def in_window(self, exchange: Exchange, tolerance_s: float = 0.02) -> bool:
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


def account_of(history: History) -> Account:
    """The account of a history, made once."""
    found = history.notes.get("account")
    if isinstance(found, Account):
        return found
    account = _Fold().run(history)
    history.notes["account"] = account
    history.notes["evidence"] = account.events
    return account


class _Fold:
    """Feeds events into an account."""

    def __init__(self) -> None:
        self.account = Account()
        self._open: dict[int, Exchange] = {}
        self._recent: deque[Exchange] = deque(maxlen=RECENT)
        self._used: set[int] = set()  # connections on which an idle request was sent
        self._kept: Counter[str] = Counter()
        self._handlers: dict[type, Callable[[Event, Any], None]] = {
            facts.RequestSent: self._sent,
            facts.ResponseReceived: self._ended,
            facts.RequestLost: self._ended,
            facts.RequestHung: self._ended,
            facts.ConnectFailed: self._not_connected,
            facts.FirstByteReceived: self._first_byte,
            facts.RequestAccepted: self._accepted,
            facts.RequestRead: self._read,
            facts.ConnectionEnded: self._connection_ended,
            facts.ConnectionOpened: self._ignored,
            facts.BodyReached: self._ignored,
            facts.BodySent: self._ignored,
            facts.CallArrived: self._ignored,
            facts.CallReleased: self._released,
            facts.CallEnded: self._ignored,
            facts.EffectApplied: self._ignored,
            facts.WorkInHand: self._hand,
            facts.SignalSent: self._signal,
            facts.InstanceLaunched: self._launched,
            facts.InstanceExited: self._exited,
            facts.ListenerClosed: self._listener,
            facts.LeftBehind: self._left,
        }

    def run(self, history: History) -> Account:
        handlers, account = self._handlers, self.account
        event = None
        for event in history:
            fact = event.fact
            handler = handlers.get(type(fact))
            if handler is not None:
                handler(event, fact)
            else:
                self._rare(event, fact)
        account.last_s = event.at_s if event else 0.0
        self._finish()
        return account

    # ---- requests ---------------------------------------------------------------------------------------------

    def _sent(self, event: Event, fact: facts.RequestSent) -> None:
        self._open[fact.request] = from_sent(event, fact)
        if fact.purpose == "idle":
            self._used.add(fact.connection)
        elif fact.purpose == "warm":
            self.account.warm += 1

    def _ended(self, event: Event, fact: Any) -> None:
        exchange = self._open.pop(fact.request, None)
        if exchange is None:
            return
        exchange.end = event
        if self.account.signal is not None:
            self._settle(exchange)
        else:
            self._before(exchange)

    def _before(self, exchange: Exchange) -> None:
        """It ended before the signal: its duration counts, and it is remembered for a moment.

        A signal is recorded a little after the kernel took it; what a SIGKILL cut may be recorded before.
        """
        event, fact = exchange.end, exchange.end.fact if exchange.end else None
        if event is None:
            return
        if isinstance(fact, facts.ResponseReceived):
            if exchange.purpose in ("work", "rehearsal"):
                duration_s = event.at_s - exchange.opened_s
                self.account.durations.add(duration_s)
                if exchange.purpose == "rehearsal":
                    self.account.rehearsed[exchange.route] = Rehearsed(
                        fact.status, fact.body_bytes, fact.expected, duration_s
                    )
        if exchange.purpose in AFTER or exchange.purpose == "idle":
            self._recent.append(exchange)
        if not isinstance(fact, facts.ResponseReceived) and exchange.purpose in ("work", "new"):
            if len(self.account.before) < KEPT_AFTER:
                self.account.before.append(exchange)
        elif self.account.stop is not None and exchange.purpose in ("work", "new"):
            self._during_pre_stop(exchange)

    def _during_pre_stop(self, exchange: Exchange) -> None:
        end = end_of(exchange, self.account.rehearsed.get(exchange.route), None)
        if end in (End.CLEAN_503, End.UNCLEAN_503, End.ERROR) and len(self.account.before) < KEPT_AFTER:
            self.account.before.append(exchange)

    def _not_connected(self, event: Event, fact: facts.ConnectFailed) -> None:
        exchange = from_failed_connect(event, fact)
        if self.account.signal is not None:
            self._settle(exchange)
        else:
            self._before(exchange)

    def _first_byte(self, event: Event, fact: facts.FirstByteReceived) -> None:
        exchange = self._open.get(fact.request)
        if exchange is not None:
            exchange.first_byte = event

    def _accepted(self, event: Event, fact: facts.RequestAccepted) -> None:
        exchange = self._open.get(fact.request) or self._ended_lately(fact.request)
        if exchange is not None:
            exchange.accepted, exchange.owner = event, fact.owner

    def _read(self, event: Event, fact: facts.RequestRead) -> None:
        exchange = self._open.get(fact.request) or self._ended_lately(fact.request)
        if exchange is not None:
            exchange.read = event

    def _ended_lately(self, request: int) -> Exchange | None:
        """What the oracle saw may be recorded just after the request's end."""
        account = self.account
        for kept in (account.after, account.held, account.idle):
            for exchange in kept[-32:]:
                if exchange.request == request:
                    return exchange
        return None

    def _settle(self, exchange: Exchange) -> None:
        """Put an exchange that ended, or stayed open, after the signal where it belongs."""
        account = self.account
        exchange.how = end_of(exchange, account.rehearsed.get(exchange.route), account.deadline_s)
        if exchange.purpose != "readiness" and isinstance(getattr(exchange.end, "fact", None), facts.ResponseReceived):
            account.last_answer_s = exchange.ended_s
        if exchange.purpose == "idle":
            account.idle.append(exchange)
        elif exchange.purpose not in AFTER:
            return
        elif exchange.sent is not exchange.end and exchange.sent.at_s <= account.signal_s:
            if exchange.purpose == "work":
                self._hold(exchange)
        elif exchange.opened_s >= account.signal_s - 0.05:  # a connect takes no time worth telling on a loopback
            self._after(exchange)

    def _hold(self, exchange: Exchange) -> None:
        self.account.held.append(exchange)
        if exchange.how is End.GOOD and exchange.ended_s is not None:
            self.account.durations.add(exchange.ended_s - exchange.opened_s)

    def _after(self, exchange: Exchange) -> None:
        account = self.account
        limit_s = account.exit_s
        if limit_s is not None:
            limit_s = max(limit_s, account.stop_s + account.propagation_s)
            if exchange.opened_s > limit_s:
                return
        readiness = exchange.purpose == "readiness"
        whole = isinstance(getattr(exchange.end, "fact", None), facts.ResponseReceived)
        end = End.GOOD if readiness and whole else exchange.how
        account.counts[end] += 1
        if readiness:
            self._probe(exchange)
        else:
            account.answers[end] += 1
            self._count_retry_after(exchange)
        if self._may_accuse(exchange, end):
            if self._kept[end] < KEPT_AFTER:
                self._kept[end] += 1
                account.after.append(exchange)
        elif len(account.passing) < RECENT // 4:
            account.passing.append(exchange)

    def _probe(self, exchange: Exchange) -> None:
        good = exchange.how is End.GOOD
        if len(self.account.probes) < KEPT_AFTER and (not good or len(self.account.probes) < RECENT):
            self.account.probes.append(exchange)

    def _count_retry_after(self, exchange: Exchange) -> None:
        fact = getattr(exchange.end, "fact", None)
        if exchange.how not in (End.CLEAN_503, End.UNCLEAN_503) or not isinstance(fact, facts.ResponseReceived):
            return
        if len(self.account.retry_afters) < 100:  # noqa: PLR2004 - a bound; a report shows the first few
            self.account.retry_afters[fact.retry_after or ""] += 1
        self.account.keeps_open += not fact.closes

    def _may_accuse(self, exchange: Exchange, end: End) -> bool:
        if end is End.CLEAN_503:
            return False
        if end is not End.GOOD:
            return True
        late = exchange.opened_s >= self.account.signal_s + EARLY_S
        return exchange.purpose != "readiness" and late and self.account.disposition(exchange) == "reject"

    # ---- the strike -------------------------------------------------------------------------------------------

    def _hand(self, event: Event, fact: facts.WorkInHand) -> None:
        if self.account.signal is None:
            self.account.hand = event

    def _signal(self, event: Event, fact: facts.SignalSent) -> None:
        account = self.account
        self._keep(event)
        if fact.reason in STRIKES and account.signal is None:
            account.signal = event
            self._look_back()
        elif fact.reason == "resume":
            account.resume = event
        elif fact.reason == "again":
            account.again = event
        elif fact.reason == "deadline":
            account.deadline = account.deadline or event

    def _look_back(self) -> None:
        """What ended between the kernel's taking the signal and its being recorded ended after it."""
        signal_s, account = self.account.signal_s, self.account
        late = {id(each) for each in self._recent if each.ended_s is not None and each.ended_s >= signal_s}
        account.before = [each for each in account.before if id(each) not in late]
        for exchange in self._recent:
            if id(exchange) in late:
                self._settle(exchange)
        self._recent.clear()

    def _launched(self, event: Event, fact: facts.InstanceLaunched) -> None:
        self._keep(event)
        if fact.role == "struck":
            self.account.launched = event
        else:
            self.account.others.append(fact)

    def _exited(self, event: Event, fact: facts.InstanceExited) -> None:
        self._keep(event)
        if self._is_struck(fact.instance) and self.account.exit is None:
            self.account.exit = event

    def _listener(self, event: Event, fact: facts.ListenerClosed) -> None:
        self._keep(event)
        if self._is_struck(fact.instance) and self.account.listener is None:
            self.account.listener = event

    def _left(self, event: Event, fact: facts.LeftBehind) -> None:
        self._keep(event)
        if self._is_struck(fact.instance):
            self.account.left.append(event)

    def _is_struck(self, instance: str) -> bool:
        return self.account.launched is None or self.account.struck == instance

    # ---- the rest ---------------------------------------------------------------------------------------------

    def _connection_ended(self, event: Event, fact: facts.ConnectionEnded) -> None:
        account = self.account
        if account.signal is None and event.at_s < account.signal_s:
            return
        if fact.by == "client":
            if account.client_closed is None:
                account.client_closed = event
                account.answered_before_close_s = account.last_answer_s
                self._keep(event)
        elif fact.purpose in ("idle", "warm") and fact.connection not in self._used:
            account.idle_closed.append(event)

    def _released(self, event: Event, fact: facts.CallReleased) -> None:
        if fact.how == "caller_left" and len(self.account.callers_left) < KEPT_AFTER:
            self.account.callers_left.append(event)

    def _ignored(self, event: Event, fact: Any) -> None:
        """Of no use to a check of this family."""

    def _rare(self, event: Event, fact: Any) -> None:
        account = self.account
        self._keep(event)
        if isinstance(fact, facts.RunPlanned):
            account.plan = fact
        elif isinstance(fact, facts.MomentReached):
            account.moment = event
        elif isinstance(fact, facts.MomentMissed):
            account.missed = event
        elif isinstance(fact, facts.StopActionTaken):
            account.stop = account.stop or event
        elif isinstance(fact, facts.PreStopEnded):
            account.pre_stop = event
        elif isinstance(fact, facts.GraceExpired):
            account.expired = event
        elif isinstance(fact, facts.ChildrenSeen):
            account.children = fact
        elif isinstance(fact, facts.HarnessStalled):
            account.stalls.append(event)
        elif isinstance(fact, facts.Noted):
            account.noted.append(event)
        elif isinstance(fact, facts.OwnConnectionEnded):
            account.own_ended.append(event)
        elif isinstance(fact, facts.BlockEnded):
            account.block = fact
        elif isinstance(fact, facts.RunEnded):
            account.ended = fact

    def _keep(self, event: Event) -> None:
        if len(self.account.events) < KEY_EVENTS:
            self.account.events[event.index] = event

    def _finish(self) -> None:
        account = self.account
        if account.signal is not None:
            for exchange in self._open.values():
                self._settle(exchange)
        if account.hand is not None:
            account.events[account.hand.index] = account.hand
        for exchange in (*account.held, *account.after, *account.idle, *account.before):
            for event in (exchange.sent, exchange.end, exchange.accepted):
                if event is not None:
                    account.events[event.index] = event
        for event in account.idle_closed:
            account.events[event.index] = event
