"""Asks one request on one connection and records what became of it: exactly one ending fact for each."""

from __future__ import annotations

import asyncio
import contextlib
import errno as errnos
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chaoskit.history.facts import (
    BodyReached,
    BodySent,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    FirstByteReceived,
    RequestHung,
    RequestLost,
    RequestSent,
    ResponseReceived,
)
from chaoskit.history.recorder import Recorder
from chaoskit.workloads.connection import Connection, Ended, Exchange, Reading

SAME_INSTANT_S = 0.1  # a reset this soon after a whole answer belongs to it
UPLOAD_STEPS = 20
DOWNLOAD_STEPS = 20
SMALL_BUFFER = 4096  # bytes of receive buffer of a slow reader
CONTINUE_WAIT_S = 1.0  # RFC 9110, section 10.1.1: a client does not wait for 100 without end
CONNECT_S = 10.0

Ending = ResponseReceived | RequestLost | RequestHung | ConnectFailed


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    host_header: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request to make. The client adds only Host, Content-Length, Connection and Expect."""

    request: int
    purpose: str
    workload: int = -1
    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    upload_s: float = 0
    download_s: float = 0
    expect: bytes | None = None
    expect_continue: bool = False
    keep_alive: bool = True
    timeout_s: float = 30
    byte_marks: tuple[int, ...] = ()
    due_s: float | None = None  # open loop: when it should have begun


@dataclass(slots=True)
class Pending:
    """An open request, as far as it is."""

    request: int
    purpose: str
    workload: int
    client_port: int = 0
    sent: bool = False
    sent_s: float | None = None
    reused: bool = False
    base_bytes: int = 0  # what earlier requests wrote on the same connection
    first_byte: bool = False
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request; `connection` where it is open and may carry the next one."""

    request: int
    fact: Ending
    opened_s: float
    ended_s: float
    connection: Link | None


class Link:
    """One connection of ours."""

    __slots__ = ("_ended_at", "_recorder", "client_port", "connection", "last_request", "number", "purpose", "told", "written")

    def __init__(self, recorder: Recorder, number: int, purpose: str) -> None:
        self._recorder = recorder
        self._ended_at: float | None = None
        self.number = number
        self.purpose = purpose
        self.client_port = 0
        self.written = 0
        self.last_request: int | None = None
        self.connection = Connection(recorder.now, self._lost)
        self.told = False

    @property
    def closed(self) -> bool:
        """Whether it carries nothing any more."""
        return self.connection.closed or self.connection.eof

    @property
    def busy(self) -> bool:
        """Whether a request is open on it."""
        return self.connection.reading() is not None

    def answered(self, at_s: float) -> None:
        """A whole answer came."""
        self._ended_at = at_s

    def close(self, *, tell: bool = False) -> None:
        """End it in order; recorded where it was idle or silent, or where `tell` asks for it."""
        if self.closed:
            return
        if tell or self.purpose in ("idle", "warm", "silent"):
            self._tell("client", "fin", after_answer=False)
        self.connection.close()

    def _lost(self, how: Ended, _errno: int | None) -> None:
        at_s = self._recorder.now()
        soon = self._ended_at is not None and at_s - self._ended_at <= SAME_INSTANT_S
        if how is not Ended.FIN or self.purpose in ("idle", "warm", "silent"):
            self._tell("server", how.value, after_answer=soon)

    def _tell(self, by: str, how: str, *, after_answer: bool) -> None:
        if self.told:
            return
        self.told = True
        self._recorder.record(
            "client",
            ConnectionEnded(
                connection=self.number,
                purpose=self.purpose,
                by=by,
                how=how,
                request=self.last_request,
                after_answer=after_answer,
            ),
        )


