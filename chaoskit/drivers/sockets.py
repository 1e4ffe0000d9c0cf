"""The socket oracle: what the struck instance's own sockets say about every connection, without its cooperation.

Netlink `SOCK_DIAG` where it answers (with `tcp_info`), `/proc/<pid>/net/tcp` otherwise; neither exists on macOS.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import struct
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chaoskit.errors import ChaoskitError

NETLINK_SOCK_DIAG = 4  # linux/netlink.h
SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
INET_DIAG_INFO = 2  # linux/inet_diag.h
NLM_F_REQUEST, NLM_F_DUMP, NLMSG_ERROR, NLMSG_DONE = 0x1, 0x300, 2, 3
TCP_LISTEN = 10
STATES = {
    1: "established",
    2: "syn_sent",
    3: "syn_recv",
    4: "fin_wait1",
    5: "fin_wait2",
    6: "time_wait",
    7: "close",
    8: "close_wait",
    9: "last_ack",
    10: "listen",
    11: "closing",
}
ALL_STATES = 0xFFF
OVER = frozenset({2, 3, 6, 7})  # not begun (syn_sent, syn_recv), or over (time_wait, close)
# struct inet_diag_msg (linux/inet_diag.h), 72 bytes after the netlink header: state at 1, server's and client's port (big
# endian) at 4 and 6, receive and send queue at 56 and 60, inode at 68
_ROW = struct.Struct("=xBxx2sBB48xII4xI")
_HEAD = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# struct tcp_info (linux/tcp.h): last data sent at 44, last data received at 52, bytes acked at 120, bytes received at 128
_INFO = struct.Struct("=44xI4xI64xQQ")
LOOK_LEAST_S = 0.005
MANY = 2_000  # connections: above it tcp_info is left out, which costs half of a look
SHARE = 10  # never more than a tenth of a core


class Connection(NamedTuple):
    """One row: the server's side of a connection. Counts are bytes; ages are milliseconds.

    A tuple, for there may be ten thousand of them in one look.
    """

    client_port: int
    state: str
    inode: int
    unread_bytes: int
    unacked_bytes: int
    received_bytes: int | None
    acked_bytes: int | None
    recv_age_ms: int | None
    sent_age_ms: int | None

    @property
    def accepted(self) -> bool:
        """Whether the application has taken it from the backlog (an inode is given at accept)."""
        return self.inode != 0

    @property
    def read(self) -> bool:
        """Whether the application has read everything that arrived, and something did."""
        return self.accepted and self.unread_bytes == 0 and (self.received_bytes is None or self.received_bytes > 0)


@dataclass(frozen=True, slots=True)
class Look:
    """All connections of one listening port at one instant (`time.monotonic()`)."""

    at: float
    listening: bool
    backlog: int
    connections: Mapping[int, Connection]


class Oracle:
    """Asked for one port, as often as its pace allows."""

    def __init__(self, port: int, pid: int | None, link: socket.socket | None) -> None:
        self._port = port
        self._pid = pid
        self._link = link
        self._cost_s = 0.0
        self._rows = 0
        self.name = "proc" if link is None else "sock_diag"

    @classmethod
    def open(cls, port: int, pid: int | None = None) -> Oracle:
        """An oracle for the connections of `port`.

        Raises:
            ChaoskitError: this machine has neither way to see them.
        """
        way = oracle_name()
        if way is None:
            raise ChaoskitError(why_not())
        return cls(port, pid, _netlink() if way == "sock_diag" else None)

    @property
    def pace_s(self) -> float:
        """How long to wait between two looks."""
        return max(LOOK_LEAST_S, SHARE * self._cost_s)

    def look(self) -> Look:
        """One question."""
        began = time.monotonic()
        backlogs: list[int] = []  # of each listening row
        connections: dict[int, Connection] = {}
        collects = gc.isenabled()
        gc.disable()  # thousands of fresh tuples would set off collection after collection, and none is garbage
        try:
            if self._link is not None:
                for family in (socket.AF_INET, socket.AF_INET6):
                    _dump(self._link, family, self._port, connections, backlogs, info=self._rows <= MANY)
            else:
                self._proc(connections, backlogs)
        finally:
            if collects:
                gc.enable()
        self._rows = len(connections)
        self._cost_s = time.monotonic() - began
        return Look(began, bool(backlogs), sum(backlogs), connections)

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._link is not None:
            self._link.close()

    def _proc(self, connections: dict[int, Connection], backlogs: list[int]) -> None:
        base = Path("/proc") / (str(self._pid) if self._pid is not None else "self") / "net"
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                _parse_proc((base / name).read_text(), self._port, connections, backlogs)

    @staticmethod
    def owner_pids(inodes: Collection[int], pids: Collection[int]) -> dict[int, int]:
        """{inode: pid} for those sockets that one of these processes has open."""
        return owner_pids(inodes, pids)

    @staticmethod
    def listeners(pids: Collection[int]) -> tuple[int, ...]:
        """TCP ports on which one of these processes listens."""
        return listeners(pids)


def oracle_name() -> str | None:
    """How connections can be seen here: `sock_diag`, `proc`, or None."""
    if sys.platform != "linux" or os.environ.get("CHAOSKIT_ORACLE") == "off":
        return None
    if os.environ.get("CHAOSKIT_ORACLE") != "proc":
        with contextlib.suppress(OSError, ChaoskitError):
            link = _netlink()
            try:
                _dump(link, socket.AF_INET, 1, {}, [], info=True)
            finally:
                link.close()
            return "sock_diag"
    return "proc" if Path("/proc/self/net/tcp").is_file() else None


def why_not() -> str:
    """The sentence for a machine without an oracle."""
    if os.environ.get("CHAOSKIT_ORACLE") == "off":
        return (
            "the socket oracle is switched off (CHAOSKIT_ORACLE=off): gate, first byte and elapsed time take its place"
        )
    return (
        f"{sys.platform} does not show a process' sockets (no /proc, no SOCK_DIAG): "
        "gate, first byte and elapsed time take the oracle's place"
    )


def _netlink() -> socket.socket:
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
    with contextlib.suppress(OSError):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    link.settimeout(2)
    return link


def _dump(
    link: socket.socket,
    family: int,
    port: int,
    connections: dict[int, Connection],
    backlogs: list[int],
    *,
    info: bool,
) -> None:
    """Ask the kernel for all rows of one port; fills `connections`, and the listeners' queue lengths."""
    identity = struct.pack("!HH", port, 0) + bytes(16 + 16) + struct.pack("=I", 0) + b"\xff" * 8
    body = (
        struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1) if info else 0, 0, ALL_STATES)
        + identity
    )
    link.send(_HEAD.pack(_HEAD.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
    wanted = struct.pack("!H", port)
    names, row_at, info_of, info_size = STATES, _ROW.unpack_from, _INFO.unpack_from, _INFO.size
    make, nothing = Connection._make, (None, None, None, None)
    places: dict[int, int] = {}  # where tcp_info lies in a message of this size: rows of one dump are built alike
    while True:
        data = link.recv(1 << 18)
        at, end = 0, len(data)
        while at < end:
            size, kind, _, _, _ = _HEAD.unpack_from(data, at)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise ChaoskitError(
                    f"the kernel refused a socket dump (errno {-struct.unpack_from('=i', data, at + 16)[0]})"
                )
            state, own_port, high, low, unread, unsent, inode = row_at(data, at + 16)
            if state == TCP_LISTEN:
                backlogs.append(unread)
            elif own_port == wanted and state not in OVER:
                # (the other end of a loopback connection has the port as its destination)
                place = places.get(size)
                if place is None or (place and data[at + place - 2] != INET_DIAG_INFO):
                    place = places[size] = _find_info(data, at, size)
                sent_age, recv_age, acked, received = (
                    info_of(data, at + place) if place and place + info_size <= size else nothing
                )
                client_port = high << 8 | low
                connections[client_port] = make(
                    (client_port, names[state], inode, unread, unsent, received, acked, recv_age, sent_age)
                )
            at += (size + 3) & ~3


def _find_info(data: bytes, message: int, size: int) -> int:
    """Where in this message tcp_info begins; 0 where it has none (a listener's, or a connection at its end)."""
    at = message + 16 + 72
    while at + 4 <= message + size:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if kind == INET_DIAG_INFO:
            return at + 4 - message
        at += max(4, (length + 3) & ~3)
    return 0


def _parse_proc(text: str, port: int, connections: dict[int, Connection], backlogs: list[int]) -> None:
    wanted = f":{port:04X}"
    for line in text.splitlines()[1:]:
        fields = line.split()
        if not fields[1].endswith(wanted):
            continue
        client_port = int(fields[2].rsplit(":", 1)[1], 16)
        unsent, unread = (int(part, 16) for part in fields[4].split(":"))
        state = int(fields[3], 16)
        if state == TCP_LISTEN:
            backlogs.append(unread)
        elif state not in OVER:
            connections[client_port] = Connection(
                client_port, STATES.get(state, str(state)), int(fields[9]), unread, unsent, None, None, None, None
            )


def owner_pids(inodes: Collection[int], pids: Collection[int]) -> dict[int, int]:
    """{inode: pid} for those sockets that one of these processes has open; the first of them wins."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(entry.path))  # noqa: PTH115 - thousands of them
                    if inode is not None:
                        found.setdefault(inode, pid)
        if len(found) == len(wanted):
            break
    return found


def listeners(pids: Collection[int]) -> tuple[int, ...]:
    """TCP ports on which one of these processes listens; empty where that cannot be seen."""
    listening: dict[int, int] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[3], 16) == TCP_LISTEN:
                    listening[int(fields[9])] = int(fields[1].rsplit(":", 1)[1], 16)
    return tuple(sorted({listening[inode] for inode in owner_pids(list(listening), pids)}))
