"""The only writer of a history: it alone stamps index and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chaoskit.errors import StorageError
from chaoskit.history.events import Event, History
from chaoskit.history.facts import AnyFact
from chaoskit.history.journal import Journal

Listener = Callable[[Event], None]


class Recorder:
    """Takes facts from any thread; keeps them in order; feeds listeners (folds of moments) one event at a time.

    `epoch` is the instant 0 of the run on `time.monotonic()`.
    """

    def __init__(self, journal: Journal | None = None, epoch: float | None = None) -> None:
        self.epoch = time.monotonic() if epoch is None else epoch
        self._events: list[Event] = []
        self._lock = threading.Lock()
        self._journal = journal
        self._listeners: tuple[Listener, ...] = ()
        #: Why the journal could not be written, once it could not: the run ends in it.
        self.trouble: StorageError | None = None

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.epoch

    def on_clock(self, monotonic_s: float) -> float:
        """An instant of `time.monotonic()` on the run's clock."""
        return monotonic_s - self.epoch

    def record(self, observer: str, fact: AnyFact) -> Event:
        """Stamp and keep one fact; never raises for a full disk (see `trouble`)."""
        with self._lock:
            event = Event(len(self._events), round(time.monotonic() - self.epoch, 6), observer, fact)
            self._events.append(event)
            if self._journal is not None and self.trouble is None:
                try:
                    self._journal.write(event)
                except StorageError as error:
                    self.trouble = error
            for listener in self._listeners:
                listener(event)
        return event

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Feed every further event to `listener`, in order, under the recorder's lock: be quick, record nothing.

        Returns what ends it.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)

        return stop

    def history(self) -> History:
        """Everything up to now: free to take, immutable to read."""
        return History(self._events, len(self._events))

    def save(self) -> None:
        """Hand the journal to the operating system.

        Raises:
            StorageError: it could not be written.
        """
        if self.trouble is None and self._journal is not None:
            try:
                self._journal.close()
            except StorageError as error:
                self.trouble = error
        if self.trouble is not None:
            raise self.trouble
