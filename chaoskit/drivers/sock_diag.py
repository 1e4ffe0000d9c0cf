"""Netlink `SOCK_DIAG`: the kernel's socket table in binary, filtered by port before it leaves the kernel."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Generator, Iterator
from functools import lru_cache

from chaoskit.drivers.connections import STATES, TCP_LISTEN, Connection
from chaoskit.errors import ChaoskitError

NETLINK_SOCK_DIAG = 4  # linux/netlink.h
SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
INET_DIAG_INFO = 2  # linux/inet_diag.h
NLM_F_REQUEST, NLM_F_DUMP, NLMSG_ERROR, NLMSG_DONE = 0x1, 0x300, 2, 3
PIECE = 1 << 18  # bytes of one read; the kernel fills at most 32 KiB of it
LISTENING = 1 << TCP_LISTEN
WANTED = LISTENING | sum(1 << number for number in STATES)
_HEAD = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# A message: netlink's header (length, kind, sequence number at 8), then struct inet_diag_msg (linux/inet_diag.h, 72 bytes):
# state at 1, own port at 4 and the peer's at 6 (big endian), receive and send queue at 56 and 60, inode at 68.
_ROW = "=IH10x x B 2x 2s B B 48x I I 4x I"
_ROW_SIZE = _HEAD.size + 72
# struct tcp_info (linux/tcp.h): last data sent at 44, last data received at 52, bytes acked at 120, bytes received at 128.
_INFO = "44x I 4x I 64x Q Q"
_INFO_SIZE = struct.calcsize("=" + _INFO)


class SockDiag:
    """One netlink socket; asked by one thread at a time."""

    name = "sock_diag"

    def __init__(self) -> None:
        self._link: socket.socket | None = _netlink()
        self._sequence = 0

    def look(self, port: int) -> tuple[dict[int, Connection], list[int]]:
        """The connections of one listening port by client port, and the backlog of each of its listeners."""
        connections: dict[int, Connection] = {}
        backlogs: list[int] = []
        for data in self._dump(port, WANTED):
            if not _fill_alike(data, connections):
                _fill(data, connections, backlogs)
        return connections, backlogs

    def listeners(self) -> dict[int, int]:
        """{inode: port} of everything that listens."""
        found: dict[int, int] = {}
        for data in self._dump(0, LISTENING):
            for at, _ in _messages(data):
                found[struct.unpack_from("=I", data, at + 16 + 68)[0]] = struct.unpack_from("!H", data, at + 16 + 4)[0]
        return found

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _dump(self, port: int, states: int) -> Generator[bytes, None, None]:
        try:
            yield from self._ask(socket.AF_INET, port, states)
            yield from self._ask(socket.AF_INET6, port, states)
        except BaseException:
            self.close()  # whatever is still under way would be taken for the next answer
            raise

    def _ask(self, family: int, port: int, states: int) -> Iterator[bytes]:
        link = self._link = self._link or _netlink()
        self._sequence += 1
        identity = struct.pack("!HH", port, 0) + bytes(32 + 4) + b"\xff" * 8  # any address, interface and cookie
        wanted = (1 << (INET_DIAG_INFO - 1)) if port else 0
        body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, wanted, 0, states) + identity
        head = _HEAD.pack(_HEAD.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0)
        link.send(head + body)
        while True:
            data = link.recv(PIECE)
            _, kind, _, sequence, _ = _HEAD.unpack_from(data)
            if sequence != self._sequence:
                continue
            if kind == NLMSG_ERROR:
                number = -struct.unpack_from("=i", data, _HEAD.size)[0]
                if number == errno.ENOENT and family == socket.AF_INET6:
                    return  # a kernel without IPv6
                raise ChaoskitError(f"the kernel refused a socket dump (errno {number})")
            yield data
            if _is_last(data):
                return


def _netlink() -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
    with contextlib.suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    link.settimeout(2)
    return link


def _messages(data: bytes) -> Iterator[tuple[int, int]]:
    """Where each row begins, and its size."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if kind == SOCK_DIAG_BY_FAMILY:
            yield at, size
        at += max(_HEAD.size, (size + 3) & ~3)


def _is_last(data: bytes) -> bool:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if kind == NLMSG_DONE:
            return True
        if len(data) % size == 0 and _alike(data, size):
            return False
        at += max(_HEAD.size, (size + 3) & ~3)
    return False


def _alike(data: bytes, size: int) -> bool:
    """Whether all messages of a piece are rows of this size: compared column by column, at the speed of C."""
    rows = len(data) // size
    return (
        data[4::size].count(SOCK_DIAG_BY_FAMILY) == rows
        and data[0::size].count(data[0]) == rows
        and data[1::size].count(data[1]) == rows
    )


@lru_cache(64)
def _layout(size: int, info_at: int) -> struct.Struct:
    """How to unpack a row of `size` whose tcp_info begins at `info_at` (0: it has none)."""
    row = _ROW if not info_at else f"{_ROW} {info_at - _ROW_SIZE}x {_INFO}"
    return struct.Struct(f"{row} {size - struct.calcsize(row)}x")


def _info_at(data: bytes, message: int, size: int) -> int:
    """Where in this message tcp_info begins; 0 where it has none (a listener's, or an old kernel's short one)."""
    at = message + _ROW_SIZE
    while at + _ATTRIBUTE.size <= message + size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if kind == INET_DIAG_INFO:
            return at + 4 - message if length - 4 >= _INFO_SIZE else 0
        at += max(4, (length + 3) & ~3)
    return 0


def _fill_alike(data: bytes, connections: dict[int, Connection]) -> bool:
    """Take a piece whose rows are all built alike, as nearly all are where there are thousands: four times faster."""
    size = struct.unpack_from("=I", data)[0]
    if len(data) % size or len(data) == size or not _alike(data, size):
        return False
    info_at = _info_at(data, 0, size)
    if not info_at or data[info_at - 2 :: size].count(INET_DIAG_INFO) != len(data) // size:
        return False
    names, make = STATES, Connection._make
    rows = _layout(size, info_at).iter_unpack(data)
    try:
        for _, _, state, _, high, low, unread, unsent, inode, sent_age, recv_age, acked, received in rows:
            port = high << 8 | low
            connections[port] = make((port, names[state], inode, unread, unsent, received, acked, recv_age, sent_age))
    except KeyError:
        return False  # a listener among them
    return True


def _fill(data: bytes, connections: dict[int, Connection], backlogs: list[int]) -> None:
    """Take a piece message by message."""
    for at, size in _messages(data):
        info_at = _info_at(data, at, size)
        _, _, state, _, high, low, unread, unsent, inode, *info = _layout(size, info_at).unpack_from(data, at)
        if state == TCP_LISTEN:
            backlogs.append(unread)
        elif state in STATES:
            sent_age, recv_age, acked, received = info or (None, None, None, None)
            port = high << 8 | low
            connections[port] = Connection(
                port, STATES[state], inode, unread, unsent, received, acked, recv_age, sent_age
            )
