"""What is asked of whom, and what became of it: the values of the HTTP engine."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaoskit.history.facts import ConnectFailed, RequestHung, RequestLost, ResponseReceived

if TYPE_CHECKING:
    from chaoskit.workloads.link import Link

Ending = ResponseReceived | RequestLost | RequestHung | ConnectFailed
BODIED = ("POST", "PUT", "PATCH")  # methods whose empty body is said: Content-Length: 0 (RFC 9110, section 8.6)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    host_header: str | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.host_header or f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request to make. The client adds only Host, Content-Length, Connection and Expect.

    `upload_s` spreads the body, `download_s` the reading of the answer; `byte_marks` are body sizes (ascending) that
    are recorded when reached; `due_s` (run clock) is when an open loop wanted it to begin.
    """

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
    due_s: float | None = None


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


def head(ask: Ask, endpoint: Endpoint) -> bytes:
    """The request's head as it goes out; a line break inside a value never does."""
    given = {name.lower() for name, _ in ask.headers} if ask.headers else ()
    lines = [f"{ask.method} {ask.target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {endpoint.authority}")
    lines.extend(f"{name}: {value}" for name, value in ask.headers)
    if (ask.body or ask.method in BODIED) and not ("content-length" in given or "transfer-encoding" in given):
        lines.append(f"Content-Length: {len(ask.body)}")
    if ask.expect_continue and ask.body and "expect" not in given:
        lines.append("Expect: 100-continue")
    if not ask.keep_alive and "connection" not in given:
        lines.append("Connection: close")
    text = "\r\n".join(lines) + "\r\n\r\n"
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError(f"{ask.method} {ask.target!r}: a line break in the target or in a header")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()
