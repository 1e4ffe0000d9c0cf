"""One connection of the system's to the sink: any number of calls, one at a time, in order."""

from __future__ import annotations

import asyncio
import http
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import httptools

from chaoskit.downstream.sink import Call, Reply
from chaoskit.history.facts import AnyFact, CallEnded

BODY_LIMIT = 16 << 20  # bytes of one call
EMPTY = (204, 304)  # these have no body and tell no length of one (RFC 9110, 8.6 and 15.4.5)
WAITING_MOST = 100  # calls sent ahead on one connection


class Host(Protocol):
    """What a connection needs of the server that it belongs to."""

    @property
    def connections(self) -> set[Served]: ...

    @property
    def handle(self) -> Callable[[Call, asyncio.Event], Awaitable[Reply | None]]: ...

    def tell(self, fact: AnyFact) -> None: ...

    def next_call(self) -> int: ...


class Served(asyncio.Protocol):
    """The protocol."""

    def __init__(self, host: Host, instance: str) -> None:
        self._host = host
        self._instance = instance
        self._transport: asyncio.Transport | None = None
        self._left = asyncio.Event()
        self._parser = httptools.HttpRequestParser(self)
        self._calls: deque[tuple[Call, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._refused = ""
        self.on_message_begin()

    # ---- asyncio.Protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._host.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._left.set()
        self._transport = None
        self._host.connections.discard(self)

    def eof_received(self) -> bool:
        self._left.set()
        return False

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # we stay with HTTP/1.1, as a server may
            self._stay(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400)
        else:
            if self._size > BODY_LIMIT or len(self._calls) > WAITING_MOST:
                self._refuse(413)

    def _stay(self, rest: bytes) -> None:
        """Read the call anew without its offer: a parser that believes in the upgrade takes no body (Java sends one)."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(400)
            return
        closes = "close" in self._headers.pop("connection", "").lower()
        kept = {name: value for name, value in self._headers.items() if name not in ("upgrade", "http2-settings")}
        lines = [f"{name}: {value}".encode("latin-1") for name, value in kept.items()]
        head = [method + b" " + self._url + b" HTTP/1.1", *lines, *([b"connection: close"] if closes else [])]
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join(head) + b"\r\n\r\n" + rest)

    # ---- httptools -----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another call begins."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole: a caller that waits for leave to send the body gets it."""
        if (
            "expect" in self._headers
            and not self._parser.should_upgrade()
            and self._task is None
            and self._transport is not None
        ):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """A piece of its body."""
        self._body += piece

    def on_message_complete(self) -> None:
        """The call is whole: it takes its turn."""
        if self._parser.should_upgrade():
            return  # it is read anew
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode().upper()
        call = Call(self._host.next_call(), self._instance, method, path, query, self._headers, bytes(self._body))
        self._calls.append((call, self._parser.should_keep_alive()))
        self._size = 0
        if self._task is None:
            self._task = asyncio.ensure_future(self._answer_all())

    # ---- answering -----------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        while self._calls:
            call, keep = self._calls.popleft()
            await self._answer(call, keep=keep)
        self._task = None
        if self._refused:
            self._say_refused()

    async def _answer(self, call: Call, *, keep: bool) -> None:
        reply = await self._host.handle(call, self._left)
        transport = self._transport
        if reply is None or transport is None:
            self._host.tell(CallEnded(call=call.number, status=None))
            return
        names = {name.lower() for name, _ in reply.headers}
        lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers if value]
        if "content-length" not in names and reply.status not in EMPTY:
            lines.append(f"Content-Length: {len(reply.body)}")
        lines.append("Connection: keep-alive" if keep else "Connection: close")
        body = b"" if call.method == "HEAD" or reply.status in EMPTY else reply.body
        transport.write("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body)
        self._host.tell(CallEnded(call=call.number, status=reply.status))
        if not keep:
            transport.close()

    def _refuse(self, status: int) -> None:
        self._refused = f"HTTP/1.1 {status} {_phrase(status)}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        if self._task is None:
            self._say_refused()

    def _say_refused(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._refused.encode())
            self._transport.close()


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Answer"
