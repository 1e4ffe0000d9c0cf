"""When to strike: a moment is data; `watch()` makes a fresh fold that is fed each event once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chaoskit.errors import UsageError
from chaoskit.history.events import Event
from chaoskit.history.facts import (
    BodyReached,
    FirstByteReceived,
    InstanceReady,
    LogMatched,
    RequestSent,
    RunPlanned,
    WorkInHand,
)


class Watch(Protocol):
    """A fold over the run so far."""

    def feed(self, event: Event) -> None:
        """Take one event."""

    def due_s(self) -> float | None:
        """The instant, on the run's clock, at which the moment came or will come; None while that is open."""


class Moment:
    """Base of all moments: joined with `&` (the later of both) and `|` (the earlier)."""

    __slots__ = ()

    def watch(self) -> Watch:
        """A fresh fold."""
        raise NotImplementedError

    def __and__(self, other: Moment) -> Moment:
        return Both(self, other)

    def __or__(self, other: Moment) -> Moment:
        return Either(self, other)


class _Seen:
    """Comes with the first event that `matches` says yes to."""

    __slots__ = ("_at_s", "_matches")

    def __init__(self, matches: object) -> None:
        self._matches = matches
        self._at_s: float | None = None

    def feed(self, event: Event) -> None:
        if self._at_s is None and self._matches(event):  # type: ignore[operator]
            self._at_s = event.at_s

    def due_s(self) -> float | None:
        return self._at_s


@dataclass(frozen=True, slots=True)
class Held(Moment):
    """At least `count` requests in the system's hands; None: each workload's own `hold_at_least`."""

    count: int | None = None

    def watch(self) -> Watch:
        return _HeldWatch(self.count)

    def __str__(self) -> str:
        return f"held({'' if self.count is None else self.count})"


class _HeldWatch:
    __slots__ = ("_at_s", "_count", "_needs", "_workload_of")

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._needs: dict[int, int] = {}
        self._workload_of: dict[int, int] = {}
        self._at_s: float | None = None

    def feed(self, event: Event) -> None:
        fact = event.fact
        if self._at_s is not None:
            return
        if isinstance(fact, RunPlanned):
            self._needs = {each.index: each.hold_at_least for each in fact.workloads}
        elif isinstance(fact, RequestSent) and fact.purpose == "work":
            self._workload_of[fact.request] = fact.workload
        elif isinstance(fact, WorkInHand) and self._enough(fact):
            self._at_s = event.at_s

    def _enough(self, fact: WorkInHand) -> bool:
        if self._count is not None:
            return len(fact.in_hand) + fact.own >= self._count
        have: dict[int, int] = {}
        for request in fact.in_hand:
            workload = self._workload_of.get(request, -1)
            have[workload] = have.get(workload, 0) + 1
        if not self._needs:
            return bool(fact.in_hand) or fact.own > 0
        return all(have.get(index, 0) >= need for index, need in self._needs.items())

    def due_s(self) -> float | None:
        return self._at_s


@dataclass(frozen=True, slots=True)
class FirstByte(Moment):
    """The first byte of a held request's answer has reached us."""

    def watch(self) -> Watch:
        return _Seen(lambda event: isinstance(event.fact, FirstByteReceived))

    def __str__(self) -> str:
        return "first_byte()"


@dataclass(frozen=True, slots=True)
class Byte(Moment):
    """The body of a held request's answer has reached `count` bytes."""

    count: int

    def watch(self) -> Watch:
        return _Seen(lambda event: isinstance(event.fact, BodyReached) and event.fact.body_bytes >= self.count)

    def __str__(self) -> str:
        return f"byte({self.count})"


@dataclass(frozen=True, slots=True)
class Log(Moment):
    """A line of the struck system's log carries `text`."""

    text: str

    def watch(self) -> Watch:
        return _Seen(lambda event: isinstance(event.fact, LogMatched) and event.fact.text == self.text)

    def __str__(self) -> str:
        return f"log({self.text!r})"


@dataclass(frozen=True, slots=True)
class Elapsed(Moment):
    """`seconds` after the last held request was sent (own clients: after the system was ready)."""

    seconds: float

    def watch(self) -> Watch:
        return _ElapsedWatch(self.seconds)

    def __str__(self) -> str:
        return f"elapsed({self.seconds:g})"


class _ElapsedWatch:
    __slots__ = ("_clients", "_seconds", "_sent", "_since_s")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clients = 0
        self._sent = 0
        self._since_s: float | None = None

    def feed(self, event: Event) -> None:
        fact = event.fact
        if isinstance(fact, RunPlanned):
            self._clients = sum(1 if each.rate else each.clients for each in fact.workloads)
        elif isinstance(fact, RequestSent) and fact.purpose == "work":
            self._sent += 1
            if self._sent == self._clients:
                self._since_s = event.at_s
        elif isinstance(fact, InstanceReady) and not self._clients and self._since_s is None:
            self._since_s = event.at_s

    def due_s(self) -> float | None:
        return None if self._since_s is None else self._since_s + self._seconds


@dataclass(frozen=True, slots=True)
class Both(Moment):
    """The later of two moments."""

    left: Moment
    right: Moment

    def watch(self) -> Watch:
        return _Joined(self.left.watch(), self.right.watch(), both=True)

    def __str__(self) -> str:
        return f"({self.left} & {self.right})"


@dataclass(frozen=True, slots=True)
class Either(Moment):
    """The earlier of two moments."""

    left: Moment
    right: Moment

    def watch(self) -> Watch:
        return _Joined(self.left.watch(), self.right.watch(), both=False)

    def __str__(self) -> str:
        return f"({self.left} | {self.right})"


class _Joined:
    __slots__ = ("_both", "_left", "_right")

    def __init__(self, left: Watch, right: Watch, *, both: bool) -> None:
        self._left, self._right, self._both = left, right, both

    def feed(self, event: Event) -> None:
        self._left.feed(event)
        self._right.feed(event)

    def due_s(self) -> float | None:
        left, right = self._left.due_s(), self._right.due_s()
        if self._both:
            return None if left is None or right is None else max(left, right)
        known = [each for each in (left, right) if each is not None]
        return min(known) if known else None


def held(count: int | None = None) -> Moment:
    """At least `count` requests in hand, their states settled."""
    if count is not None and count < 1:
        raise UsageError(f"held({count}): expected a count of at least 1")
    return Held(count)


def first_byte() -> Moment:
    """The first byte of a held request's answer."""
    return FirstByte()


def byte(count: int) -> Moment:
    """Byte `count` of a held request's body."""
    if count < 1:
        raise UsageError(f"byte({count}): expected a count of at least 1")
    return Byte(count)


def elapsed(seconds: float) -> Moment:
    """`seconds` after the last held request was sent."""
    if seconds < 0:
        raise UsageError(f"elapsed({seconds}): expected seconds >= 0")
    return Elapsed(seconds)


def log(text: str) -> Moment:
    """A line of the system's log that carries `text`."""
    if not text:
        raise UsageError("log(''): expected the text that a line of the log carries")
    return Log(text)


def parts(moment: Moment) -> list[Moment]:
    """The plain moments that a joined one is made of."""
    if isinstance(moment, Both | Either):
        return [*parts(moment.left), *parts(moment.right)]
    return [moment]
