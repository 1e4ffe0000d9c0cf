"""What became of each held request: the row of the table that it falls under, and the reason where nothing is proven."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from chaoskit.checks.account import Account
from chaoskit.checks.exchange import End, Exchange
from chaoskit.checks.fold import account_of
from chaoskit.history.events import History
from chaoskit.history.facts import RequestLost

SAME_INSTANT_S = 0.05  # EXPERIENCE, section 10: unread this long in an open connection is no race any more
GAVE_UP_S = 1.0


class Fate(StrEnum):
    """The keys of `held` in result.json."""

    COMPLETE = "complete"
    CLEAN_503 = "clean_503"
    UNCLEAN_503 = "unclean_503"
    ERROR_STATUS = "error_status"
    SEVERED = "severed"
    NEVER_ACCEPTED = "never_accepted"
    HUNG = "hung"
    NOT_HELD = "not_held"
    UNPROVEN = "unproven"


_FATES = {
    End.GOOD: Fate.COMPLETE,
    End.CLEAN_503: Fate.CLEAN_503,
    End.UNCLEAN_503: Fate.UNCLEAN_503,
    End.ERROR: Fate.ERROR_STATUS,
    End.SHORT: Fate.SEVERED,
    End.NO_BYTE: Fate.SEVERED,
    End.CUT: Fate.SEVERED,
    End.HUNG: Fate.HUNG,
}


@dataclass(frozen=True, slots=True)
class Held:
    """One held request and its fate. `reason` says why where it is unproven or not held."""

    exchange: Exchange
    fate: Fate
    reason: str = ""
    lost: bool = False  # the client saw a loss, whoever's it was


@dataclass(slots=True)
class Ledger:
    """All held requests of a run, in the order in which they ended."""

    rows: list[Held] = field(default_factory=list)
    in_hand: dict[int, int] = field(default_factory=dict)  # by workload
    sent: int = 0

    def of(self, *fates: Fate, disposition: str | None = None, account: Account | None = None) -> list[Held]:
        """The rows of these fates; of workloads with one promise only, where it is given."""
        return [
            each
            for each in self.rows
            if each.fate in fates
            and (disposition is None or account is None or account.disposition(each.exchange) == disposition)
        ]

    def counts(self) -> Counter[str]:
        """How many of each fate."""
        return Counter(str(each.fate) for each in self.rows)


def ledger_of(history: History) -> Ledger:
    """The ledger of a history, made once."""
    found = history.notes.get("ledger")
    if isinstance(found, Ledger):
        return found
    ledger = _make(account_of(history))
    history.notes["ledger"] = ledger
    return ledger


def _make(account: Account) -> Ledger:
    ledger = Ledger(sent=len(account.held))
    hand = account.hand_fact
    still_open = {each.request for each in account.held}
    in_hand = (set(hand.in_hand) if hand else set()) & still_open
    backlog = (set(hand.backlog) if hand else set()) & still_open
    for exchange in account.held:
        if exchange.request in in_hand:
            ledger.in_hand[exchange.workload] = ledger.in_hand.get(exchange.workload, 0) + 1
    if hand is not None and _through_front(account):
        ledger.rows = _behind_front(account, len(set(hand.elsewhere) & still_open), len(backlog))
    else:
        unread = set(hand.unread) if hand else set()
        places = _Places(in_hand, unread, backlog)
        ledger.rows = [_direct(each, places) for each in account.held]
    ledger.rows = _gave_up(ledger.rows, account)
    return ledger


def _through_front(account: Account) -> bool:
    hand = account.hand_fact
    return account.through_front or bool(hand and hand.elsewhere)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where requests were just before the signal."""

    in_hand: set[int]
    unread: set[int]
    backlog: set[int]


def _direct(exchange: Exchange, places: _Places) -> Held:
    """A request of our own connection to the struck instance."""
    fate = _FATES.get(exchange.how)
    if exchange.owner == "other":
        return Held(exchange, Fate.NOT_HELD, "another instance accepted it", lost=_is_loss(exchange))
    if fate is None:
        return Held(exchange, Fate.UNPROVEN, _why_unproven(exchange))
    if fate in (Fate.SEVERED, Fate.HUNG) and not _answered(exchange):
        return _without_a_byte(exchange, fate, places)
    return Held(exchange, fate, lost=fate in (Fate.SEVERED, Fate.HUNG))


