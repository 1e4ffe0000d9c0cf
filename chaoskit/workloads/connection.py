"""One connection, seen exactly: every byte count, FIN, RST and parser error of one answer after the other.

No client library tells these apart (they retry, or report a cut head as a success), so this one is ours: an asyncio
protocol over llhttp. A parser lives for one answer. Bodies are counted and hashed, never kept; heads are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import httptools

from chaoskit.workloads.reading import Ended, Exchange, Reading, tls_is_over

HEAD_LIMIT = 64 * 1024  # bytes of one head (informational answers included), and of framing between two body bytes
INFORMATIONAL = range(100, 200)
SWITCHING = 101
READ_BYTES = 64 * 1024
PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)  # once: combining flags costs more than the look itself
LINGER_S = 0.1  # how long the server may take to close what its answer said it closes: a reset there is evidence


class Connection(asyncio.Protocol):
    """The protocol; one exchange at a time. `ended` says how it ended, once it has."""

    __slots__ = (
        "_clock",
        "_closed_by_us",
        "_exchange",
        "_framing_bytes",
        "_on_lost",
        "_parser",
        "_reading",
        "_sock",
        "_tls",
        "closed",
        "ended",
        "eof",
        "errno",
        "full",
        "spoiled",
        "transport",
    )

    def __init__(self, clock: Callable[[], float], on_lost: Callable[[Ended, int | None], None]) -> None:
        self._clock = clock
        self._on_lost: Callable[[Ended, int | None], None] | None = on_lost
        self._exchange: Exchange | None = None
        self._reading: Reading | None = None
        self._parser: Any = None
        self._framing_bytes = 0
        self._closed_by_us = False
        self._sock: socket.socket | None = None
        self._tls = False
        self.closed = False
        self.eof = False
        self.spoiled = False  # bytes came that nobody asked for: it carries no further request
        self.full = False  # the kernel takes no more for now
        self.ended: Ended | None = None
        self.errno: int | None = None
        self.transport: asyncio.Transport | None = None

    # ---- for the client ----------------------------------------------------------------------------------------

    def use(self, sock: socket.socket, *, tls: bool) -> None:
        """The socket below the transport, to be looked at (never written to) beside it."""
        self._sock, self._tls = sock, tls

    def begin(self, exchange: Exchange, method: str, *, keep_tail: bool) -> None:
        """The next answer belongs to this exchange."""
        self._exchange = exchange
        self._reading = Reading(method, keep_tail=keep_tail)
        self._framing_bytes = 0

    def reading(self) -> Reading | None:
        """What has been read of the present answer; None between answers."""
        return self._reading

    @property
    def usable(self) -> bool:
        """Whether it can carry a request, as far as the loop has come."""
        return not (self._closed_by_us or self.closed or self.eof or self.spoiled)

    def gone(self) -> bool:
        """Whether the server has ended it, asked of the kernel: the loop may not have come round to it yet."""
        if not self.usable or self._sock is None:
            return True
        if self._exchange is not None:
            return False
        try:
            waiting = self._sock.recv(1, PEEK)
        except BlockingIOError:
            return False
        except OSError as error:  # asking has taken the error from the socket: the loop will only see an end
            self.ended, self.errno = Ended.RST, error.errno
            return True
        return not waiting or not self._tls  # under TLS bytes may be a session ticket

    def close(self) -> None:
        """End it from our side, in order."""
        self._closed_by_us = True
        if self.transport is not None:
            self.transport.close()

    def close_soon(self) -> None:
        """Let the server end it, so that its way is seen; a moment later end it ourselves."""
        if not self.closed and not self.eof:
            asyncio.get_running_loop().call_later(LINGER_S, self._close_now)

    def abort(self) -> None:
        """End it now, whatever is unsent."""
        self._closed_by_us = True
        if self.transport is not None:
            self.transport.abort()

    # ---- asyncio.Protocol --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        reading, exchange = self._reading, self._exchange
        if reading is None or exchange is None:
            self._unasked(data)
            return
        if reading.first_byte_at is None:
            reading.first_byte_at = self._clock()
            self._parser = httptools.HttpResponseParser(self)
            exchange.began()
        before = reading.body_bytes
        if not reading.head_done:
            reading.head_bytes += len(data)
        self._feed(reading, data)
        if self._exchange is not exchange:
            return
        if reading.whole:  # told only now: who asked may begin the next exchange, and the parser has to be done first
            self.spoiled = self.spoiled or (reading.method == "HEAD" and not data.endswith(b"\n\r\n"))
            self._end(Ended.WHOLE, None)
        elif not reading.head_done:
            if reading.head_bytes > HEAD_LIMIT:
                self._end(Ended.LIMIT, None, "its head is longer than 64 KiB")
        elif reading.body_bytes != before:
            self._framing_bytes = 0
            exchange.grew(reading)
        else:
            self._framing_bytes += len(data)
            if self._framing_bytes > HEAD_LIMIT:
                self._end(Ended.LIMIT, None, "more than 64 KiB of chunk extensions or trailers")

    def eof_received(self) -> bool:
        if self._was_reset():
            return False  # `connection_lost` tells it
        if self._tls and self.transport is not None and not tls_is_over(self.transport.get_extra_info("ssl_object")):
            return False  # asyncio's TLS calls this for a bare FIN too: `connection_lost` tells it
        self.eof = True
        reading = self._reading
        if reading is not None and self._exchange is not None:
            self.ended = Ended.FIN
            self._end(Ended.WHOLE if reading.ends_with_connection else Ended.FIN, None)
        return False  # we close at once what the server has closed

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._tls:
            self._drain()
        self.closed = True
        how = self._how(exc)
        self.ended = how
        inside = self._exchange is not None
        if exc is not None and not isinstance(exc, OSError):
            self._broke(exc)
        elif inside:
            self._end(how, self.errno)
        if self._on_lost is not None and not inside and not self._closed_by_us:
            self._on_lost(how, self.errno)
        self.transport = self._on_lost = self._sock = None

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self._exchange is not None:
            self._exchange.writable()

    # ---- httptools -----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another answer begins: after ours, nobody asked for it."""
        if self._reading is None or self._reading.whole:
            self.spoiled = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the present head; trailers (after the head) change nothing."""
        reading = self._reading
        if reading is not None and not reading.head_done:
            reading.header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        reading = self._reading
        if reading is None or reading.whole:
            return
        reading.status = self._parser.get_status_code()
        reading.http_10 = self._parser.get_http_version() == "1.0"
        if reading.status in INFORMATIONAL and reading.status != SWITCHING:
            return
        reading.head_done = True
        reading.whole = reading.method == "HEAD"  # llhttp would wait for the body that the head announces

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, chunk framing taken off."""
        reading = self._reading
        if reading is not None and not reading.whole:
            reading.body(piece)

    def on_message_complete(self) -> None:
        """The answer, or an informational one before it, is whole."""
        reading, exchange = self._reading, self._exchange
        if reading is None or exchange is None or reading.whole:
            return
        if not reading.head_done:
            status = reading.status or 0
            reading.forget_head()
            exchange.informed(status)
        else:  # a body that the connection's end delimits is whole when that comes, in order
            reading.whole = not reading.ends_with_connection

    # ---- pieces --------------------------------------------------------------------------------------------------

    def _feed(self, reading: Reading, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(Ended.PARSER, None, "it switched protocols")
        except httptools.HttpParserCallbackError as error:  # ours, not the server's
            raise RuntimeError("the HTTP engine failed") from (error.__context__ or error)
        except httptools.HttpParserError as error:
            self.spoiled = True
            if not reading.whole:
                self._end(Ended.PARSER, None, f"{type(error).__name__}: {error}"[:200])

    def _unasked(self, data: bytes) -> None:
        """Bytes between answers: a line end is tolerated (RFC 9112, section 2.2), anything else spoils the connection."""
        if not self.spoiled and data.strip(b"\r\n"):
            self.spoiled = True
            self.close_soon()

    def _drain(self) -> None:
        """Read what came before a reset: a failed write ends the transport with those bytes still in the kernel."""
        with contextlib.suppress(OSError):
            while self._exchange is not None and self._sock is not None and (data := self._sock.recv(READ_BYTES)):
                self.data_received(data)

    def _was_reset(self) -> bool:
        """Whether the end was a reset after all: libuv tells an end in order where data and reset came together."""
        if self.ended is None and self._sock is not None and self._sock.fileno() >= 0:
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self.ended, self.errno = Ended.RST, number
        return self.ended is Ended.RST

    def _how(self, exc: Exception | None) -> Ended:
        if exc is None and self._was_reset():
            return Ended.RST
        if self.ended is not None:
            return self.ended
        if isinstance(exc, OSError):
            self.errno = exc.errno
        if isinstance(exc, ConnectionError) or (isinstance(exc, OSError) and not self._tls):
            return Ended.RST
        if exc is not None or (self._tls and not self.eof and not self._closed_by_us):
            return Ended.TLS
        return Ended.FIN

    def _close_now(self) -> None:
        if self.transport is not None:
            if self.transport.get_write_buffer_size():
                self.abort()
            else:
                self.close()

    def _broke(self, error: Exception) -> None:
        exchange = self._exchange
        self._exchange = self._reading = self._parser = None
        if exchange is not None:
            exchange.broke(error)

    def _end(self, how: Ended, errno: int | None, trouble: str = "") -> None:
        exchange, reading = self._exchange, self._reading
        self._exchange = self._reading = self._parser = None
        if exchange is not None and reading is not None:
            reading.trouble = trouble
            exchange.ended(how, reading, errno)
