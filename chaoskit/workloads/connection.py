"""One connection, seen exactly: every byte count, FIN, RST and parser error of one answer after the other.

No client library tells these apart (they retry, or report a cut head as a success), so this one is ours: an asyncio
protocol over llhttp. A parser lives for one answer. Bodies are counted and hashed, never kept; heads are bounded.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httptools

HEAD_LIMIT = 64 * 1024  # bytes of one answer's head, all informational answers included
TAIL_BYTES = 64 * 1024  # kept of a body, only where `expect` asks how it ends
NO_BODY = (204, 304)  # RFC 9112, section 6.3
INFORMATIONAL = range(100, 200)
SWITCHING = 101


class Ended(StrEnum):
    """How an answer, or the connection under it, ended."""

    WHOLE = "whole"
    FIN = "fin"
    RST = "rst"
    TLS = "tls"  # closed without close_notify
    PARSER = "parser"
    LIMIT = "limit"


@dataclass(slots=True)
class Reading:
    """What has been read of one answer."""

    method: str
    status: int | None = None
    head_bytes: int = 0
    any_byte: bool = False
    head_done: bool = False
    length: int | None = None
    chunked: bool = False
    retry_after: str | None = None
    connection: str = ""
    http_10: bool = False
    body_bytes: int = 0
    digest: Any = None
    tail: bytearray | None = None
    first_byte_at: float = 0.0
    informational: int = 0
    trouble: str = ""

    @property
    def framing(self) -> str:
        """sized, chunked, eof or none (RFC 9112, section 6.3)."""
        if self.method == "HEAD" or self.status in NO_BODY:
            return "none"
        if self.chunked:
            return "chunked"
        return "eof" if self.length is None else "sized"

    @property
    def closes(self) -> bool:
        """Whether the answer is the connection's last."""
        if "close" in self.connection:
            return True
        return (self.http_10 and "keep-alive" not in self.connection) or self.framing == "eof"


class Exchange:
    """What a connection tells whoever asks on it."""

    __slots__ = ()

    def first_byte(self) -> None:
        """The first byte of the answer is here."""

    def informed(self, status: int) -> None:
        """An informational answer (100, 103)."""

    def body(self, total: int) -> None:
        """The body has grown to `total` bytes."""

    def ended(self, how: Ended, reading: Reading, errno: int | None) -> None:
        """The answer is whole, or it never will be."""

    def writable(self) -> None:
        """The kernel takes more."""


