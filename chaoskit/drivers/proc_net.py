"""`/proc`: the socket table as text, where netlink does not answer, and who has a socket open."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from chaoskit.drivers.connections import STATES, TCP_LISTEN, Connection

TABLES = ("tcp", "tcp6")
# Documentation/networking/proc_net_tcp.rst: sl, local and remote address, st, tx_queue:rx_queue, tr:when, retrnsmt, uid,
# timeout, inode
_ROW = r"^ *\d+: [0-9A-F]+:%s [0-9A-F]+:(\w{4}) (\w\w) (\w{8}):(\w{8}) \S+ \S+ +\d+ +\d+ (\d+)"


class ProcNet:
    """The tables of one process' network namespace; kept open, for the process may end while its connections live."""

    name = "proc"

    def __init__(self, pid: int | None) -> None:
        self._files: list[BinaryIO] = []
        for table in TABLES:
            with contextlib.suppress(OSError):
                self._files.append((Path("/proc") / str(pid or "self") / "net" / table).open("rb", buffering=0))

    def look(self, port: int) -> tuple[dict[int, Connection], list[int]]:
        """The connections of one listening port by client port, and the backlog of each of its listeners."""
        connections: dict[int, Connection] = {}
        backlogs: list[int] = []
        row = re.compile((_ROW % f"{port:04X}").encode(), re.MULTILINE)
        for text in self._texts():
            for peer, state, unsent, unread, inode in row.findall(text):
                number = int(state, 16)
                if number == TCP_LISTEN:
                    backlogs.append(int(unread, 16))
                elif number in STATES:
                    client = int(peer, 16)
                    connections[client] = Connection(
                        client, STATES[number], int(inode), int(unread, 16), int(unsent, 16), None, None, None, None
                    )
        return connections, backlogs

    def listeners(self) -> dict[int, int]:
        """{inode: port} of everything that listens."""
        row = re.compile((_ROW % r"(\w{4})").replace(r"(\w\w)", "(0A)").encode(), re.MULTILINE)
        return {int(inode): int(own, 16) for text in self._texts() for own, _, _, _, _, inode in row.findall(text)}

    def close(self) -> None:
        """Close the tables."""
        for file in self._files:
            file.close()

    def _texts(self) -> list[bytes]:
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read())
        return texts


def owner_pids(inodes: Collection[int], pids: Collection[int]) -> dict[int, int]:
    """{inode: pid} for those sockets that one of these processes has open; the first of them wins."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    found: dict[int, int] = {}
    for pid in pids:
        if len(found) == len(wanted):
            break
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(entry.path))  # noqa: PTH115 - thousands of them
                    if inode is not None:
                        found.setdefault(inode, pid)
    return found


def shares_network(pid: int) -> bool:
    """Whether a process lives in our own network namespace; assumed where it cannot be told (it may have ended)."""
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
    except OSError:
        return True
