"""What is in the system's hands: oracle, gate and our own connections, joined into facts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from chaoskit.drivers.sockets import Connection, Look
from chaoskit.history.facts import WorkInHand
from chaoskit.workloads.client import Pending


@dataclass(slots=True)
class Sorted:
    """Open work requests by where they are."""

    in_hand: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    backlog: list[int] = field(default_factory=list)
    elsewhere: list[int] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)

    def key(self) -> tuple[tuple[int, ...], ...]:
        """Equal for two looks that saw the same."""
        return tuple(tuple(each) for each in (self.in_hand, self.unread, self.backlog, self.elsewhere, self.unseen))

    def only(self, wanted: Collection[int]) -> tuple[tuple[int, ...], ...]:
        """The key of some of the requests."""
        return tuple(tuple(number for number in each if number in wanted) for each in self.key())

    def fact(self, known_by: str | None, gate_calls: int, own: int) -> WorkInHand:
        """The same as a fact."""
        in_hand, unread, backlog, elsewhere, unseen = self.key()
        return WorkInHand(
            in_hand=in_hand,
            unread=unread,
            backlog=backlog,
            elsewhere=elsewhere,
            unseen=unseen,
            known_by=known_by if in_hand or own else None,
            gate_calls=gate_calls,
            own=own,
        )


def began(row: Connection, *, base_bytes: int) -> bool:
    """Whether the application has taken up the request of this connection: some of its bytes were read.

    `base_bytes` is what earlier requests on the same connection had. A body still being uploaded, or left unread, is
    no hindrance; where the kernel gives no counts, everything that arrived must have been read.
    """
    if not row.accepted:
        return False
    if row.received_bytes is None:
        return row.read and not base_bytes
    return row.received_bytes - row.unread_bytes > base_bytes


def sort_direct(pending: Mapping[int, Pending], look: Look) -> Sorted:
    """Our own connections against the struck instance's sockets, one by one."""
    found = Sorted()
    for request, each in pending.items():
        row = look.connections.get(each.client_port)
        if row is None:
            (found.in_hand if each.first_byte else found.unseen).append(request)
        elif not row.accepted:
            found.backlog.append(request)
        elif each.first_byte or began(row, base_bytes=each.base_bytes):
            found.in_hand.append(request)
        else:
            found.unread.append(request)
    return found


def sort_behind_front(pending: Mapping[int, Pending], look: Look) -> Sorted:
    """A front speaks to the struck instance: its sockets say how many requests it has, not which."""
    found = Sorted()
    rows = look.connections.values()
    busy = sum(1 for row in rows if row.accepted and is_busy(row))
    waiting = sum(1 for row in rows if not row.accepted)
    for request, each in pending.items():
        if each.first_byte:
            found.in_hand.append(request)
            busy -= 1
    for request, each in pending.items():
        if each.first_byte:
            continue
        if busy > 0:
            found.in_hand.append(request)
            busy -= 1
        elif waiting > 0:
            found.backlog.append(request)
            waiting -= 1
        else:
            found.elsewhere.append(request)
    return found


def is_busy(row: Connection) -> bool:
    """Whether the last bytes on a connection were a request, not an answer (a kept-alive one at rest is not busy)."""
    if not row.accepted or row.unread_bytes or not (row.received_bytes is None or row.received_bytes > 0):
        return False
    if row.recv_age_ms is None or row.sent_age_ms is None:
        return True
    return not row.acked_bytes or row.recv_age_ms < row.sent_age_ms


def sort_blind(pending: Mapping[int, Pending], gate_calls: int, *, waited: bool) -> Sorted:
    """No oracle: the gate's calls, first bytes and, after a while, elapsed time."""
    found = Sorted()
    for request, each in pending.items():
        if each.first_byte or gate_calls > 0 or waited:
            found.in_hand.append(request)
            gate_calls -= 0 if each.first_byte else 1
        else:
            found.unseen.append(request)
    return found


class Settled:
    """Tells when what was seen has stopped changing.

    The window is 50 ms; a workload whose requests come and go never rests that long, so it shrinks to 10 ms after 1 s
    and to nothing after 2 s.
    """

    __slots__ = ("_began_s", "_key", "_since_s")

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self._key: object = None
        self._since_s = began_s

    def look(self, key: object, now_s: float, *, wait_s: float = 0.0) -> bool:
        """Feed one look; True when its key has stood long enough, and for `wait_s` at least."""
        if key != self._key:
            self._key, self._since_s = key, now_s
        age_s = now_s - self._began_s
        window_s = 0.05 if age_s < 1 else 0.01 if age_s < 2 else 0.0  # noqa: PLR2004 - the docstring's numbers
        return now_s - self._since_s >= max(window_s, wait_s if age_s < 2 else 0.0)  # noqa: PLR2004