class Client:
    """Asks and records; lives on the loop. Numbers of requests and connections begin at 1."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._requests = 0
        self._links = 0
        self._open: dict[int, _Running] = {}

    def next_request(self) -> int:
        """A fresh request number."""
        self._requests += 1
        return self._requests

    def clock(self) -> Callable[[], float]:
        """The run's clock."""
        return self._recorder.now

    def open_requests(self) -> Mapping[int, Pending]:
        """Open requests by number; safe from any thread: a copy."""
        for _ in range(100):
            with contextlib.suppress(RuntimeError):  # it changed while we copied
                return {number: running.pending for number, running in self._open.items()}
        return {}

    def open_count(self) -> int:
        """How many requests are open."""
        return len(self._open)

    def work_open_since(self, signal_s: float) -> bool:
        """Whether a request of the workload that was sent by this instant is still open; cheap with thousands open."""
        for _ in range(100):
            with contextlib.suppress(RuntimeError):  # it changed while we looked
                return any(
                    running.pending.purpose == "work"
                    and running.pending.sent_s is not None
                    and running.pending.sent_s <= signal_s
                    for running in self._open.values()
                )
        return True

    def give_up(self, request: int) -> None:
        """End a request as hung, now."""
        running = self._open.get(request)
        if running is not None:
            running.give_up()

    async def open(self, endpoint: Endpoint, purpose: str) -> Link:
        """A connection without a request.

        Raises:
            OSError: it could not be made.
        """
        link = await self._connect(endpoint, purpose, slow_reader=False)
        self.rest(link, purpose)
        return link

    def rest(self, link: Link, purpose: str) -> None:
        """From now on the connection is kept open without a request."""
        link.purpose = purpose
        link.told = False
        self._recorder.record(
            "client", ConnectionOpened(connection=link.number, purpose=purpose, client_port=link.client_port)
        )
        if link.closed:
            link._tell("server", "fin", after_answer=True)  # noqa: SLF001 - the same idea

    async def ask(self, endpoint: Endpoint, ask: Ask, link: Link | None = None) -> Answer:
        """Ask, wait for the end, record it."""
        opened_s = self._recorder.now() if ask.due_s is None else ask.due_s
        reused = link is not None
        if link is None:
            try:
                link = await self._connect(endpoint, ask.purpose, slow_reader=ask.download_s > 0, wait_s=ask.timeout_s)
            except (OSError, TimeoutError) as error:
                return self._failed(ask, opened_s, error)
        running = _Running(self._recorder, ask, link, opened_s, reused=reused)
        self._open[ask.request] = running
        try:
            running.begin(endpoint)
            fact = await running.future
        finally:
            running.cancel()
            self._open.pop(ask.request, None)
        ended_s = self._recorder.now()
        kept = isinstance(fact, ResponseReceived) and not link.closed and not fact.closes and ask.keep_alive
        if not kept and not link.closed:
            link.connection.close()
        return Answer(ask.request, fact, opened_s, ended_s, link if kept else None)

    async def _connect(self, endpoint: Endpoint, purpose: str, *, slow_reader: bool, wait_s: float = CONNECT_S) -> Link:
        self._links += 1
        link = Link(self._recorder, self._links, purpose)
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if slow_reader:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            async with asyncio.timeout(min(wait_s, CONNECT_S)):
                await loop.sock_connect(sock, (endpoint.host, endpoint.port))
            link.client_port = sock.getsockname()[1]
            await loop.create_connection(
                lambda: link.connection, sock=sock, ssl=endpoint.tls, server_hostname=endpoint.server_name
            )
        except BaseException:
            sock.close()
            raise
        return link

    def _failed(self, ask: Ask, opened_s: float, error: BaseException) -> Answer:
        number = getattr(error, "errno", None)
        if isinstance(error, ConnectionRefusedError):
            loss = "refused"
        elif isinstance(error, TimeoutError) or number == errnos.ETIMEDOUT:
            loss = "timed_out"
        elif isinstance(error, ssl.SSLError):
            loss = "tls"
        elif isinstance(error, ConnectionResetError):
            loss = "refused"  # reset before the handshake was over: nothing was sent
        else:
            loss = "unreachable"
        fact = ConnectFailed(
            request=ask.request,
            purpose=ask.purpose,
            workload=ask.workload,
            method=ask.method,
            target=ask.target,
            opened_s=opened_s,
            loss=loss,
            errno=number,
            detail_text=str(error)[:200],
        )
        self._recorder.record("client", fact)
        return Answer(ask.request, fact, opened_s, self._recorder.now(), None)


