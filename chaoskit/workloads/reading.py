"""What has been read of one answer, how it ended, and who is told."""

from __future__ import annotations

import hashlib
import ssl
from enum import StrEnum
from typing import Any

TAIL_BYTES = 64 * 1024  # kept of a body, only where `expect` asks how it ends
NO_BODY = (204, 304)  # RFC 9112, section 6.3
EMPTY_DIGEST = hashlib.sha256().hexdigest()[:16]


class Ended(StrEnum):
    """How an answer, or the connection under it, ended."""

    WHOLE = "whole"
    FIN = "fin"
    RST = "rst"
    TLS = "tls"  # closed without close_notify
    PARSER = "parser"
    LIMIT = "limit"


class Reading:
    """What has been read of one answer. Bodies are counted and hashed, never kept."""

    __slots__ = (
        "_digest",
        "_tail",
        "body_bytes",
        "chunked",
        "connection",
        "first_byte_at",
        "head_bytes",
        "head_done",
        "http_10",
        "length",
        "method",
        "retry_after",
        "status",
        "trouble",
        "whole",
    )

    def __init__(self, method: str, *, keep_tail: bool = False) -> None:
        self.method = method
        self.first_byte_at: float | None = None
        self.head_bytes = 0  # every byte up to the end of the head, informational answers included
        self.head_done = False
        self.whole = False
        self.body_bytes = 0
        self.trouble = ""
        self._digest: Any = None
        self._tail = bytearray() if keep_tail else None
        self.forget_head()

    def forget_head(self) -> None:
        """The head so far was an informational answer's: the next one counts."""
        self.status: int | None = None
        self.length: int | None = None
        self.chunked = False
        self.retry_after: str | None = None
        self.connection: tuple[str, ...] = ()
        self.http_10 = False

    def header(self, name: bytes, value: bytes) -> None:
        """One header field; those that nothing depends on are dropped."""
        lower = name.lower()
        if lower == b"content-length":
            self.length = int(value) if value.isdigit() else None
        elif lower == b"transfer-encoding":
            self.chunked = value.rsplit(b",", 1)[-1].strip().lower() == b"chunked"  # only the last coding frames
        elif lower == b"retry-after":
            self.retry_after = value.decode("latin-1")[:200]
        elif lower == b"connection":
            options = value.decode("latin-1").lower()[:200].split(",")
            self.connection += tuple(option.strip() for option in options)[:10]

    def body(self, piece: bytes) -> None:
        """A piece of the body, chunk framing taken off."""
        if self._digest is None:
            self._digest = hashlib.sha256()
        self._digest.update(piece)
        self.body_bytes += len(piece)
        if self._tail is not None:
            self._tail += piece
            del self._tail[:-TAIL_BYTES]

    @property
    def any_byte(self) -> bool:
        """Whether anything of the answer came."""
        return self.first_byte_at is not None

    @property
    def framing(self) -> str:
        """sized, chunked, eof or none (RFC 9112, section 6.3)."""
        if self.method == "HEAD" or self.status in NO_BODY:
            return "none"
        if self.chunked:
            return "chunked"
        return "eof" if self.length is None else "sized"

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the connection's end ends this body."""
        return self.head_done and self.framing == "eof"

    @property
    def closes(self) -> bool:
        """Whether the answer is its connection's last."""
        if "close" in self.connection or self.framing == "eof":
            return True
        return self.http_10 and "keep-alive" not in self.connection

    @property
    def digest(self) -> str:
        """First 16 hex digits of SHA-256 over the body."""
        return EMPTY_DIGEST if self._digest is None else str(self._digest.hexdigest()[:16])

    def ends_with(self, expected: bytes) -> bool:
        """Whether the body ends so, white space at the end aside."""
        return bytes(self._tail or b"").rstrip().endswith(expected.rstrip())


class Exchange:
    """What a connection tells whoever asks on it."""

    __slots__ = ()

    def began(self) -> None:
        """The first byte of the answer is here."""

    def informed(self, status: int) -> None:
        """An informational answer (100, 103)."""

    def grew(self, reading: Reading) -> None:
        """The body has grown."""

    def writable(self) -> None:
        """The kernel takes more."""

    def ended(self, how: Ended, reading: Reading, errno: int | None) -> None:
        """The answer is whole, or it never will be."""

    def broke(self, error: Exception) -> None:
        """Our own code failed: nothing is known about the answer."""


def tls_is_over(tls: ssl.SSLObject | None) -> bool:
    """Whether the peer ended TLS in order (close_notify): only then is a further read empty, not waiting."""
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
