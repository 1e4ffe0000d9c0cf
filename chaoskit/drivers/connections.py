"""One connection as the kernel's socket table shows it, from the server's side."""

from __future__ import annotations

from typing import NamedTuple

TCP_LISTEN = 10
#: Linux' numbers (include/net/tcp_states.h) of a connection that two sides have agreed on and that is not over yet.
STATES = {
    1: "established",
    4: "fin_wait1",
    5: "fin_wait2",
    8: "close_wait",
    9: "last_ack",
    11: "closing",
}
#: Only an application's own close leads here: one that waits in the backlog can be nothing but established or close_wait.
LET_GO = frozenset({"fin_wait1", "fin_wait2", "last_ack", "closing"})


class Connection(NamedTuple):
    """One row. Counts are bytes, ages milliseconds; None where the kernel was not asked for them (/proc).

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
        """Whether the application took it from the backlog: it has an inode then, and loses it again by closing."""
        return self.inode != 0 or self.state in LET_GO

    @property
    def read(self) -> bool:
        """Whether the application has read everything that arrived, and something did."""
        return self.accepted and self.unread_bytes == 0 and (self.received_bytes is None or self.received_bytes > 0)
