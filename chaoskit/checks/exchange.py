"""One request from its first byte sent to whatever ended it, and what that end is worth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum

from chaoskit.history.events import Event
from chaoskit.history.facts import ConnectFailed, RequestHung, RequestLost, RequestSent, ResponseReceived

CLEAN_STATUS = 503
_DELAY = re.compile(r"[0-9]+\Z")
# IMF-fixdate and the two obsolete forms that a recipient must accept (RFC 9110, section 5.6.7).
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, [0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4})\Z"
)


def retry_after_is_valid(value: str | None) -> bool:
    """Whether a Retry-After header is `1*DIGIT` seconds or an HTTP-date (RFC 9110, section 10.2.3)."""
    if value is None:
        return False
    text = value.strip(" \t")
    if _DELAY.match(text):
        return True
    if not _DATE.match(text):
        return False
    try:
        parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return False
    return True


class End(StrEnum):
    """How a request ended, before anything is said about whose fault that is."""

    GOOD = "good"  # a whole answer with 2xx, 3xx or the rehearsed status
    CLEAN_503 = "clean_503"
    UNCLEAN_503 = "unclean_503"
    ERROR = "error"  # another 5xx, or an answer that is no HTTP
    ODD = "odd"  # a 4xx that was not rehearsed
    SHORT = "short"  # in order, but without what `expect` asked
    UNPROVEN = "unproven"  # delimited by the connection's end, and nothing confirms it
    REFUSED = "refused"
    NO_BYTE = "no_byte"  # closed or reset without a byte
    CUT = "cut"  # bytes of an answer, then closed or reset
    HUNG = "hung"
    GIVEN_UP = "given_up"  # by us, before the deadline
    OPEN = "open"  # nothing ended it: the run was cut short


@dataclass(slots=True, eq=False)
class Exchange:
    """One request. `sent` is the event that began it (for a failed connect, the same as `end`)."""

    request: int
    purpose: str
    workload: int
    method: str
    target: str
    opened_s: float
    reused: bool
    connection: int
    sent: Event
    first_byte: Event | None = None
    accepted: Event | None = None
    owner: str | None = None  # of the accepting socket: struck, other, unknown; None: not seen
    read: Event | None = None
    end: Event | None = None
    how: End = End.OPEN
    notes: list[str] = field(default_factory=list)

    @property
    def ended_s(self) -> float | None:
        """When it ended, on the run's clock."""
        return None if self.end is None else self.end.at_s

    @property
    def route(self) -> str:
        """`GET /export`."""
        return f"{self.method} {self.target}"

    def cites(self) -> tuple[int, ...]:
        """The events that speak about it."""
        return tuple(dict.fromkeys(each.index for each in (self.sent, self.end) if each is not None))


@dataclass(slots=True, frozen=True)
class Rehearsed:
    """What a target answered with nothing struck."""

    status: int
    body_bytes: int
    expected: bool | None
    duration_s: float


def from_sent(event: Event, fact: RequestSent) -> Exchange:
    """An exchange that has just begun."""
    return Exchange(
        fact.request,
        fact.purpose,
        fact.workload,
        fact.method,
        fact.target,
        fact.opened_s,
        fact.reused,
        fact.connection,
        event,
    )


def from_failed_connect(event: Event, fact: ConnectFailed) -> Exchange:
    """An exchange that never was: no connection."""
    return Exchange(
        fact.request,
        fact.purpose,
        fact.workload,
        fact.method,
        fact.target,
        fact.opened_s,
        reused=False,
        connection=-1,
        sent=event,
        end=event,
    )


def end_of(exchange: Exchange, rehearsed: Rehearsed | None, deadline_s: float | None) -> End:  # noqa: PLR0911 - one line a row
    """How it ended, from its ending fact, the rehearsal of its target and the deadline."""
    fact = None if exchange.end is None else exchange.end.fact
    if isinstance(fact, ResponseReceived):
        return _answer(fact, rehearsed)
    if isinstance(fact, RequestLost):
        if fact.loss in ("malformed", "too_large"):
            return End.ERROR
        return End.NO_BYTE if fact.loss in ("closed_without_byte", "reset_without_byte") else End.CUT
    if isinstance(fact, ConnectFailed) and fact.loss == "refused":
        return End.REFUSED
    if isinstance(fact, RequestHung) or (isinstance(fact, ConnectFailed) and fact.loss == "timed_out"):
        late = deadline_s is None or (exchange.end is not None and exchange.end.at_s >= deadline_s - 0.1)
        return End.HUNG if late else End.GIVEN_UP
    if isinstance(fact, ConnectFailed):
        return End.REFUSED if fact.loss == "unreachable" else End.NO_BYTE
    return End.OPEN


def _answer(fact: ResponseReceived, rehearsed: Rehearsed | None) -> End:
    known = rehearsed is not None and fact.status == rehearsed.status
    if not known and fact.status == CLEAN_STATUS:
        return End.CLEAN_503 if retry_after_is_valid(fact.retry_after) else End.UNCLEAN_503
    if not known and fact.status >= 500:  # noqa: PLR2004 - RFC 9110, section 15.6
        return End.ERROR
    if not known and fact.status >= 400:  # noqa: PLR2004 - RFC 9110, section 15.5
        return End.ODD
    return _body(fact, rehearsed)


def _body(fact: ResponseReceived, rehearsed: Rehearsed | None) -> End:
    if fact.expected is False:
        # An `expect` that the rehearsal did not meet either says nothing about the strike.
        return End.UNPROVEN if rehearsed is not None and rehearsed.expected is False else End.SHORT
    if fact.framing != "eof" or fact.expected is True:
        return End.GOOD
    same_length = rehearsed is not None and rehearsed.body_bytes == fact.body_bytes
    return End.GOOD if same_length else End.UNPROVEN
