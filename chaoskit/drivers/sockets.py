"""The socket oracle: what the struck instance's own sockets say about every connection, without its cooperation.

Netlink `SOCK_DIAG` where it answers (with `tcp_info`), `/proc/<pid>/net/tcp` otherwise; neither exists on macOS.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from chaoskit.drivers.connections import Connection
from chaoskit.drivers.proc_net import ProcNet, owner_pids, shares_network
from chaoskit.drivers.sock_diag import SockDiag
from chaoskit.errors import ChaoskitError

__all__ = ["Connection", "Look", "Oracle", "oracle_name", "why_not"]

LOOK_LEAST_S = 0.005
SHARE = 10  # never more than a tenth of a core
OFF = "CHAOSKIT_ORACLE"  # "off", or "proc" to leave netlink aside


@dataclass(frozen=True, slots=True)
class Look:
    """All connections of one listening port, by client port, at one instant (`time.monotonic()`).

    Both ends of a loopback connection are in the same table: only rows whose own port is the listener's are here.
    """

    at: float
    listening: bool
    backlog: int
    connections: Mapping[int, Connection]


class Oracle:
    """Asked for one port, as often as its pace allows, by one thread at a time."""

    def __init__(self, port: int, way: SockDiag | ProcNet) -> None:
        self._port = port
        self._way = way
        self._cost_s = 0.0

    @classmethod
    def open(cls, port: int, pid: int | None = None) -> Oracle:
        """An oracle for the connections of `port`, in the network namespace of `pid`.

        Raises:
            ChaoskitError: this machine has neither way to see them.
        """
        name = oracle_name()
        if name is None:
            raise ChaoskitError(why_not())
        # netlink speaks of our own namespace; entering another one needs privilege, reading its /proc does not
        near = pid is None or shares_network(pid)
        return cls(port, SockDiag() if name == "sock_diag" and near else ProcNet(pid))

    @property
    def name(self) -> str:
        """`sock_diag` or `proc`."""
        return self._way.name

    @property
    def pace_s(self) -> float:
        """How long to wait between two looks."""
        return max(LOOK_LEAST_S, SHARE * self._cost_s)

    def look(self) -> Look:
        """One question."""
        began = time.monotonic()
        collects = gc.isenabled()
        gc.disable()  # thousands of fresh tuples would set off collection after collection, and none is garbage
        try:
            connections, backlogs = self._way.look(self._port)
        finally:
            if collects:
                gc.enable()
        self._cost_s = time.monotonic() - began
        return Look(began, bool(backlogs), sum(backlogs), connections)

    def close(self) -> None:
        """Give the kernel its sockets and files back."""
        self._way.close()

    @staticmethod
    def owner_pids(inodes: Collection[int], pids: Collection[int]) -> dict[int, int]:
        """{inode: pid} for those sockets that one of these processes has open; the first of them wins."""
        return owner_pids(inodes, pids)

    def listeners(self, pids: Collection[int]) -> tuple[int, ...]:
        """TCP ports on which one of these processes listens."""
        listening = self._way.listeners()
        return tuple(sorted({listening[inode] for inode in owner_pids(listening, pids)}))


def oracle_name() -> str | None:
    """How connections can be seen here: `sock_diag`, `proc`, or None."""
    wish = os.environ.get(OFF)
    if sys.platform != "linux" or wish == "off":
        return None
    if wish != "proc" and _answers():
        return "sock_diag"
    return "proc" if Path("/proc/self/net/tcp").is_file() else None


def _answers() -> bool:
    """Whether netlink tells of sockets here: containers and sandboxes may forbid it."""
    with contextlib.suppress(OSError, ChaoskitError):
        way = SockDiag()
        try:
            way.look(1)
        finally:
            way.close()
        return True
    return False


def why_not() -> str:
    """The sentence for a machine without an oracle."""
    if os.environ.get(OFF) == "off":
        return (
            "the socket oracle is switched off (CHAOSKIT_ORACLE=off): gate, first byte and elapsed time take its place"
        )
    return (
        f"{sys.platform} does not show a process' sockets (no /proc, no SOCK_DIAG): "
        "gate, first byte and elapsed time take the oracle's place"
    )
