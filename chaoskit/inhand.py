"""The watcher of a run: a thread that asks the oracle and the gate what is in the system's hands, and records it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from chaoskit.drivers.sockets import Look, Oracle, oracle_name
from chaoskit.errors import ChaoskitError
from chaoskit.history.facts import (
    ListenerClosed,
    LogMatched,
    OwnConnectionEnded,
    RequestAccepted,
    RequestRead,
    ResponseReceived,
)
from chaoskit.watch import Settled, Sorted, began, is_busy, sort_behind_front, sort_blind, sort_direct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaoskit.run import Conductor
    from chaoskit.workloads.client import Pending

TICK_S = 0.005
SHARE = 10  # of a core: no more than a tenth
GATE_PATIENCE_S = 0.5  # a system that was given the sink's address may still be on its way to call it
SERIAL_S = 1.0  # nothing in hand for so long beside open idle connections: the system serves one at a time
BLIND_S = 0.3  # without oracle, gate and first byte: elapsed time stands for "in hand"
HOPELESS_S = 3.0  # answers that come at once for so long will not be caught in hand
INSTANT_S = 0.25  # how long the signal waits for an instant at which quick open-loop work is in hand


class InHand:
    """Watches from the first work to the end of the run, never with more than a tenth of a core."""

    def __init__(self, conductor: Conductor) -> None:
        self._run = conductor
        self._plan = conductor.plan
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="chaoskit-watch", daemon=True)
        self._lock = threading.Lock()
        struck = conductor.instance
        self._oracle: Oracle | None = None
        if struck is not None and struck.port is not None and oracle_name() is not None:
            self._oracle = Oracle.open(struck.port, struck.pid)
        self._began_s = conductor.now()
        self._settled = Settled(self._began_s)
        self._last: Sorted = Sorted()
        self._last_key: object = None
        self._last_known: str | None = None
        self._last_own = 0
        self._signalled = False
        self._accepted: set[int] = set()
        self._read: set[int] = set()
        self._listening_s: float | None = None
        self._listener_gone = False
        self._own: dict[int, int] = {}
        self._own_unsent: dict[int, int] = {}
        self._log_at = 0
        self._log_rest = b""
        self._logs_open = list(conductor.plan.watched_logs())
        self._answers = 0
        self._slowest_s = 0.0
        self._tree_at_signal: frozenset[int] = frozenset()
        self._idle_given_up = False
        self._serial_since_s = self._began_s
        self.hopeless: str | None = None
        self.trouble: ChaoskitError | None = None
        self._stop_listening = conductor.recorder.listen(self._heard)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the last look at the user's own connections is recorded."""
        self._stop.set()
        self._thread.join(5)
        self._stop_listening()
        with self._lock:
            for port in list(self._own):
                self._own_ended(port, "untold")
            if self._oracle is not None:
                self._oracle.close()
                self._oracle = None

    def listeners(self, pids: tuple[int, ...]) -> tuple[int, ...]:
        """Ports that these processes listen on."""
        with self._lock:  # the watching thread asks on the same socket
            return self._oracle.listeners(pids) if self._oracle is not None else ()

    def _heard(self, event: object) -> None:
        fact = getattr(event, "fact", None)
        if isinstance(fact, ResponseReceived) and not self._signalled:
            self._answers += 1

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                began_s = time.thread_time()
                with self._lock:
                    if not self._stop.is_set():
                        self._tick()
                self._stop.wait(max(TICK_S, SHARE * (time.thread_time() - began_s)))
        except ChaoskitError as error:
            self.trouble = error
        except OSError as error:
            self.trouble = ChaoskitError(f"the socket oracle failed: {error}")

    def _tick(self) -> None:
        self._read_log()
        look = self._oracle.look() if self._oracle is not None else None
        if look is not None:
            self._watch_listener(look)
        if self._signalled:
            if look is not None:
                self._follow(look)
                self._follow_own(look)
            return
        self._sort(look)

    def _pending(self) -> Mapping[int, Pending]:
        client = self._run._client  # noqa: SLF001 - one idea in two modules
        return client.open_requests() if client is not None else {}

    def _work(self) -> dict[int, Pending]:
        return {number: each for number, each in self._pending().items() if each.purpose == "work" and each.sent}

    def _gate_calls(self) -> int:
        sink = self._run.tools.sink
        return sink.gate.held if sink is not None else 0

    def _sort(self, look: Look | None) -> None:
        now_s = self._run.now()
        pending = self._work()
        gate = self._gate_calls()
        if look is None:
            waited = now_s - max(self._run.last_sent_s, self._began_s) > BLIND_S
            found = sort_blind(pending, gate, waited=waited)
            known = "gate" if gate else "first_byte" if any(each.first_byte for each in pending.values()) else "elapsed"
        elif self._plan.via is not None:
            found, known = sort_behind_front(pending, look), "socket_oracle"
        else:
            found, known = sort_direct(pending, look), "socket_oracle"
        own = self._count_own(look) if self._plan.own and look is not None else 0
        if self._plan.own and look is None:
            own = gate
        if gate and gate >= min(len(found.in_hand) + own, 1):
            known = "gate"
        self._last, self._last_known, self._last_own = found, known, own
        closed = {index for index, each in enumerate(self._plan.workloads) if each.rate is None}
        key = (found.only({number for number, each in pending.items() if each.workload in closed}), gate, own)
        expects_gate = self._expects_gate() and gate < max(1, len(found.in_hand) + own)
        settled = self._settled.look(key, now_s, wait_s=GATE_PATIENCE_S if expects_gate else 0.0)
        settled = settled and (self._plan.own or self._all_sent(pending))
        fresh = key != self._last_key or len(closed) < len(self._plan.workloads)
        if settled and fresh and self._rates_held(found, pending):
            self._last_key = key
            self._run.record("watch", found.fact(known, gate, own))
        self._give_up_idle(found, now_s, own)
        self._notice_hopeless(now_s, settled=settled, found=found)

    def _rates_held(self, found: Sorted, pending: Mapping[int, Pending]) -> bool:
        """Whether every open-loop workload has enough in hand at this very instant."""
        have = Counter(pending[number].workload for number in found.in_hand)
        return all(
            have[index] >= each.hold_at_least
            for index, each in enumerate(self._plan.workloads)
            if each.rate is not None
        )

    def _all_sent(self, pending: Mapping[int, Pending]) -> bool:
        wanted = sum(each.clients for each in self._plan.workloads if each.rate is None)
        closed = {index for index, each in enumerate(self._plan.workloads) if each.rate is None}
        return sum(1 for each in pending.values() if each.workload in closed) >= wanted

    def _expects_gate(self) -> bool:
        sink = self._run.tools.sink
        return sink is not None and sink.referenced(self._plan.system)

    def _count_own(self, look: Look) -> int:
        ours = {each.client_port for each in self._pending().values()}
        return sum(1 for port, row in look.connections.items() if port not in ours and is_busy(row))

    def _give_up_idle(self, found: Sorted, now_s: float, own: int) -> None:
        drive = self._run._drive  # noqa: SLF001
        if found.in_hand or own or not (found.backlog or found.unread):
            self._serial_since_s = now_s
        if not self._idle_given_up and drive is not None and now_s - self._serial_since_s >= SERIAL_S:
            self._idle_given_up = True
            self._run.tools.loop.call_soon(drive.give_up_idle)

    def _notice_hopeless(self, now_s: float, *, settled: bool, found: Sorted) -> None:
        if settled or now_s - self._began_s < HOPELESS_S or self._answers < 20:  # noqa: PLR2004
            return
        if not found.in_hand and any(each.rate is None for each in self._plan.workloads):
            self.hopeless = self.reason()

    def reason(self) -> str:
        """Why the moment did not come, and what to do."""
        pending = len(self._work())
        have = len(self._last.in_hand) + self._last_own
        if self._plan.own:
            return f"{have} requests of your own client were in the system's hands: keep one open until the strike"
        if self._answers:
            targets = ", ".join(str(target) for each in self._plan.workloads for target in each.targets)
            return (
                f"{have} of {max(pending, sum(each.clients for each in self._plan.workloads))} in hand: {targets} answered "
                f"{self._answers} times at once. Name a slower request, hold it with upload_s= or download_s=, "
                "let the system call the sink ({sink} in its environment), or keep up traffic with rate="
            )
        backlog = len(self._last.backlog)
        return f"{have} of {pending} in hand, {backlog} in the backlog, {len(self._last.unseen)} not seen"

    # ---- the signal and after ---------------------------------------------------------------------------------

    def at_signal(self) -> None:
        """What is in hand now: the fact that the checks go by."""
        with self._lock:
            instance = self._run.instance
            if instance is not None:
                self._tree_at_signal = frozenset(pid for pid, _ in instance.tree())
            until_s = self._run.now() + INSTANT_S
            while True:
                look = self._oracle.look() if self._oracle is not None else None
                now_pending = self._work()
                gate = self._gate_calls()
                if look is None:
                    found = sort_blind(now_pending, gate, waited=True)
                elif self._plan.via is not None:
                    found = sort_behind_front(now_pending, look)
                else:
                    found = sort_direct(now_pending, look)
                if self._rates_held(found, now_pending) or self._run.now() > until_s or self._plan.profile.pre_stop_s:
                    break
            own = 0
            if look is not None and self._plan.own:
                ours = {each.client_port for each in self._pending().values()}
                for port, row in look.connections.items():
                    if port not in ours and is_busy(row):
                        self._own[port] = row.acked_bytes or 0
                own = len(self._own)
            elif self._plan.own:
                own = gate
            known = self._last_known if found.in_hand or own else None
            if gate:
                known = "gate"
            self._run.record("watch", found.fact(known, gate, own))
            self._signalled = True

    def after_signal(self) -> None:
        """Follow what the system does with each connection from now on."""
        self._signalled = True

    def _follow(self, look: Look) -> None:
        """A request accepted or read after the signal, and by whom."""
        fresh: dict[int, int] = {}
        for request, each in self._pending().items():
            if not each.sent or (each.reused and each.purpose != "idle") or self._plan.via is not None:
                continue
            row = look.connections.get(each.client_port)
            if row is None or not row.accepted:
                continue
            if request not in self._accepted and row.inode:  # (what was closed at once has no owner any more)
                self._accepted.add(request)
                fresh[row.inode] = request
            if request not in self._read and began(row, base_bytes=each.base_bytes):
                self._read.add(request)
                self._run.record("watch", RequestRead(request=request))
        if fresh:
            self._record_owners(fresh)

    def _record_owners(self, fresh: Mapping[int, int]) -> None:
        instance = self._run.instance
        if instance is None or self._oracle is None:
            return
        tree = [pid for pid, _ in instance.tree()]
        owners = self._oracle.owner_pids(list(fresh), tree)
        for inode, request in fresh.items():
            pid = owners.get(inode)
            owner = "unknown" if pid is None else "struck" if pid in self._tree_at_signal else "other"
            self._run.record("watch", RequestAccepted(request=request, pid=pid, owner=owner))

    def _watch_listener(self, look: Look) -> None:
        now_s = self._run.recorder.on_clock(look.at)
        instance = self._run.instance
        if look.listening:
            self._listening_s = now_s
            self._listener_gone = False
        elif self._listening_s is not None and not self._listener_gone and instance is not None:
            self._listener_gone = True
            self._run.record(
                "watch",
                ListenerClosed(
                    instance=self._plan.name,
                    port=instance.port or 0,
                    last_seen_s=self._listening_s,
                    known_by="socket_oracle",
                ),
            )

    def _follow_own(self, look: Look) -> None:
        instance = self._run.instance
        for port in list(self._own):
            row = look.connections.get(port)
            acked = self._own[port]
            if row is not None and (row.acked_bytes or 0) > acked:
                self._own_ended(port, "answered")
            elif row is not None:
                self._own_unsent[port] = row.unacked_bytes
            elif instance is not None and instance.exit() is not None:
                killed = instance.deadline() is not None
                self._own_ended(port, "severed" if killed else "untold")
            else:
                self._own_ended(port, "untold")

    def _own_ended(self, port: int, outcome: str) -> None:
        acked = self._own.pop(port)
        self._run.record(
            "watch",
            OwnConnectionEnded(
                client_port=port, outcome=outcome, acked_bytes=acked, unsent_bytes=self._own_unsent.get(port, 0)
            ),
        )

    def _read_log(self) -> None:
        """Feed the log moments; the log is read once, in pieces."""
        instance = self._run.instance
        if not self._logs_open or instance is None:
            return
        with instance.log.open("rb") as file:
            file.seek(self._log_at)
            piece = file.read(1 << 16)
        if not piece:
            return
        self._log_at += len(piece)
        lines = (self._log_rest + piece).split(b"\n")
        self._log_rest = lines.pop()[-4096:]
        for line in lines:
            text = line.decode(errors="replace")
            for wanted in list(self._logs_open):
                if wanted in text:
                    self._logs_open.remove(wanted)
                    self._run.record("log", LogMatched(instance=self._plan.name, text=wanted, line=text[:500]))
