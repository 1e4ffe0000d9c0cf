"""Where loops and kernels tell less than happened: what was there before a reset, on a dead connection, in our own way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from chaoskit.errors import ChaoskitError
from chaoskit.history.facts import (
    ConnectFailed,
    ConnectionEnded,
    FirstByteReceived,
    RequestHung,
    RequestLost,
    RequestSent,
    ResponseReceived,
)
from chaoskit.workloads.client import Answer, Endpoint
from tests.workloads.conftest import Engine, until
from tests.workloads.peer import Peer, Script, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BIG = 16 << 20  # more than the buffers of both kernels take


def answering(data: bytes) -> Script:
    """Answer every request so, until the client leaves."""

    def script(wire: Wire) -> None:
        while wire.request().strip():
            wire.send(data)

    return script


# ---- resets ------------------------------------------------------------------------------------------------------


def test_an_answer_that_came_before_a_reset_is_read_although_our_write_failed_first(engine: Engine) -> None:
    go, over = threading.Event(), threading.Event()

    def script(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")
        go.wait(10)
        wire.send(BUSY)
        wire.rst()
        over.set()

    async def work(port: int) -> Answer:
        task = asyncio.create_task(engine.ask(port, method="POST", body=bytes(100), upload_s=60))
        await until(lambda: engine.of(RequestSent))
        running: Any = engine.client.open_requests()[1]
        go.set()
        assert over.wait(10)  # the loop stands still meanwhile: answer and reset wait in the kernel
        running._step_upload()
        return await task

    with Peer(script) as peer:
        fact = engine.run(work(peer.port)).fact
    assert isinstance(fact, ResponseReceived), fact
    assert fact.status == 503
    assert fact.body_unsent > 0


def test_a_reset_in_the_same_instant_as_a_whole_answer_is_seen(engine: Engine) -> None:
    sent = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        wire.rst()
        sent.set()

    async def work(port: int) -> ConnectionEnded:
        task = asyncio.create_task(engine.ask(port))
        await until(lambda: engine.of(RequestSent))
        assert sent.wait(10)  # both have come when the loop looks again
        assert isinstance((await task).fact, ResponseReceived)
        return await engine.ended()

    with Peer(script) as peer:
        ended = engine.run(work(peer.port))
    assert (ended.how, ended.by, ended.after_answer, ended.request) == ("rst", "server", True, 1)


def test_a_reset_because_the_body_was_unread_says_how_much_was_not_even_taken(engine: Engine) -> None:
    def script(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")

    with Peer(script) as peer:
        fact = engine.run(engine.ask(peer.port, method="POST", body=bytes(BIG))).fact
    assert isinstance(fact, RequestLost)
    assert (fact.loss, fact.by) == ("reset_without_byte", "rst")
    assert 0 < fact.body_unsent < BIG
    assert fact.sent_bytes + fact.body_unsent > BIG  # the head was sent too


def test_a_reset_that_erases_an_answer_to_an_unread_body_is_seen_beside_the_answer(engine: Engine) -> None:
    def script(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")
        wire.send(BUSY)

    async def work(port: int) -> tuple[Answer, ConnectionEnded]:
        answer = await engine.ask(port, method="POST", body=bytes(BIG))
        return answer, await engine.ended()

    with Peer(script) as peer:
        answer, ended = engine.run(work(peer.port))
    assert isinstance(answer.fact, ResponseReceived)
    assert 0 < answer.fact.body_unsent < BIG
    assert answer.connection is None
    assert (ended.how, ended.after_answer) == ("rst", True)


def test_a_loss_inside_a_request_is_told_once(engine: Engine) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.rst()

    with Peer(script) as peer:
        fact = engine.run(engine.ask(peer.port, purpose="idle")).fact
        assert isinstance(fact, RequestLost)
        assert fact.errno == errno.ECONNRESET
        assert peer.accepted == 1  # and nothing is ever asked again by itself
    assert not engine.of(ConnectionEnded)


# ---- connections between requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Wire.fin, Wire.rst])
def test_a_connection_that_only_the_kernel_knows_to_be_closed_is_not_asked_on(
    engine: Engine, end: Callable[[Wire], object]
) -> None:
    go, gone = threading.Event(), threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        if wire.number == 0:
            go.wait(10)
            end(wire)
            gone.set()
        wire.rest()

    async def work(port: int) -> None:
        link = (await engine.ask(port, purpose="warm")).connection
        assert link is not None
        engine.client.rest(link, "idle")
        assert not link.closed
        go.set()
        assert gone.wait(10)  # the loop stands still meanwhile
        assert link.closed
        again = await engine.ask(port, link, purpose="idle")
        assert isinstance(again.fact, ResponseReceived)
        await engine.ended()

    with Peer(script) as peer:
        engine.run(work(peer.port))
        assert peer.accepted == 2
    ended = engine.of(ConnectionEnded)[0]
    assert (ended.by, ended.how, ended.purpose) == ("server", "rst" if end is Wire.rst else "fin", "idle")
    assert [fact.reused for fact in engine.of(RequestSent)] == [False, False]


def test_what_the_server_half_closes_we_close_at_once(engine: Engine) -> None:
    left = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        wire.sock.shutdown(socket.SHUT_WR)
        wire.rest()
        left.set()

    async def work(port: int) -> None:
        await engine.ask(port)
        await until(left.is_set)

    with Peer(script) as peer:
        engine.run(work(peer.port), limit_s=5)


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", b"rubbish"])
def test_bytes_on_a_resting_connection_spoil_it(engine: Engine, unasked: bytes) -> None:
    go = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        go.wait(10)
        wire.send(unasked)

    async def work(port: int) -> ConnectionEnded:
        link = (await engine.ask(port)).connection
        assert link is not None
        engine.client.rest(link, "idle")
        go.set()
        await until(lambda: link.closed)
        return await engine.ended()

    with Peer(script) as peer:
        ended = engine.run(work(peer.port))
    assert ended.by == "server"


def test_a_stray_line_end_between_answers_is_tolerated(engine: Engine) -> None:
    async def work(port: int) -> None:
        link = None
        for _ in range(3):
            link = (await engine.ask(port, link)).connection
            assert link is not None

    with Peer(answering(OK + b"\r\n")) as peer:
        engine.run(work(peer.port))
        assert peer.accepted == 1


def test_head_answers_keep_their_connection(engine: Engine) -> None:
    async def work(port: int) -> None:
        link = None
        for _ in range(3):
            link = (await engine.ask(port, link, method="HEAD")).connection
            assert link is not None

    with Peer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")) as peer:
        engine.run(work(peer.port))
        assert peer.accepted == 1


def test_a_body_behind_the_answer_to_head_spoils_the_connection(engine: Engine) -> None:
    with Peer(answering(OK)) as peer:
        answer = engine.run(engine.ask(peer.port, method="HEAD"))
    assert isinstance(answer.fact, ResponseReceived)
    assert answer.connection is None


# ---- ourselves ---------------------------------------------------------------------------------------------------


def test_a_name_is_looked_up_and_an_unknown_one_is_unreachable(engine: Engine) -> None:
    with Peer(answering(OK)) as peer:
        known = engine.run(engine.ask(0, endpoint=Endpoint("localhost", peer.port))).fact
    assert isinstance(known, ResponseReceived)
    unknown = engine.run(engine.ask(0, endpoint=Endpoint("nowhere.invalid", 80))).fact
    assert isinstance(unknown, ConnectFailed)
    assert unknown.loss == "unreachable"


def test_a_missing_descriptor_is_our_own_trouble(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_words: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("chaoskit.workloads.link._connected", none_left)
    with pytest.raises(ChaoskitError, match="Too many open files"):
        engine.run(engine.ask(1))
    assert not engine.facts()


def test_a_connection_without_a_request_that_cannot_be_opened_is_an_error_that_says_where(engine: Engine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ChaoskitError, match=rf"no silent connection to 127\.0\.0\.1:{port} could be opened"):
            engine.run(engine.client.open(Endpoint("127.0.0.1", port), "silent"))


def test_a_line_break_never_goes_out_in_a_head(engine: Engine) -> None:
    with Peer(answering(OK)) as peer, pytest.raises(ValueError, match="line break"):
        engine.run(engine.ask(peer.port, headers=(("X-One", "1\r\nX-Two: 2"),)))
    assert not engine.facts()


def test_our_own_failure_accuses_nobody(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("chaoskit.workloads.reading.Reading.body", broken)
    engine.unended = {1}
    with Peer(answering(OK)) as peer, pytest.raises(ChaoskitError, match="the HTTP engine failed"):
        engine.run(engine.ask(peer.port))
    assert not engine.of(RequestLost)


# ---- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def test_a_reset_under_tls_is_a_reset(engine: Engine, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    go = threading.Event()

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123")
        go.wait(10)
        wire.rst()

    async def work(port: int) -> Answer:
        task = asyncio.create_task(engine.ask(port, endpoint=Endpoint("127.0.0.1", port, tls=contexts[1])))
        await until(lambda: engine.of(FirstByteReceived))
        go.set()
        return await task

    with Peer(script, contexts[0]) as peer:
        fact = engine.run(work(peer.port)).fact
    assert isinstance(fact, RequestLost)
    assert (fact.loss, fact.by, fact.body_bytes) == ("cut_in_body", "rst", 4)


def test_tls_that_ends_without_close_notify_behind_a_whole_answer_is_told_beside_it(
    engine: Engine, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)

    async def work(port: int) -> ConnectionEnded:
        answer = await engine.ask(port, endpoint=Endpoint("127.0.0.1", port, tls=contexts[1]))
        assert isinstance(answer.fact, ResponseReceived)
        return await engine.ended()

    with Peer(script, contexts[0]) as peer:
        ended = engine.run(work(peer.port))
    assert (ended.by, ended.how, ended.after_answer) == ("server", "tls", True)


def test_a_peer_that_leaves_during_the_handshake_was_never_asked(
    engine: Engine, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with Peer(lambda wire: wire.sock.recv(1)) as peer:
        fact = engine.run(engine.ask(peer.port, endpoint=Endpoint("127.0.0.1", peer.port, tls=contexts[1]))).fact
    assert isinstance(fact, ConnectFailed)
    assert fact.loss == "tls"


# ---- time --------------------------------------------------------------------------------------------------------


def test_the_limit_of_a_request_counts_its_connect_too(
    engine: Engine, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    go = threading.Event()

    def script(wire: Wire) -> None:
        go.wait(0.5)
        with contextlib.suppress(OSError):
            wire.sock = contexts[0].wrap_socket(wire.sock, server_side=True)
            wire.rest()

    with Peer(script) as peer:
        fact = engine.run(
            engine.ask(peer.port, endpoint=Endpoint("127.0.0.1", peer.port, tls=contexts[1]), timeout_s=0.7)
        ).fact
        go.set()
    assert isinstance(fact, RequestHung)
    assert 0.69 <= fact.waited_s < 1.15  # the handshake took 0.5 s of it; timers of libuv are a millisecond coarse
