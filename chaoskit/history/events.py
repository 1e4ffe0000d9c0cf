"""An event is a fact with its place in the run; a history is all of them, in order, and cannot be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import msgspec

from chaoskit.history.facts import AnyFact


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact, stamped by the recorder: `index` is order, `at_s` (seconds since the run began) is annotation."""

    index: int
    at_s: float
    observer: str
    fact: AnyFact


class History:
    """What was seen, oldest first. Iterating is all that a check needs; it may be iterated as often as asked.

    A live history is a view of the first `length` events of a list that only grows; a saved one reads its journal
    anew at each iteration and is never held in memory.
    """

    __slots__ = ("_length", "_open", "_source", "notes")

    def __init__(self, source: Sequence[Event] | Callable[[], Iterator[Event]], length: int | None = None) -> None:
        self._source: Sequence[Event] | None = None if callable(source) else source
        self._open: Callable[[], Iterator[Event]] | None = source if callable(source) else None
        self._length = len(source) if length is None and not callable(source) else length
        #: Folds over this history that were already made, by name: several checks share one pass.
        self.notes: dict[str, object] = {}

    @classmethod
    def of(cls, *facts: AnyFact | tuple[float, AnyFact] | Event, observer: str = "test") -> History:
        """A literal history, for tests of checks: facts get 0, 1, 2, ... as index and `index / 1000` as `at_s`.

        A pair `(at_s, fact)` gives the time.
        """
        events: list[Event] = []
        for item in facts:
            if isinstance(item, Event):
                events.append(msgspec.structs.replace(item, index=len(events)))
            elif isinstance(item, tuple):
                events.append(Event(len(events), item[0], observer, item[1]))
            else:
                events.append(Event(len(events), len(events) / 1000, observer, item))
        return cls(events)

    def __iter__(self) -> Iterator[Event]:
        if self._open is not None:
            yield from self._open()
            return
        source = self._source or ()
        for index in range(self._length or 0):
            yield source[index]

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(1 for _ in self)
        return self._length

    @overload
    def between(self, start: float, end: float) -> History: ...
    @overload
    def between(self, start: type, end: type) -> History: ...
    def between(self, start: float | type, end: float | type) -> History:
        """The events from `start` to `end`, both included: instants in seconds, or the first facts of two types.

        With types: from the first fact of type `start` to the first fact of type `end` after it, or to the end.
        """
        return History(list(_between(self, start, end)))


def _between(events: Iterable[Event], start: float | type, end: float | type) -> Iterator[Event]:
    inside = False
    for event in events:
        if not inside:
            inside = isinstance(event.fact, start) if isinstance(start, type) else event.at_s >= start
            if not inside:
                continue
            if not isinstance(end, type) and event.at_s > end:
                return
            yield event
            continue
        if isinstance(end, type):
            yield event
            if isinstance(event.fact, end):
                return
        elif event.at_s > end:
            return
        else:
            yield event