def _without_a_byte(exchange: Exchange, fate: Fate, places: _Places) -> Held:
    """Lost or hung, and no byte of an answer says that somebody had it: where it was decides."""
    request = exchange.request
    if exchange.accepted is None and request in places.backlog:
        return Held(exchange, Fate.NEVER_ACCEPTED, lost=True)
    read = request in places.in_hand or exchange.read is not None
    if exchange.reused and not read and _same_instant(exchange) and fate is Fate.SEVERED:
        return Held(exchange, Fate.NOT_HELD, "idle_race", lost=True)
    known = read or request in places.unread or exchange.accepted is not None or exchange.reused
    return Held(exchange, fate, lost=True) if known else Held(exchange, Fate.UNPROVEN, "lost_unseen", lost=True)


def _answered(exchange: Exchange) -> bool:
    """Whether bytes of an answer came: then somebody had accepted and read the request."""
    fact = exchange.end.fact if exchange.end else None
    cut = isinstance(fact, RequestLost) and exchange.how is End.CUT
    return cut or exchange.first_byte is not None or exchange.how in (End.GOOD, End.SHORT)


def _same_instant(exchange: Exchange) -> bool:
    return exchange.ended_s is not None and exchange.ended_s - exchange.sent.at_s < SAME_INSTANT_S


def _is_loss(exchange: Exchange) -> bool:
    return exchange.how in (End.NO_BYTE, End.CUT, End.SHORT, End.HUNG)


def _why_unproven(exchange: Exchange) -> str:
    return {
        End.UNPROVEN: "eof",
        End.ODD: "odd_status",
        End.GIVEN_UP: "own_timeout",
    }.get(exchange.how, "no_end")


def _behind_front(account: Account, elsewhere: int, backlog: int) -> list[Held]:
    """Through a front nobody can tell which of the requests the struck one had, only how many.

    So what is lost is laid first on those that it did not have, then on its backlog; only the rest is its own.
    """
    rows: dict[int, Held] = {}
    worst_first = sorted(account.held, key=lambda each: (_FATES.get(each.how) is Fate.COMPLETE, not _is_loss(each)))
    for exchange in worst_first:
        fate = _FATES.get(exchange.how)
        if elsewhere > 0:
            elsewhere -= 1
            rows[exchange.request] = Held(exchange, Fate.NOT_HELD, "a front had it", lost=_is_loss(exchange))
        elif fate is None:
            rows[exchange.request] = Held(exchange, Fate.UNPROVEN, _why_unproven(exchange))
        elif backlog > 0 and _is_loss(exchange):
            backlog -= 1
            rows[exchange.request] = Held(exchange, Fate.NEVER_ACCEPTED, lost=True)
        elif backlog > 0 and fate is Fate.ERROR_STATUS:
            backlog -= 1
            rows[exchange.request] = Held(exchange, Fate.UNPROVEN, "backlog_behind_front")
        else:
            rows[exchange.request] = Held(exchange, fate, lost=_is_loss(exchange))
    return [rows[each.request] for each in account.held]


def _gave_up(rows: list[Held], account: Account) -> list[Held]:
    """The system's own client left a held call, and the work went on: its time-out is shorter than the hold."""
    made = list(rows)
    gone_s = account.exit_s if account.exit_s is not None else float("inf")
    bad = [place for place, row in enumerate(rows) if row.fate in (Fate.SEVERED, Fate.HUNG, Fate.ERROR_STATUS)]
    for event in account.callers_left:
        place = next((each for each in bad if _goes_on(rows[each].exchange, event.at_s)), None)
        if place is not None and event.at_s < gone_s:
            bad.remove(place)
            made[place] = Held(rows[place].exchange, Fate.UNPROVEN, "gave_up", lost=rows[place].lost)
        if not bad:
            break
    return made


def _goes_on(exchange: Exchange, left_s: float) -> bool:
    """Whether a request was open when its call's caller left, and for a while after."""
    later = exchange.ended_s is None or exchange.ended_s > left_s + GAVE_UP_S
    return later and exchange.sent.at_s <= left_s
