"""What a connection did, and the one fact that says so: a scripted server, every outcome, on every loop."""

from __future__ import annotations

import asyncio
import socket
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from chaoskit.history.facts import (
    ConnectFailed,
    ConnectionEnded,
    FirstByteReceived,
    RequestHung,
    RequestLost,
    RequestSent,
    ResponseReceived,
)
from chaoskit.workloads.client import Answer, Link
from tests.workloads.conftest import Engine, until
from tests.workloads.peer import Peer, Script, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\n"
BIG = b"x" * (8 << 20)


def saying(data: bytes, end: Callable[[Wire], object] = Wire.rest) -> Script:
    """Read the request, say this, end so."""

    def script(wire: Wire) -> None:
        wire.request()
        if data:
            wire.send(data)
        end(wire)

    return script


def answer_of(engine: Engine, script: Script, **options: Any) -> Answer:
    with Peer(script) as peer:
        return engine.run(engine.ask(peer.port, **options))


def whole(engine: Engine, script: Script, **options: Any) -> ResponseReceived:
    fact = answer_of(engine, script, **options).fact
    assert isinstance(fact, ResponseReceived), fact
    return fact


def lost(engine: Engine, script: Script, **options: Any) -> RequestLost:
    fact = answer_of(engine, script, **options).fact
    assert isinstance(fact, RequestLost), fact
    return fact


def after_first_byte(engine: Engine, port: int, go: threading.Event, **options: Any) -> Answer:
    """Ask, and let the script go on once the client has read something."""

    async def work() -> Answer:
        task = asyncio.create_task(engine.ask(port, **options))
        await until(lambda: engine.of(FirstByteReceived))
        go.set()
        return await task

    return engine.run(work())


# ---- whole answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "framing", "body_bytes", "end"),
    [
        (SIZED + b"0123456789", "sized", 10, Wire.rest),
        (CHUNKED + b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", "chunked", 10, Wire.rest),
        (UNTIL_END + b"0123456789", "eof", 10, Wire.fin),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "none", 0, Wire.rest),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "none", 0, Wire.rest),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "sized", 0, Wire.rest),
    ],
)
def test_a_whole_answer_is_told_with_its_framing(
    engine: Engine, data: bytes, framing: str, body_bytes: int, end: Callable[[Wire], object]
) -> None:
    fact = whole(engine, saying(data, end))
    assert (fact.framing, fact.body_bytes, fact.body_unsent) == (framing, body_bytes, 0)


def test_an_answer_to_head_has_no_body(engine: Engine) -> None:
    fact = whole(engine, saying(SIZED), method="HEAD")
    assert (fact.status, fact.framing, fact.body_bytes) == (200, "none", 0)


@pytest.mark.parametrize("value", ["1", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "1.5", None])
def test_retry_after_is_carried_as_it_stood(engine: Engine, value: str | None) -> None:
    line = f"Retry-After: {value}\r\n" if value is not None else ""
    data = f"HTTP/1.1 503 Service Unavailable\r\n{line}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
    fact = whole(engine, saying(data, Wire.fin))
    assert (fact.status, fact.retry_after, fact.closes) == (503, value, True)


def test_an_answer_in_single_bytes_is_whole(engine: Engine) -> None:
    def drip(wire: Wire) -> None:
        wire.request()
        for at in range(len(OK)):
            wire.send(OK[at : at + 1])
        wire.rest()

    assert whole(engine, drip).body_bytes == 2


def test_trailers_belong_to_the_body_and_decide_nothing(engine: Engine) -> None:
    data = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nConnection: close\r\n\r\n"
    fact = whole(engine, saying(data))
    assert (fact.framing, fact.body_bytes, fact.closes) == ("chunked", 2, False)


