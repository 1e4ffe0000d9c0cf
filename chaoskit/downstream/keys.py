"""Idempotency keys: what a repeated call is told, as payment services do it.

The header names one attempt of one operation: method and path belong to it, for a caller may use its job's number as
the key of two different operations (draft-ietf-httpapi-idempotency-key-header, section 2.6).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chaoskit.downstream.calls import KEY_HEADER, Call, Reply, digest

Name = tuple[str, str, str]
IN_USE = Reply.error(409, "a request with this Idempotency-Key is still running")
OTHER_PAYLOAD = Reply.error(422, "this Idempotency-Key was used with another payload")


@dataclass(frozen=True, slots=True)
class Stored:
    """What an earlier call with this key was answered."""

    digest: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class Running:
    """An earlier call with this key that is not over; `over` is set when it is."""

    digest: str
    over: asyncio.Event


class Keys:
    """The keys of one test; only touched on the server's loop."""

    def __init__(self) -> None:
        self._stored: dict[Name, Stored] = {}
        self._running: dict[Name, Running] = {}

    def claim(self, call: Call, *, conflict: bool) -> Reply | Stored | Running | None:
        """Take the key for this call: None, and it must be freed.

        Else a refusal, what an earlier call was answered, or the call that has it now, to wait for.
        """
        name, payload = _name(call), digest(call.body)
        earlier = self._stored.get(name) or self._running.get(name)
        if earlier is None:
            self._running[name] = Running(payload, asyncio.Event())
            return None
        if isinstance(earlier, Running) and conflict:
            return IN_USE
        return earlier if earlier.digest == payload else OTHER_PAYLOAD

    def store(self, call: Call, reply: Reply) -> None:
        """The effect took place: from now on a repeat gets this answer."""
        self._stored[_name(call)] = Stored(digest(call.body), reply)

    def free(self, call: Call) -> None:
        """The call that took the key is over, with an effect or without."""
        running = self._running.pop(_name(call), None)
        if running is not None:
            running.over.set()


def _name(call: Call) -> Name:
    return call.method, call.path, call.headers.get(KEY_HEADER, "")
