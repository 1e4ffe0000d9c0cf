"""The engine on a loop of its own, and asking a scripted peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from chaoskit.history.facts import (
    AnyFact,
    ConnectFailed,
    ConnectionEnded,
    RequestHung,
    RequestLost,
    RequestSent,
    ResponseReceived,
)
from chaoskit.history.recorder import Recorder
from chaoskit.workloads.client import Answer, Ask, Client, Endpoint, Link

T = TypeVar("T")
ENDINGS = (ResponseReceived, RequestLost, RequestHung, ConnectFailed)
Work = Callable[["Engine"], Coroutine[Any, Any, T]]


@dataclass
class Engine:
    """A client and its records."""

    new_loop: Callable[[], asyncio.AbstractEventLoop]
    recorder: Recorder = field(default_factory=Recorder)
    unended: set[int] = field(default_factory=set)  # requests that the test itself has cancelled

    def __post_init__(self) -> None:
        self.client = Client(self.recorder)

    def run(self, work: Coroutine[Any, Any, T], limit_s: float = 20) -> T:
        """Run it on a fresh loop; what it left behind is given one turn to end."""

        async def bounded() -> T:
            async with asyncio.timeout(limit_s):
                return await work

        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            return runner.run(bounded())

    async def ask(self, port: int, link: Link | None = None, **options: Any) -> Answer:
        """One request to the peer."""
        options.setdefault("purpose", "work")
        options.setdefault("timeout_s", 10)
        endpoint = options.pop("endpoint", None) or Endpoint("127.0.0.1", port)
        ask = Ask(request=self.client.next_request(), **options)
        return await self.client.ask(endpoint, ask, link)

    def facts(self) -> list[AnyFact]:
        return [event.fact for event in self.recorder.history()]

    def of(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.facts() if isinstance(fact, kind)]

    async def ended(self) -> ConnectionEnded:
        """The record of a connection's end, as soon as there is one."""
        await until(lambda: self.of(ConnectionEnded))
        return self.of(ConnectionEnded)[0]

    def sound(self) -> None:
        """Every request was sent once, then ended once (or never connected)."""
        states: dict[int, str] = {}
        for fact in self.facts():
            if isinstance(fact, RequestSent):
                assert fact.request not in states
                states[fact.request] = "sent"
            elif isinstance(fact, ENDINGS):
                before = states.get(fact.request)
                assert before == (None if isinstance(fact, ConnectFailed) else "sent"), fact
                states[fact.request] = "ended"
        assert {number for number, state in states.items() if state == "sent"} == self.unended
        assert self.client.open_count() == 0


async def until(true: Callable[[], object]) -> None:
    """Wait for what a scripted peer or the engine does."""
    while not true():  # noqa: ASYNC110 - what is waited for happens in threads and kernels
        await asyncio.sleep(0.001)


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every loop that the engine may run on here."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    try:
        import uvloop
    except ImportError:
        return found
    return {"uvloop": uvloop.new_event_loop, **found}


@pytest.fixture(params=list(loops()))
def engine(request: pytest.FixtureRequest) -> Any:
    """The client on each loop; afterwards every request of the test has ended exactly once."""
    made = Engine(loops()[request.param])
    yield made
    made.sound()