def test_http_1_0_closes_unless_it_says_otherwise(engine: Engine) -> None:
    plain = whole(engine, saying(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Wire.fin))
    kept = whole(engine, saying(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"))
    assert (plain.closes, kept.closes) == (True, False)


def test_informational_answers_come_before_the_answer(engine: Engine) -> None:
    early = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nRetry-After: 9\r\n\r\n"
    fact = whole(engine, saying(early + OK))
    assert (fact.status, fact.retry_after) == (200, None)


def test_an_event_stream_is_a_body_that_grows(engine: Engine) -> None:
    def stream(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            wire.send(b"8\r\ndata: 1\n\r\n")
        wire.send(b"0\r\n\r\n")
        wire.rest()

    assert whole(engine, stream).body_bytes == 24


@pytest.mark.parametrize("garbage", [b"garbage", OK, b"\x00\xff"])
def test_what_follows_an_answer_unasked_ends_the_use_of_its_connection(engine: Engine, garbage: bytes) -> None:
    answer = answer_of(engine, saying(OK + garbage))
    assert isinstance(answer.fact, ResponseReceived)
    assert answer.connection is None


def test_a_whole_answer_keeps_its_connection_for_the_next_request(engine: Engine) -> None:
    def twice(wire: Wire) -> None:
        for _ in range(2):
            wire.request()
            wire.send(OK)
        wire.rest()

    async def work(port: int) -> None:
        first = await engine.ask(port)
        assert first.connection is not None
        second = await engine.ask(port, first.connection)
        assert isinstance(second.fact, ResponseReceived)
        assert second.connection is not None
        second.connection.close()

    with Peer(twice) as peer:
        engine.run(work(peer.port))
        assert peer.accepted == 1
    assert [fact.reused for fact in engine.of(RequestSent)] == [False, True]


# ---- no connection -------------------------------------------------------------------------------------------------


def test_a_port_without_a_listener_refuses(engine: Engine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        answer = engine.run(engine.ask(free.getsockname()[1]))
    assert isinstance(answer.fact, ConnectFailed)
    assert answer.fact.loss == "refused"
    assert not engine.of(RequestSent)


def full_backlog() -> tuple[socket.socket, list[socket.socket]]:
    """A listener that nobody accepts from, its backlog full: further SYNs are dropped."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers: list[socket.socket] = []
    for _ in range(8):
        sock = socket.socket()
        sock.settimeout(0.1)
        fillers.append(sock)
        try:
            sock.connect(listener.getsockname())
        except TimeoutError:
            return listener, fillers
    pytest.skip("this kernel takes connections beyond the backlog")


def test_a_connect_that_nobody_takes_times_out(engine: Engine) -> None:
    listener, fillers = full_backlog()
    try:
        answer = engine.run(engine.ask(listener.getsockname()[1], timeout_s=0.2))
    finally:
        for sock in (listener, *fillers):
            sock.close()
    assert isinstance(answer.fact, ConnectFailed)
    assert answer.fact.loss == "timed_out"


# ---- cut answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "loss", "by"), [(Wire.fin, "closed_without_byte", "fin"), (Wire.rst, "reset_without_byte", "rst")]
)
def test_an_end_without_a_byte(engine: Engine, end: Callable[[Wire], object], loss: str, by: str) -> None:
    fact = lost(engine, saying(b"", end))
    assert (fact.loss, fact.by, fact.status, fact.body_bytes) == (loss, by, None, 0)
    assert fact.sent_bytes > 0
    assert not engine.of(FirstByteReceived)


CUTS = [
    (b"HTTP/1.1 200 OK\r\nContent-Le", "cut_in_head", None, 0, None),
    (b"H", "cut_in_head", None, 0, None),
    (SIZED + b"0123", "cut_in_body", "sized", 4, 10),
    (SIZED, "cut_in_body", "sized", 0, 10),
    (CHUNKED + b"5\r\n012", "cut_in_body", "chunked", 3, None),
    (CHUNKED + b"5\r\n01234\r\n0\r\n", "cut_in_body", "chunked", 5, None),
]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("end", "by"), [(Wire.fin, "fin"), (Wire.rst, "rst")])
@pytest.mark.parametrize(("data", "loss", "framing", "body_bytes", "expected"), CUTS)
def test_a_cut_answer_tells_where_and_how(  # noqa: PLR0913, PLR0917 - a matrix
    engine: Engine,
    data: bytes,
    loss: str,
    framing: str | None,
    body_bytes: int,
    expected: int | None,
    end: Callable[[Wire], object],
    by: str,
    at_once: bool,  # noqa: FBT001 - a parameter of the matrix
) -> None:
    go = threading.Event()

    def cut(wire: Wire) -> None:
        wire.request()
        wire.send(data)
        assert at_once or go.wait(10)
        end(wire)

    with Peer(cut) as peer:
        fact = engine.run(engine.ask(peer.port)).fact if at_once else after_first_byte(engine, peer.port, go).fact
    assert isinstance(fact, RequestLost)
    if at_once and by == "rst" and fact.loss == "reset_without_byte":
        return  # the reset overtook what was sent: the kernel never gave it to us
    assert (fact.loss, fact.by, fact.framing, fact.body_bytes, fact.expected_bytes) == (
        loss, by, framing, body_bytes, expected,
    )  # fmt: skip


def test_a_reset_cuts_a_body_that_only_the_end_delimits(engine: Engine) -> None:
    go = threading.Event()

    def cut(wire: Wire) -> None:
        wire.request()
        wire.send(UNTIL_END + b"0123")
        go.wait(10)
        wire.rst()

    with Peer(cut) as peer:
        fact = after_first_byte(engine, peer.port, go).fact
    assert isinstance(fact, RequestLost)
    assert (fact.loss, fact.by, fact.framing) == ("cut_in_body", "rst", "eof")


def test_a_reset_right_behind_such_a_body_cuts_it_too(engine: Engine) -> None:
    """Both are there when the loop looks: libuv alone would tell an end in order."""
    sent = threading.Event()

    def cut(wire: Wire) -> None:
        wire.request()
        wire.send(UNTIL_END + b"0123")
        wire.rst()
        sent.set()

    async def work(port: int) -> Answer:
        task = asyncio.create_task(engine.ask(port))
        await until(lambda: engine.of(RequestSent))
        assert sent.wait(10)  # the loop stands still until both have come
        return await task

    with Peer(cut) as peer:
        fact = engine.run(work(peer.port)).fact
    assert isinstance(fact, RequestLost)
    assert fact.by == "rst"


def test_a_reset_behind_a_whole_answer_is_told_beside_it(engine: Engine) -> None:
    go = threading.Event()

    def reset(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        go.wait(10)
        wire.rst()

    async def work(port: int) -> ConnectionEnded:
        answer = await engine.ask(port)
        assert isinstance(answer.fact, ResponseReceived)
        go.set()
        return await engine.ended()

    with Peer(reset) as peer:
        ended = engine.run(work(peer.port))
    assert (ended.by, ended.how, ended.after_answer, ended.request) == ("server", "rst", True, 1)


def test_an_early_answer_counts_although_the_upload_is_unread_and_reset(engine: Engine) -> None:
    go = threading.Event()

    def early(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")
        wire.send(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        go.wait(10)
        wire.rst()

    with Peer(early) as peer:
        answer = after_first_byte(engine, peer.port, go, method="POST", body=BIG)
    assert isinstance(answer.fact, ResponseReceived)
    assert (answer.fact.status, answer.fact.retry_after) == (503, "1")
    assert answer.fact.body_unsent > 0
    assert answer.connection is None


# ---- kept connections ----------------------------------------------------------------------------------------------


def test_an_idle_connection_closed_before_use_is_told_and_loses_no_request(engine: Engine) -> None:
    async def work(port: int) -> Link:
        link = await engine.client.open(_endpoint(port), "idle")
        await engine.ended()
        return link

    with Peer(Wire.fin) as peer:
        link = engine.run(work(peer.port))
    ended = engine.of(ConnectionEnded)[0]
    assert (ended.by, ended.how, ended.request) == ("server", "fin", None)
    assert link.closed
    assert not engine.of(RequestSent)


@pytest.mark.parametrize("end", [Wire.fin, Wire.rst])
def test_an_idle_connection_closed_in_the_instant_of_its_use_loses_the_request(
    engine: Engine, end: Callable[[Wire], object]
) -> None:
    def close_on_use(wire: Wire) -> None:
        wire.request()
        end(wire)

    async def work(port: int) -> Answer:
        link = await engine.client.open(_endpoint(port), "idle")
        return await engine.ask(port, link, purpose="idle")

    with Peer(close_on_use) as peer:
        fact = engine.run(work(peer.port)).fact
    assert isinstance(fact, RequestLost)
    assert fact.loss in ("closed_without_byte", "reset_without_byte")
    assert engine.of(RequestSent)[0].reused


def test_an_idle_connection_that_we_close_is_ours(engine: Engine) -> None:
    async def work(port: int) -> None:
        link = await engine.client.open(_endpoint(port), "idle")
        link.close()

    with Peer(Wire.rest) as peer:
        engine.run(work(peer.port))
    assert [(fact.by, fact.how) for fact in engine.of(ConnectionEnded)] == [("client", "fin")]


# ---- hung, malformed, hostile --------------------------------------------------------------------------------------


def test_a_request_without_an_answer_hangs_until_its_own_deadline(engine: Engine) -> None:
    fact = answer_of(engine, saying(b""), timeout_s=0.1).fact
    assert isinstance(fact, RequestHung)
    assert (fact.status, fact.body_bytes) == (None, 0)
    assert fact.waited_s >= 0.09


def test_a_request_that_is_given_up_hung_with_what_had_come(engine: Engine) -> None:
    async def work(port: int) -> Answer:
        task = asyncio.create_task(engine.ask(port))
        await until(lambda: any(pending.body_bytes == 4 for pending in engine.client.open_requests().values()))
        engine.client.give_up(1)
        engine.client.give_up(1)
        engine.client.give_up(99)
        return await task

    with Peer(saying(SIZED + b"0123")) as peer:
        fact = engine.run(work(peer.port)).fact
    assert isinstance(fact, RequestHung)
    assert (fact.status, fact.body_bytes) == (200, 4)


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        CHUNKED + b"zz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_an_answer_that_is_not_http_is_malformed(engine: Engine, data: bytes) -> None:
    fact = lost(engine, saying(data))
    assert (fact.loss, fact.by) == ("malformed", "parser")
    assert fact.detail_text


def endlessly(first: bytes, more: bytes) -> Script:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(first)
        while not wire.over.is_set():
            wire.send(more)

    return script


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Long: 0123456789\r\n" * 50),
        (b"HTTP/1.1 200 OK\r\nX-One: ", b"0123456789" * 100),
        (b"HTTP/1.1 ", b"200 " * 100),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50),
        (CHUNKED + b"1;", b"extension=0123456789;" * 50),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: 0123456789\r\n" * 50),
    ],
)
def test_what_never_ends_outside_a_body_is_cut_at_a_bound(engine: Engine, first: bytes, more: bytes) -> None:
    fact = lost(engine, endlessly(first, more))
    assert fact.loss in ("too_large", "malformed")


def test_an_endless_body_costs_no_memory_and_ends_by_its_deadline(engine: Engine) -> None:
    import resource

    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    script = endlessly(UNTIL_END, b"x" * 65536)
    fact = answer_of(engine, script, timeout_s=0.5, expect=b"</html>").fact
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert isinstance(fact, RequestHung)
    assert fact.body_bytes > 1 << 20
    assert grown_kb < 64 << 10


def test_a_compressed_body_is_counted_as_it_came(engine: Engine) -> None:
    bomb = zlib.compress(bytes(32 << 20))
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    assert whole(engine, saying(data + bomb)).body_bytes == len(bomb)


def test_a_slow_drip_ends_by_its_deadline(engine: Engine) -> None:
    def drip(wire: Wire) -> None:
        wire.request()
        wire.send(UNTIL_END)
        while not wire.over.wait(0.02):
            wire.send(b".")

    fact = answer_of(engine, drip, timeout_s=0.2).fact
    assert isinstance(fact, RequestHung)
    assert fact.status == 200


def _endpoint(port: int) -> Any:
    from chaoskit.workloads.client import Endpoint

    return Endpoint("127.0.0.1", port)
