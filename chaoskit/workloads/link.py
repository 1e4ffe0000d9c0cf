"""One connection of ours: made, kept, closed; what ended it outside a request is recorded."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

from chaoskit.errors import ChaoskitError
from chaoskit.history.facts import ConnectionEnded
from chaoskit.history.recorder import Recorder
from chaoskit.workloads.asks import Endpoint
from chaoskit.workloads.connection import Connection
from chaoskit.workloads.reading import Ended

SAME_INSTANT_S = 0.1  # an end this soon after a whole answer belongs to it
SMALL_BUFFER = 4096  # bytes of receive buffer of a slow reader
KEPT = ("idle", "warm", "silent")
#: Failures to connect that are this machine's want, not the system's doing.
OURS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EACCES)


class TlsFailed(OSError):
    """The TCP connection was there, the TLS handshake failed."""


class Link:
    """One connection of ours."""

    __slots__ = (
        "_answered_at",
        "_recorder",
        "client_port",
        "connection",
        "last_request",
        "number",
        "purpose",
        "told",
        "written",
    )

    def __init__(self, recorder: Recorder, number: int, purpose: str) -> None:
        self._recorder = recorder
        self._answered_at: float | None = None
        self.number = number
        self.purpose = purpose
        self.client_port = 0
        self.written = 0
        self.last_request: int | None = None
        self.connection = Connection(recorder.now, self._lost)
        self.told = False

    @property
    def closed(self) -> bool:
        """Whether it carries nothing any more; asked of the kernel, so that a request never goes out on a dead one."""
        return self.connection.gone()

    @property
    def busy(self) -> bool:
        """Whether a request is open on it."""
        return self.connection.reading() is not None

    def answered(self) -> None:
        """A whole answer came."""
        self._answered_at = self._recorder.now()

    def rest(self, purpose: str) -> None:
        """From now on it is kept open without a request."""
        self.purpose = purpose
        self.told = False

    def close(self, *, tell: bool = False) -> None:
        """End it in order; recorded where it was idle or silent, or where `tell` asks for it."""
        if self.closed and not self.connection.spoiled:
            return
        if tell or self.purpose in KEPT:
            self.record_end("client", Ended.FIN, after_answer=False)
        self.connection.close()

    def record_end(self, by: str, how: Ended, *, after_answer: bool) -> None:
        """Record, once, how it ended."""
        if self.told:
            return
        self.told = True
        fact = ConnectionEnded(
            connection=self.number,
            purpose=self.purpose,
            by=by,
            how=how.value,
            request=self.last_request,
            after_answer=after_answer,
        )
        self._recorder.record("client", fact)

    def _lost(self, how: Ended, _errno: int | None) -> None:
        """The server ended it while no request was open on it."""
        at_s = self._recorder.now()
        soon = self._answered_at is not None and at_s - self._answered_at <= SAME_INSTANT_S
        if how is not Ended.FIN or self.purpose in KEPT:
            self.record_end("server", how, after_answer=soon)


async def connect(link: Link, endpoint: Endpoint, *, slow_reader: bool) -> None:
    """Connect the link, TLS included.

    Raises:
        OSError: no connection; `TlsFailed` where only TLS failed.
        ChaoskitError: this machine has no descriptor, port or memory for one more.
    """
    trouble: OSError | None = None
    for family, address in await _addresses(endpoint):
        try:
            sock = await _connected(family, address, slow_reader=slow_reader)
        except OSError as error:
            if error.errno in OURS:
                raise ChaoskitError(f"no further connection can be opened from here: {error.strerror}") from error
            trouble = error
            continue
        await _wrap(link, endpoint, sock)
        return
    raise trouble or OSError(errno.EHOSTUNREACH, f"'{endpoint.host}' has no address")


async def _addresses(endpoint: Endpoint) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, endpoint.host)
        except OSError:
            continue
        return [(family, (endpoint.host, endpoint.port))]
    found = await asyncio.get_running_loop().getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return [(family, (str(address[0]), endpoint.port)) for family, _, _, _, address in found]


async def _connected(family: socket.AddressFamily, address: tuple[str, int], *, slow_reader: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if slow_reader:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        await asyncio.get_running_loop().sock_connect(sock, address)
        _refuse_ourselves(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _refuse_ourselves(sock: socket.socket) -> None:
    """Where nobody listens on a port of the ephemeral range, the kernel may give us that very port."""
    if sock.getsockname() == sock.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "connected to itself: nobody listens")


async def _wrap(link: Link, endpoint: Endpoint, sock: socket.socket) -> None:
    link.client_port = sock.getsockname()[1]
    link.connection.use(sock, tls=endpoint.tls is not None)
    name = (endpoint.server_name or endpoint.host) if endpoint.tls is not None else None
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: link.connection, sock=sock, ssl=endpoint.tls, server_hostname=name
        )
    except (OSError, ssl.SSLError) as error:
        sock.close()
        if endpoint.tls is None:
            raise
        raise TlsFailed(str(error) or type(error).__name__) from error
    except BaseException:
        sock.close()
        raise
