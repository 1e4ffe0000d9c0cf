"""Asking: what goes out, how slowly, under TLS, and what a cancelled or given-up request leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from chaoskit.history.facts import (
    BodyReached,
    BodySent,
    ConnectFailed,
    FirstByteReceived,
    RequestLost,
    RequestSent,
    ResponseReceived,
)
from chaoskit.workloads.client import Answer, Endpoint
from tests.workloads.conftest import Engine, until
from tests.workloads.peer import Peer, Script, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def listening(data: bytes = OK) -> tuple[Script, list[bytes]]:
    """A script that keeps the requests it read."""
    seen: list[bytes] = []

    def script(wire: Wire) -> None:
        seen.append(wire.request())
        wire.send(data)
        wire.rest()

    return script, seen


def sent(engine: Engine, **options: Any) -> bytes:
    script, seen = listening()
    with Peer(script) as peer:
        answer = engine.run(engine.ask(peer.port, **options))
    assert isinstance(answer.fact, ResponseReceived), answer.fact
    return seen[0]


# ---- what goes out -------------------------------------------------------------------------------------------------


def test_a_get_is_the_head_that_was_asked_for_and_a_host(engine: Engine) -> None:
    head = sent(engine, target="/a?b=1", headers=(("X-One", "1"),))
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /a?b=1 HTTP/1.1"
    assert lines[1].startswith(b"Host: 127.0.0.1:")
    assert lines[2:] == [b"X-One: 1", b"", b""]


def test_a_post_announces_its_length_even_when_empty(engine: Engine) -> None:
    assert b"\r\nContent-Length: 3\r\n\r\nabc" in sent(engine, method="POST", body=b"abc")
    assert b"\r\nContent-Length: 0\r\n" in sent(engine, method="POST")


def test_headers_that_the_user_gave_are_not_given_twice(engine: Engine) -> None:
    head = sent(engine, headers=(("host", "shop.example"),), keep_alive=False)
    assert head.lower().count(b"host:") == 1
    assert b"\r\nConnection: close\r\n" in head


def test_the_endpoint_may_name_another_host(engine: Engine) -> None:
    script, seen = listening()
    with Peer(script) as peer:
        engine.run(engine.ask(peer.port, endpoint=Endpoint("127.0.0.1", peer.port, host_header="shop.example")))
    assert b"\r\nHost: shop.example\r\n" in seen[0]


def test_the_digest_is_that_of_the_body_as_sent(engine: Engine) -> None:
    body = os.urandom(300_000)
    script, _ = listening(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body)
    with Peer(script) as peer:
        fact = engine.run(engine.ask(peer.port, byte_marks=(1, 100_000, 300_000))).fact
    assert isinstance(fact, ResponseReceived)
    assert fact.body_digest == hashlib.sha256(body).hexdigest()[:16]
    assert [reached.body_bytes for reached in engine.of(BodyReached)] == [1, 100_000, 300_000]


@pytest.mark.parametrize(("tail", "expected"), [(b"</html>\n", True), (b"</ht", False)])
def test_how_the_body_ends_is_compared_with_what_is_expected(engine: Engine, tail: bytes, expected: bool) -> None:  # noqa: FBT001
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(UNTIL_END + b"x" * 200_000 + tail)

    with Peer(script) as peer:
        fact = engine.run(engine.ask(peer.port, expect=b"</html>")).fact
    assert isinstance(fact, ResponseReceived)
    assert fact.expected is expected


def test_only_work_tells_its_first_byte(engine: Engine) -> None:
    sent(engine, purpose="readiness")
    assert not engine.of(FirstByteReceived)
    sent(engine, purpose="work")
    assert len(engine.of(FirstByteReceived)) == 1


# ---- slowly --------------------------------------------------------------------------------------------------------


def test_an_upload_is_spread_over_its_time(engine: Engine) -> None:
    body = os.urandom(200)
    began = time.monotonic()
    assert sent(engine, method="POST", body=body, upload_s=0.2).endswith(body)
    assert time.monotonic() - began >= 0.15
    assert [fact.sent_bytes for fact in engine.of(BodySent)] == [200]


def test_an_answer_ends_a_slow_upload(engine: Engine) -> None:
    def early(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")
        wire.send(OK)
        wire.rest()

    with Peer(early) as peer:
        answer = engine.run(engine.ask(peer.port, method="POST", body=b"x" * 1000, upload_s=30))
    assert isinstance(answer.fact, ResponseReceived)
    assert answer.fact.body_unsent > 0
    assert answer.connection is None


def test_a_slow_reader_takes_its_time_and_gets_all(engine: Engine) -> None:
    size = 1 << 20
    script, _ = listening(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    began = time.monotonic()
    with Peer(script) as peer:
        fact = engine.run(engine.ask(peer.port, download_s=0.3)).fact
    assert isinstance(fact, ResponseReceived)
    assert fact.body_bytes == size
    assert time.monotonic() - began >= 0.2


# ---- Expect: 100-continue ------------------------------------------------------------------------------------------


def test_the_body_waits_for_100_continue(engine: Engine) -> None:
    seen: list[bytes] = []

    def script(wire: Wire) -> None:
        seen.append(wire.until(b"\r\n\r\n"))
        wire.send(CONTINUE)
        seen.append(wire.until(b"body"))
        wire.send(OK)
        wire.rest()

    with Peer(script) as peer:
        fact = engine.run(engine.ask(peer.port, method="POST", body=b"body", expect_continue=True)).fact
    assert isinstance(fact, ResponseReceived)
    assert b"Expect: 100-continue" in seen[0]
    assert not seen[0].endswith(b"body")
    assert fact.body_unsent == 0


def test_a_refused_expectation_keeps_the_body_back(engine: Engine) -> None:
    def script(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")
        wire.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        wire.rest()

    with Peer(script) as peer:
        answer = engine.run(engine.ask(peer.port, method="POST", body=b"body", expect_continue=True))
    assert isinstance(answer.fact, ResponseReceived)
    assert (answer.fact.status, answer.fact.body_unsent) == (417, 4)
    assert answer.connection is None  # whether the server still waits for the body nobody knows


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "shop.example").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def notify(wire: Wire) -> None:
    """End TLS in order (close_notify), then TCP."""
    assert isinstance(wire.sock, ssl.SSLSocket)
    with contextlib.suppress(OSError):
        wire.sock.unwrap().close()


def over_tls(
    engine: Engine, server_tls: ssl.SSLContext, trusting: ssl.SSLContext, script: Script, **endpoint: Any
) -> Answer:
    with Peer(script, server_tls) as peer:
        target = Endpoint("127.0.0.1", peer.port, tls=trusting, **endpoint)
        return engine.run(engine.ask(peer.port, endpoint=target))


def test_a_whole_answer_over_tls(engine: Engine, server_tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    script, _ = listening()
    answer = over_tls(engine, server_tls, trusting, script, server_name="shop.example")
    assert isinstance(answer.fact, ResponseReceived)


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        (b"", "closed_without_byte"),
        (b"HTTP/1.1 200 OK\r\nConte", "cut_in_head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123", "cut_in_body"),
        (UNTIL_END + b"0123", "cut_in_body"),
    ],
)
def test_tls_that_ends_without_close_notify_is_told_as_such(
    engine: Engine, server_tls: ssl.SSLContext, trusting: ssl.SSLContext, data: bytes, loss: str
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(data)
        wire.sock.shutdown(socket.SHUT_WR)
        wire.rest()

    fact = over_tls(engine, server_tls, trusting, script).fact
    assert isinstance(fact, RequestLost), fact
    assert (fact.loss, fact.by) == (loss, "tls")


def test_a_body_that_only_the_end_delimits_is_whole_with_close_notify(
    engine: Engine, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(UNTIL_END + b"0123")
        notify(wire)

    fact = over_tls(engine, server_tls, trusting, script).fact
    assert isinstance(fact, ResponseReceived), fact
    assert (fact.framing, fact.body_bytes) == ("eof", 4)


def test_close_notify_in_mid_body_is_a_fin(
    engine: Engine, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123")
        notify(wire)

    fact = over_tls(engine, server_tls, trusting, script).fact
    assert isinstance(fact, RequestLost), fact
    assert (fact.loss, fact.by, fact.body_bytes) == ("cut_in_body", "fin", 4)


def test_a_certificate_that_is_not_trusted_is_no_connection(engine: Engine, server_tls: ssl.SSLContext) -> None:
    script, _ = listening()
    fact = over_tls(engine, server_tls, ssl.create_default_context(), script).fact
    assert isinstance(fact, ConnectFailed)
    assert fact.loss == "tls"
    assert "certificate" in fact.detail_text.lower()


def test_a_handshake_that_never_ends_is_bounded(engine: Engine, trusting: ssl.SSLContext) -> None:
    with Peer(Wire.rest) as peer:
        target = Endpoint("127.0.0.1", peer.port, tls=trusting)
        answer = engine.run(engine.ask(peer.port, endpoint=target, timeout_s=0.2), limit_s=5)
    assert isinstance(answer.fact, ConnectFailed)
    assert answer.fact.loss == "timed_out"


# ---- giving up -----------------------------------------------------------------------------------------------------


def open_sockets() -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(entry.readlink()).startswith("socket:")
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("tls", [False, True])
def test_a_cancelled_request_leaves_no_socket(
    engine: Engine,
    server_tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
    tls: bool,  # noqa: FBT001
) -> None:
    closed = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.rest()
        wire.sock.close()
        closed.set()

    async def work(port: int) -> tuple[int, int]:
        before = open_sockets()
        target = Endpoint("127.0.0.1", port, tls=trusting if tls else None)
        task = asyncio.create_task(engine.ask(port, endpoint=target))
        await until(lambda: engine.of(RequestSent))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(closed.is_set)
        return before, open_sockets()

    with Peer(script, server_tls if tls else None) as peer:
        before, after = engine.run(work(peer.port))
    assert after <= before
    assert engine.client.open_count() == 0
    engine.unended = {1}


def test_a_request_that_is_given_up_while_it_connects_never_connected(engine: Engine) -> None:
    from tests.workloads.test_connection_outcomes import full_backlog

    listener, fillers = full_backlog()

    async def work() -> Answer:
        task = asyncio.create_task(engine.ask(listener.getsockname()[1], timeout_s=30))
        for _ in range(10):
            await asyncio.sleep(0.001)
        engine.client.give_up(1)
        return await task

    try:
        fact = engine.run(work(), limit_s=5).fact
    finally:
        for sock in (listener, *fillers):
            sock.close()
    assert isinstance(fact, ConnectFailed)
    assert fact.loss == "timed_out"


def test_what_is_open_is_told_with_its_port_and_progress(engine: Engine) -> None:
    ports: list[int] = []

    def script(wire: Wire) -> None:
        ports.append(wire.sock.getpeername()[1])
        wire.request()
        wire.rest()

    async def work(port: int) -> None:
        task = asyncio.create_task(engine.ask(port, workload=3))
        await until(lambda: ports and engine.of(RequestSent))
        pending = engine.client.open_requests()[1]
        assert (pending.client_port, pending.workload, pending.sent, pending.first_byte) == (ports[0], 3, True, False)
        assert engine.client.work_open_since(engine.recorder.now())
        engine.client.give_up(1)
        await task
        assert not engine.client.open_requests()

    with Peer(script) as peer:
        engine.run(work(peer.port))
