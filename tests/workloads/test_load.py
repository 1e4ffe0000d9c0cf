"""The open loop: every request is due at its instant, whatever became of those before it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from chaoskit.history.facts import ConnectFailed, RequestLost, RequestSent, ResponseReceived
from chaoskit.workloads import load
from chaoskit.workloads.client import Ask, Endpoint
from chaoskit.workloads.load import open_loop
from tests.workloads.conftest import Engine, until
from tests.workloads.peer import Peer, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serving(wire: Wire) -> None:
    while wire.until(b"\r\n\r\n"):
        wire.send(OK)


async def loaded(
    engine: Engine,
    endpoint_of: Callable[[], Endpoint],
    rate: float,
    enough: Callable[[], object],
    timeout_s: float = 10,
) -> None:
    """Load until it is enough."""
    stop = asyncio.Event()

    def ask(_number: int) -> Ask:
        return Ask(request=engine.client.next_request(), purpose="work", workload=0, timeout_s=timeout_s)

    task = asyncio.create_task(open_loop(engine.client, endpoint_of, ask, rate, stop))
    await until(enough)
    stop.set()
    await task


def to(port: int) -> Callable[[], Endpoint]:
    return lambda: Endpoint("127.0.0.1", port)


def test_requests_begin_at_their_rate_over_few_connections(engine: Engine) -> None:
    with Peer(serving) as peer:
        engine.run(loaded(engine, to(peer.port), 200, lambda: len(engine.of(ResponseReceived)) >= 100))
        accepted = peer.accepted
    opened = sorted(fact.opened_s for fact in engine.of(RequestSent))
    gaps = [later - earlier for earlier, later in itertools.pairwise(opened)]
    assert sum(gaps) / len(gaps) == pytest.approx(1 / 200, rel=0.1)
    assert accepted < len(opened)


def test_a_server_that_hangs_does_not_slow_the_load(engine: Engine) -> None:
    with Peer(Wire.rest) as peer:
        engine.run(loaded(engine, to(peer.port), 200, lambda: engine.client.open_count() >= 20, timeout_s=0.5))
    opened = [fact.opened_s for fact in engine.of(RequestSent)]
    assert len(opened) >= 20
    assert opened == sorted(opened)


def test_a_request_that_begins_late_counts_from_when_it_was_due(engine: Engine) -> None:
    import time

    stalled: list[float] = []

    def endpoint_of() -> Endpoint:
        if not stalled:
            stalled.append(engine.recorder.now())
            time.sleep(0.2)  # the loop stands still: those due meanwhile begin late
        return Endpoint("127.0.0.1", peer.port)

    with Peer(serving) as peer:
        engine.run(loaded(engine, endpoint_of, 100, lambda: len(engine.of(ResponseReceived)) >= 30))
    opened = [fact.opened_s for fact in engine.of(RequestSent)]
    assert sum(stalled[0] <= at <= stalled[0] + 0.2 for at in opened) >= 10


def test_refusals_are_recorded_each(engine: Engine) -> None:
    with Peer(serving) as peer:
        port = peer.port
    engine.run(loaded(engine, to(port), 500, lambda: len(engine.of(ConnectFailed)) >= 50))
    assert {fact.loss for fact in engine.of(ConnectFailed)} == {"refused"}


def test_connections_that_the_server_closes_are_replaced(engine: Engine) -> None:
    def once(wire: Wire) -> None:
        wire.request()
        wire.send(OK)

    with Peer(once) as peer:
        engine.run(loaded(engine, to(peer.port), 200, lambda: len(engine.of(ResponseReceived)) >= 50))
        assert peer.accepted >= 50
    assert len(engine.of(ResponseReceived)) + len(engine.of(RequestLost)) == len(engine.of(RequestSent))


def test_the_load_follows_the_endpoint(engine: Engine) -> None:
    with Peer(serving) as first, Peer(serving) as second:
        port = [first.port]

        def moved() -> bool:
            if len(engine.of(ResponseReceived)) >= 20:
                port[0] = second.port
            return second.accepted > 0 and len(engine.of(ResponseReceived)) >= 40

        engine.run(loaded(engine, lambda: Endpoint("127.0.0.1", port[0]), 200, moved))
        assert second.accepted > 0


def test_no_more_than_a_bound_is_open_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MOST_OPEN", 5)
    with Peer(Wire.rest) as peer:
        began = engine.recorder.now()
        work = loaded(engine, to(peer.port), 500, lambda: engine.recorder.now() - began > 0.2, timeout_s=0.4)
        engine.run(work)
    assert len(engine.of(RequestSent)) == 5


def test_no_connection_is_left_when_the_load_is_over(engine: Engine) -> None:
    over: list[int] = []

    def serve(wire: Wire) -> None:
        serving(wire)
        over.append(wire.number)

    async def work(peer: Peer) -> None:
        await loaded(engine, to(peer.port), 200, lambda: len(engine.of(ResponseReceived)) >= 20)
        await until(lambda: len(over) == peer.accepted)

    with Peer(serve) as peer:
        engine.run(work(peer))