class _Running(Exchange):
    """One request on its way."""

    __slots__ = (
        "_ask",
        "_link",
        "_marks",
        "_opened_s",
        "_recorder",
        "_steps",
        "_timers",
        "_total",
        "_unsent",
        "future",
        "pending",
    )

    def __init__(self, recorder: Recorder, ask: Ask, link: Link, opened_s: float, *, reused: bool) -> None:
        loop = asyncio.get_running_loop()
        self._recorder = recorder
        self._ask = ask
        self._link = link
        self._opened_s = opened_s
        self._marks = list(ask.byte_marks)
        self._timers: list[asyncio.TimerHandle] = []
        self._unsent = ask.body
        self._total = 0
        self._steps = 0
        self.future: asyncio.Future[Ending] = loop.create_future()
        self.pending = Pending(ask.request, ask.purpose, ask.workload, client_port=link.client_port, reused=reused, base_bytes=link.written)

    # ---- sending -------------------------------------------------------------------------------------------------

    def begin(self, endpoint: Endpoint) -> None:
        ask, link = self._ask, self._link
        link.last_request = ask.request
        link.connection.begin(self, ask.method, keep_tail=ask.expect is not None)
        self._later(ask.timeout_s, self.give_up)
        waits = ask.expect_continue and bool(ask.body)
        slow = ask.upload_s > 0 and bool(ask.body)
        head = self._head(endpoint)
        if link.closed or link.connection.transport is None:
            self.pending.sent = True
            self._record_sent()
            self.ended(Ended.FIN, Reading(ask.method), None)
            return
        if not waits and not slow and ask.body:
            head += ask.body
            self._unsent = b""
        link.connection.transport.write(head)
        self._count(len(head))
        self._record_sent()
        if waits:
            self._later(CONTINUE_WAIT_S, self._send_body)
        elif slow:
            self._send_piece()
        if ask.download_s > 0:
            link.connection.transport.pause_reading()
            self._later(0.0, self._read_piece)

    def _record_sent(self) -> None:
        ask, link, pending = self._ask, self._link, self.pending
        event = self._recorder.record(
            "client",
            RequestSent(
                request=ask.request,
                purpose=ask.purpose,
                workload=ask.workload,
                method=ask.method,
                target=ask.target,
                connection=link.number,
                client_port=link.client_port,
                opened_s=round(self._opened_s, 6),
                reused=pending.reused,
            ),
        )
        pending.sent_s = event.at_s
        pending.sent = True

    def _head(self, endpoint: Endpoint) -> bytes:
        ask = self._ask
        given = {name.lower() for name, _ in ask.headers}
        lines = [f"{ask.method} {ask.target} HTTP/1.1"]
        if "host" not in given:
            lines.append(f"Host: {endpoint.host_header or f'{endpoint.host}:{endpoint.port}'}")
        lines.extend(f"{name}: {value}" for name, value in ask.headers)
        if (ask.body or ask.method in ("POST", "PUT", "PATCH")) and not given & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(ask.body)}")
        if ask.expect_continue and ask.body and "expect" not in given:
            lines.append("Expect: 100-continue")
        if not ask.keep_alive and "connection" not in given:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _count(self, size: int) -> None:
        self._total += size
        self._link.written += size

    def _send_body(self) -> None:
        transport = self._link.connection.transport
        if not self._unsent or transport is None or self.future.done():
            return
        if self._ask.upload_s > 0:
            self._send_piece()
            return
        transport.write(self._unsent)
        self._count(len(self._unsent))
        self._unsent = b""

    def _send_piece(self) -> None:
        transport = self._link.connection.transport
        if not self._unsent or transport is None or self.future.done():
            return
        size = max(1, -(-len(self._ask.body) // UPLOAD_STEPS))
        piece, self._unsent = self._unsent[:size], self._unsent[size:]
        transport.write(piece)
        self._count(len(piece))
        if self._unsent:
            pieces = -(-len(self._ask.body) // size)
            self._later(self._ask.upload_s / max(1, pieces - 1), self._send_piece)
        else:
            self._recorder.record("client", BodySent(request=self._ask.request, sent_bytes=len(self._ask.body)))

    def _read_piece(self) -> None:
        """Let one read through, then wait: a slow reader."""
        transport = self._link.connection.transport
        if transport is None or self.future.done():
            return
        transport.resume_reading()
        if self._steps < DOWNLOAD_STEPS:
            self._steps += 1
            self._later(self._ask.download_s / DOWNLOAD_STEPS, self._read_piece)

    def _pause_again(self) -> None:
        transport = self._link.connection.transport
        if self._ask.download_s > 0 and self._steps < DOWNLOAD_STEPS and transport is not None:
            transport.pause_reading()

    # ---- Exchange ------------------------------------------------------------------------------------------------

    def first_byte(self) -> None:
        self.pending.first_byte = True
        if self._ask.purpose == "work":
            self._recorder.record("client", FirstByteReceived(request=self._ask.request))
        self._pause_again()

    def informed(self, status: int) -> None:
        if status == 100:  # noqa: PLR2004 - Continue
            self._send_body()

    def body(self, total: int) -> None:
        self.pending.body_bytes = total
        while self._marks and total >= self._marks[0]:
            self._recorder.record("client", BodyReached(request=self._ask.request, body_bytes=self._marks.pop(0)))
        self._pause_again()

    def ended(self, how: Ended, reading: Reading, errno: int | None) -> None:
        if self.future.done():
            return
        if how is Ended.WHOLE:
            fact: Ending = self._whole(reading)
            if fact.body_unsent:  # the server has answered early: nothing of the rest is owed
                self._unsent = b""
        else:
            fact = self._lost(how, reading, errno)
        self._finish(fact)
        if how in (Ended.PARSER, Ended.LIMIT):
            self._link.connection.abort()
        elif how is Ended.WHOLE:
            self._link.answered(self._recorder.now())

    def give_up(self) -> None:
        """No whole answer by the request's own deadline."""
        if self.future.done():
            return
        reading = self._link.connection.reading()
        self._finish(
            RequestHung(
                request=self._ask.request,
                status=reading.status if reading is not None and reading.head_done else None,
                body_bytes=reading.body_bytes if reading is not None else 0,
                waited_s=round(self._recorder.now() - self._opened_s, 6),
            )
        )
        self._link.connection.abort()

    def _whole(self, reading: Reading) -> ResponseReceived:
        expected = None
        if self._ask.expect is not None:
            expected = bytes(reading.tail or b"").rstrip().endswith(self._ask.expect.rstrip())
        transport = self._link.connection.transport
        waiting = transport.get_write_buffer_size() if transport is not None else 0
        return ResponseReceived(
            request=self._ask.request,
            status=reading.status or 0,
            framing=reading.framing,
            body_bytes=reading.body_bytes,
            body_digest=reading.digest.hexdigest()[:16],
            retry_after=reading.retry_after,
            closes=reading.closes,
            first_byte_s=reading.first_byte_at,
            expected=expected,
            body_unsent=len(self._unsent) + waiting,
        )

    def _lost(self, how: Ended, reading: Reading, errno: int | None) -> RequestLost:
        if how is Ended.PARSER:
            loss = "malformed"
        elif how is Ended.LIMIT:
            loss = "too_large"
        elif reading.head_done:
            loss = "cut_in_body"
        elif reading.any_byte:
            loss = "cut_in_head"
        else:
            loss = "closed_without_byte" if how in (Ended.FIN, Ended.TLS) else "reset_without_byte"
        transport = self._link.connection.transport
        waiting = transport.get_write_buffer_size() if transport is not None else 0
        return RequestLost(
            request=self._ask.request,
            loss=loss,
            by=how.value,
            errno=errno,
            status=reading.status if reading.head_done else None,
            framing=reading.framing if reading.head_done else None,
            body_bytes=reading.body_bytes,
            expected_bytes=reading.length,
            sent_bytes=max(0, self._total - waiting),
            detail_text=reading.trouble,
        )

    def _finish(self, fact: Ending) -> None:
        self._recorder.record("client", fact)
        self.future.set_result(fact)
        self.cancel()

    def cancel(self) -> None:
        """Stop every timer."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if not self.future.done():  # the task that asked was cancelled
            self._link.connection.abort()

    def _later(self, after_s: float, work: object) -> None:
        loop = asyncio.get_running_loop()
        if after_s < 3000:  # noqa: PLR2004 - the conductor gives such requests up itself
            self._timers.append(loop.call_later(after_s, work))  # type: ignore[arg-type]
