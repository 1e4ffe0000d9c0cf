"""The sink of one test: what it declares, and what was recorded."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from chaoskit.downstream.calls import SAFE, Call, Effect, Reply, digest
from chaoskit.downstream.keys import Keys
from chaoskit.downstream.routes import Key, Route
from chaoskit.errors import ChaoskitError, UsageError

__all__ = ["Call", "Effect", "Records", "Reply", "Sink", "digest"]

KEPT_CALLS = 100_000
KEPT_BYTES = 64 << 20  # of bodies; later calls are kept without theirs


class Records:
    """What was seen since the test began. A late call of an earlier test finds its own, not the next one's."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.effects: list[Effect] = []
        self.keys = Keys()
        self.trouble: ChaoskitError | None = None
        self._bytes = 0

    def arrived(self, call: Call) -> None:
        """Keep a call, within bounds."""
        if len(self.calls) >= KEPT_CALLS:
            return
        self._bytes += len(call.body)
        if self._bytes > KEPT_BYTES:
            call = Call(call.number, call.instance, call.method, call.path, call.query, call.headers, b"")
        self.calls.append(call)

    def troubled(self, error: ChaoskitError) -> None:
        """The first trouble is the one to tell: others follow from it."""
        self.trouble = self.trouble or error


class Sink:
    """What the system calls, seen from a test.

    `idempotent`: a repeat with the same Idempotency-Key header gets the stored answer and is no second effect.
    `require_key`: 400 without that header. `conflict`: 409 while a call with the same key is running.
    """

    __slots__ = ("_forward", "_routes", "conflict", "idempotent", "records", "require_key")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, for the next test."""
        self.idempotent, self.require_key, self.conflict = True, False, False
        self.records = Records()
        self._routes: tuple[Route, ...] = ()
        self._forward: str | None = None

    @property
    def calls(self) -> list[Call]:
        """Every call of this test, effects or not, in the order of arrival (the first 100,000)."""
        return self.records.calls

    @property
    def effects(self) -> list[Effect]:
        """Every side effect, in the order in which they became durable."""
        return self.records.effects

    @property
    def trouble(self) -> ChaoskitError | None:
        """What failed of ours, or of the callables that the test gave: the test cannot be judged."""
        return self.records.trouble

    def effect(self, route: str, *, key: Key | None = None, answer: Any = None) -> None:
        """Declare what is an effect: `POST /v1/charges`; from then on other calls are answered but are no effects.

        `key` is a callable of the call that names its effect (None: it has none). `answer` is a value (sent as JSON),
        a list (one after another) or a callable of the call; a pair is status and body. The last word about a route wins.

        Raises:
            UsageError: the route is no method and path, or an argument is nothing that could be used.
        """
        made = Route(route, key, answer)
        kept = (each for each in self._routes if (each.method, each.path) != (made.method, made.path))
        self._routes = (*kept, made)

    def forward_to(self, url: str) -> None:
        """Let a server of the user's answer; holding and recording stay ours.

        Raises:
            UsageError: this is no http URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"chaos_sink.forward_to({url!r}): expected an http URL, such as 'http://127.0.0.1:12111'")
        self._forward = url.rstrip("/")

    @property
    def forward(self) -> str | None:
        """Where answers come from, if not from here."""
        return self._forward

    def route(self, call: Call) -> Route | None:
        """What the test declared about this call."""
        return next((each for each in self._routes if each.matches(call)), None)

    def counts(self, call: Call, route: Route | None) -> bool:
        """Whether a call is an effect, its key left aside."""
        return route is not None or (not self._routes and call.method not in SAFE)