class Connection(asyncio.Protocol):
    """The protocol; one exchange at a time."""

    __slots__ = (
        "_clock",
        "_closed_by_us",
        "_exchange",
        "_on_lost",
        "_paused_writing",
        "_parser",
        "_reading",
        "closed",
        "eof",
        "transport",
    )

    def __init__(self, clock: Callable[[], float], on_lost: Callable[[Ended, int | None], None]) -> None:
        self._clock = clock
        self._on_lost = on_lost
        self._exchange: Exchange | None = None
        self._reading: Reading | None = None
        self._parser: Any = None
        self._closed_by_us = False
        self._paused_writing = False
        self.closed = False
        self.eof = False
        self.transport: asyncio.Transport | None = None

    # ---- for the client ----------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange, method: str, *, keep_tail: bool) -> None:
        """The next answer belongs to this exchange."""
        self._exchange = exchange
        self._reading = Reading(method, digest=hashlib.sha256(), tail=bytearray() if keep_tail else None)
        self._parser = httptools.HttpResponseParser(self)

    def reading(self) -> Reading | None:
        """What has been read of the present answer."""
        return self._reading

    def close(self) -> None:
        """End it from our side, in order."""
        self._closed_by_us = True
        if self.transport is not None:
            self.transport.close()

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
        if reading is None or exchange is None:  # bytes that nobody asked for: the connection is of no more use
            self.close()
            return
        if not reading.any_byte:
            reading.any_byte = True
            reading.first_byte_at = self._clock()
            exchange.first_byte()
        if not reading.head_done:
            reading.head_bytes += len(data)
            if reading.head_bytes > HEAD_LIMIT + len(data):
                self._end(Ended.LIMIT, None, "its head is longer than 64 KiB")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(Ended.PARSER, None, "it switched protocols")
        except httptools.HttpParserError as error:
            if self._exchange is not None:
                self._end(Ended.PARSER, None, f"{type(error).__name__}: {error}"[:200])
            else:
                self.close()
        else:
            if self._exchange is not None and not reading.head_done and reading.head_bytes > HEAD_LIMIT:
                self._end(Ended.LIMIT, None, "its head is longer than 64 KiB")

    def eof_received(self) -> bool:
        self.eof = True
        reading = self._reading
        if reading is not None and self._exchange is not None:
            whole = reading.head_done and reading.framing == "eof"
            self._end(Ended.WHOLE if whole else Ended.FIN, None)
        return False  # we close at once what the server has closed

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        errno = exc.errno if isinstance(exc, OSError) else None
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, ConnectionError):
            how = Ended.TLS
        elif exc is not None:
            how = Ended.RST
        elif isinstance(self.transport, asyncio.Transport) and not self.eof and not self._closed_by_us and self._is_tls():
            how = Ended.TLS
        else:
            how = Ended.FIN
        if self._exchange is not None:
            reading = self._reading
            whole = how is Ended.FIN and reading is not None and reading.head_done and reading.framing == "eof"
            self._end(Ended.WHOLE if whole and not self._closed_by_us else how, errno)
        if not self._closed_by_us:
            self._on_lost(how, errno)
        self.transport = None

    def pause_writing(self) -> None:
        self._paused_writing = True

    def resume_writing(self) -> None:
        self._paused_writing = False
        if self._exchange is not None:
            self._exchange.writable()

    # ---- httptools -----------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the present head."""
        reading = self._reading
        if reading is None:
            return
        lower = name.lower()
        if lower == b"content-length":
            reading.length = int(value) if value.isdigit() else None
        elif lower == b"transfer-encoding":
            reading.chunked = b"chunked" in value.lower()
        elif lower == b"retry-after":
            reading.retry_after = value.decode("latin-1")[:200]
        elif lower == b"connection":
            reading.connection = value.decode("latin-1").lower()[:200]

    def on_headers_complete(self) -> None:
        """The head is whole."""
        reading = self._reading
        if reading is None:
            return
        reading.status = self._parser.get_status_code()
        reading.http_10 = self._parser.get_http_version() == "1.0"
        if reading.status in INFORMATIONAL and reading.status != SWITCHING:
            return
        reading.head_done = True
        if reading.framing == "none":
            self._end(Ended.WHOLE, None)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, chunk framing taken off."""
        reading, exchange = self._reading, self._exchange
        if reading is None or exchange is None:
            return
        reading.body_bytes += len(piece)
        reading.digest.update(piece)
        if reading.tail is not None:
            reading.tail += piece
            del reading.tail[:-TAIL_BYTES]
        exchange.body(reading.body_bytes)

    def on_message_complete(self) -> None:
        """The answer, or an informational one before it, is whole."""
        reading, exchange = self._reading, self._exchange
        if reading is None or exchange is None:
            return
        if not reading.head_done:
            reading.informational += 1
            exchange.informed(reading.status or 0)
            reading.status = None
            reading.length, reading.chunked, reading.connection = None, False, ""
            return
        if reading.framing == "eof" and not self.eof:
            return  # only the connection's end ends it
        self._end(Ended.WHOLE, None)

    def _is_tls(self) -> bool:
        return self.transport is not None and self.transport.get_extra_info("ssl_object") is not None

    def _end(self, how: Ended, errno: int | None, trouble: str = "") -> None:
        exchange, reading = self._exchange, self._reading
        self._exchange = self._reading = self._parser = None
        if exchange is not None and reading is not None:
            reading.trouble = trouble
            exchange.ended(how, reading, errno)
