"""The socket oracle: what the struck instance's own sockets say about every connection, without its cooperation.

Netlink `SOCK_DIAG` where it answers (with `tcp_info`), `/proc/<pid>/net/tcp` otherwise; neither exists on macOS.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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
# struct inet_diag_msg after the netlink header: family, state, timer, retrans, sport, dport, src, dst, if, cookie,
# expires, rqueue, wqueue, uid, inode
_ROW = struct.Struct("=BBBB2s2s16s16sI8sIIIII")
_HEAD = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
# struct tcp_info (linux/tcp.h): offsets of the fields that we read
_LAST_DATA_SENT, _LAST_DATA_RECV, _BYTES_ACKED, _BYTES_RECEIVED = 44, 52, 120, 128
LOOK_LEAST_S = 0.005
SHARE = 10  # never more than a tenth of a core


@dataclass(frozen=True, slots=True)
class Connection:
    """One row: the server's side of a connection. Counts are bytes; ages are milliseconds."""

    client_port: int
    client_host: str
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
        rows = self._diag() if self._link is not None else self._proc()
        listening, backlog = False, 0
        connections: dict[int, Connection] = {}
        for row in rows:
            if row.state == "listen":
                listening, backlog = True, backlog + row.unread_bytes
            elif row.state not in ("time_wait", "syn_recv", "syn_sent", "close"):
                connections[row.client_port] = row
        self._cost_s = time.monotonic() - began
        return Look(began, listening, backlog, connections)

    def close(self) -> None:
        """Give the netlink socket back."""
        if self._link is not None:
            self._link.close()

    def _diag(self) -> Iterator[Connection]:
        for family in (socket.AF_INET, socket.AF_INET6):
            yield from _dump(self._link, family, self._port) if self._link is not None else ()

    def _proc(self) -> Iterator[Connection]:
        base = Path("/proc") / (str(self._pid) if self._pid is not None else "self") / "net"
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(OSError):
                yield from _parse_proc((base / name).read_text(), self._port)

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
                list(_dump(link, socket.AF_INET, 1))
            finally:
                link.close()
            return "sock_diag"
    return "proc" if Path("/proc/self/net/tcp").is_file() else None


def why_not() -> str:
    """The sentence for a machine without an oracle."""
    if os.environ.get("CHAOSKIT_ORACLE") == "off":
        return "the socket oracle is switched off (CHAOSKIT_ORACLE=off): gate, first byte and elapsed time take its place"
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


def _dump(link: socket.socket, family: int, port: int) -> Iterator[Connection]:
    identity = struct.pack("!HH", port, 0) + bytes(16 + 16) + struct.pack("=I", 0) + b"\xff" * 8
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0, ALL_STATES) + identity
    link.send(_HEAD.pack(_HEAD.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body)
    wanted = struct.pack("!H", port)
    while True:
        data = link.recv(1 << 18)
        at = 0
        while at < len(data):
            size, kind, _, _, _ = _HEAD.unpack_from(data, at)
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                raise ChaoskitError(f"the kernel refused a socket dump (errno {-struct.unpack_from('=i', data, at + 16)[0]})")
            row = _ROW.unpack_from(data, at + _HEAD.size)
            if row[4] == wanted:  # the other end of a loopback connection has the port as its destination
                yield _connection(row, data, at + _HEAD.size + _ROW.size, at + size)
            at += (size + 3) & ~3


def _connection(row: tuple[int | bytes, ...], data: bytes, at: int, end: int) -> Connection:
    family, state, _, _, _, client_port, _, client, _, _, _, unread, unsent, _, inode = row
    received = acked = recv_age = sent_age = None
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if kind == INET_DIAG_INFO and length >= 4 + _BYTES_RECEIVED + 8:
            info = at + 4
            (sent_age,) = struct.unpack_from("=I", data, info + _LAST_DATA_SENT)
            (recv_age,) = struct.unpack_from("=I", data, info + _LAST_DATA_RECV)
            acked, received = struct.unpack_from("=QQ", data, info + _BYTES_ACKED)
            break
        at += max(4, (length + 3) & ~3)
    host = bytes(client)  # type: ignore[arg-type]
    return Connection(
        int.from_bytes(client_port, "big"),  # type: ignore[arg-type]
        socket.inet_ntop(socket.AF_INET, host[:4]) if family == socket.AF_INET else socket.inet_ntop(socket.AF_INET6, host),
        STATES.get(int(state), str(state)),
        int(inode),
        int(unread),
        int(unsent),
        None if received is None else int(received),
        None if acked is None else int(acked),
        recv_age,
        sent_age,
    )


def _parse_proc(text: str, port: int) -> Iterator[Connection]:
    wanted = f":{port:04X}"
    for line in text.splitlines()[1:]:
        fields = line.split()
        if not fields[1].endswith(wanted):
            continue
        host, client_port = fields[2].rsplit(":", 1)
        unsent, unread = (int(part, 16) for part in fields[4].split(":"))
        state = STATES.get(int(fields[3], 16), fields[3])
        yield Connection(int(client_port, 16), host, state, int(fields[9]), unread, unsent, None, None, None, None)


def owner_pids(inodes: Collection[int], pids: Collection[int]) -> dict[int, int]:
    """{inode: pid} for those sockets that one of these processes has open; the first of them wins."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(entry.path))
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
