"""One pass over a history that makes its account.

State is kept for open requests only; whole exchanges for held and idle ones and for those after the signal that may
be accused. The others are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from chaoskit.checks.account import Account
from chaoskit.checks.ending import AFTER, KEPT_AFTER, Ending
from chaoskit.checks.exchange import End, Exchange, Rehearsed, end_of, from_failed_connect, from_sent
from chaoskit.history import facts
from chaoskit.history.events import Event, History

STRIKES = ("stop", "kill", "pause", "start_up")
KEY_EVENTS = 2_000
RECENT = 4_096


def account_of(history: History) -> Account:
    """The account of a history, made once."""
    found = history.notes.get("account")
    if isinstance(found, Account):
        return found
    account = Fold().run(history)
    history.notes["account"] = account
    history.notes["evidence"] = account.events
    return account


class Fold:
    """Feeds events into an account."""

    def __init__(self) -> None:
        self.account = Account()
        self._open: dict[int, Exchange] = {}
        self._recent: deque[Exchange] = deque(maxlen=RECENT)
        self._used: set[int] = set()  # connections on which an idle request was sent
        self._ending = Ending(self.account)
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
            facts.ConnectionOpened: self._connection_opened,
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
            self.account.idle_open.add(fact.connection)

    def _ended(self, event: Event, fact: Any) -> None:
        exchange = self._open.pop(fact.request, None)
        if exchange is None:
            return
        exchange.end = event
        if self.account.signal is not None:
            self._ending.settle(exchange)
        else:
            self._before(exchange)

    def _before(self, exchange: Exchange) -> None:
        """It ended before the signal: its duration counts, and it is remembered for a moment.

        A signal is recorded a little after the kernel took it; what a SIGKILL cut may be recorded before.
        """
        event, fact = exchange.end, exchange.end.fact if exchange.end else None
        if event is None:
            return
        if isinstance(fact, facts.ResponseReceived) and exchange.purpose in ("work", "rehearsal"):
            duration_s = event.at_s - exchange.opened_s
            self.account.durations.add(duration_s)
            if exchange.purpose == "rehearsal":
                known = Rehearsed(fact.status, fact.body_bytes, fact.expected, duration_s)
                self.account.rehearsed[exchange.route] = known
        if exchange.purpose in AFTER or exchange.purpose == "idle":
            self._recent.append(exchange)
        if not isinstance(fact, facts.ResponseReceived) and exchange.purpose in ("work", "new"):
            if len(self.account.before) < KEPT_AFTER:
                exchange.how = end_of(exchange, None, None)
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
            self._ending.settle(exchange)
        else:
            self._before(exchange)

    def _first_byte(self, event: Event, fact: facts.FirstByteReceived) -> None:
        exchange = self._open.get(fact.request)
        if exchange is not None:
            exchange.first_byte = event

    def _accepted(self, event: Event, fact: facts.RequestAccepted) -> None:
        self.account.other_accepted |= fact.owner == "other"
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

    # ---- the strike -------------------------------------------------------------------------------------------

    def _hand(self, event: Event, _fact: facts.WorkInHand) -> None:
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
        strike_s, account = self.account.strike_s, self.account
        late = {id(each) for each in self._recent if each.ended_s is not None and each.ended_s >= strike_s}
        account.before = [each for each in account.before if id(each) not in late]
        for exchange in self._recent:
            if id(exchange) in late:
                self._ending.settle(exchange)
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

    def _connection_opened(self, _event: Event, fact: facts.ConnectionOpened) -> None:
        if fact.purpose == "idle" and self.account.signal is None:
            self.account.idle_open.add(fact.connection)

    def _connection_ended(self, event: Event, fact: facts.ConnectionEnded) -> None:
        account = self.account
        if account.signal is None:
            account.idle_open.discard(fact.connection)
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
        """For a report; what a run may have any number of is bounded."""
        many = isinstance(event.fact, facts.Noted | facts.HarnessStalled | facts.OwnConnectionEnded | facts.LogMatched)
        if not many or len(self.account.events) < KEY_EVENTS:
            self.account.events[event.index] = event

    def _finish(self) -> None:
        account = self.account
        if account.signal is not None:
            for exchange in self._open.values():
                self._ending.settle(exchange)
        if account.hand is not None:
            account.events[account.hand.index] = account.hand
        for exchange in (*account.held, *account.after, *account.idle, *account.before):
            for event in (exchange.sent, exchange.end, exchange.accepted):
                if event is not None:
                    account.events[event.index] = event
        for event in account.idle_closed:
            account.events[event.index] = event
