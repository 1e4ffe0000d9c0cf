"""The conductor: plan in, history out; it judges nothing.

launch -> ready -> rehearsal -> work -> moment -> strike -> deadline -> settle -> clean up, always -> save.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from chaoskit.drivers.base import Exit, Instance
from chaoskit.drivers.readiness import how_ended
from chaoskit.drivers.sockets import oracle_name, why_not
from chaoskit.errors import ChaoskitError, DriverError, LaunchError
from chaoskit.history.events import Event, History
from chaoskit.history.facts import (
    AnyFact,
    BlockEnded,
    ChildrenSeen,
    HarnessStalled,
    InstanceExited,
    LeftBehind,
    MomentMissed,
    MomentReached,
    Noted,
    RequestSent,
    RunEnded,
)
from chaoskit.history.journal import JOURNAL, Journal
from chaoskit.history.recorder import Recorder
from chaoskit.inhand import InHand
from chaoskit.moments import Elapsed, Watch
from chaoskit.plan import Plan
from chaoskit.planned import planned, readiness_path
from chaoskit.starting import Starter, Tools
from chaoskit.striking import StrikingHand, Times
from chaoskit.workloads.client import Client
from chaoskit.workloads.http import HttpDrive

TICK_S = 0.005
PORT_TRIES = 3


class Conductor:
    """One run, step by step; `run` does all of them, an -ing block does its work between `begin` and `finish`."""

    def __init__(self, plan: Plan, tools: Tools) -> None:
        self.plan = plan
        self.tools = tools
        self.recorder = Recorder(Journal(plan.run_dir / JOURNAL))
        self.instance: Instance | None = None
        self._cleanups: list[Callable[[], object]] = []
        self._starter = Starter(plan, tools, self.recorder, self._cleanups)
        self._moment_watch: Watch = plan.moment.watch()
        self._wake = threading.Event()
        self._drive: HttpDrive | None = None
        self._client: Client | None = None
        self._inhand: InHand | None = None
        self._times = Times()
        self._hand: StrikingHand | None = None
        self._window_over = False
        self._block_over = threading.Event()
        self._exit: Exit | None = None
        self._waiting_since_s = 0.0
        self._behind = ""  # "first" and "final" look at what the leader left behind
        self.last_sent_s = 0.0
        self._saved = False

    # ---- steps -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Launch, wait for readiness, rehearse, begin to work."""
        plan = self.plan
        stop_listening = self.recorder.listen(self._heard)
        self._cleanups.append(stop_listening)
        self.record("conductor", planned(self.plan, self.tools.loop.name))
        if oracle_name() is None:
            self.note("no_oracle", why_not())
        self.tools.progress(f"{plan.name}: launch")
        self.instance = self._starter.launch(self._exited)
        self._hand = StrikingHand(
            plan,
            self.instance,
            self.recorder,
            self._times,
            before_signal=self._before_signal,
            after_signal=self._after_signal,
        )
        if plan.fault.kind == "at_start":
            return
        self._open_engine()
        if self._drive is not None:
            self.tools.progress(f"{plan.name}: rehearsal")
            drive = self._drive
            self.tools.loop.run(drive.rehearse(), timeout_s=plan.limits.rehearsal_s * 2)
            self.tools.loop.run(drive.open_idle(), timeout_s=plan.limits.rehearsal_s)
        self._open_watch()
        if self._drive is not None:
            self._arm_gate()
            self.tools.loop.call_soon(self._drive.start)

    def strike(self) -> bool:
        """Wait for the moment and strike; False when the moment did not come."""
        plan = self.plan
        due_s = self._await_moment()
        if due_s is None:
            return False
        self.tools.progress(f"{plan.name}: strike ({plan.fault.kind})")
        self.record(
            "conductor",
            MomentReached(moment=str(plan.moment), planned_s=due_s, after_s=max(0.0, due_s - self.last_sent_s)),
        )
        plan.fault.strike(self._striking())
        return True

    def settle(self) -> None:
        """Wait until everything that was at stake has ended, at most until 2 s past the deadline."""
        limits = self.plan.limits
        deadline_s = self._times.deadline_s if self._times.deadline_s is not None else self.now()
        end_s = deadline_s + limits.hung_s
        expired = False
        if not self.plan.fault.ends_process():
            end_s = self.now() + self.plan.profile.grace_s
        while self.now() < end_s:
            if not expired and self.now() >= deadline_s and self._struck().deadline() is not None:
                expired = True
                self._striking().deadline_kill()
            if self._settled():
                break
            self._look_behind()
            self._wake.wait(TICK_S)
            self._wake.clear()
            self._check_trouble()
        if not expired and self._struck().deadline() is not None:
            self._striking().deadline_kill()
        self._end_window()
        if self._client is not None:
            client = self._client
            self.tools.loop.run(_give_up_all(client), timeout_s=5)

    def finish(self, how: str) -> History:
        """Look what was left behind, clean up in reverse, save; returns the saved history."""
        try:
            while self._exit is not None and self._behind != "final":
                self._look_behind()
                time.sleep(TICK_S)
        finally:
            self._clean_up()
        if not self._saved:
            self._saved = True
            self.record("conductor", RunEnded(how=how))
            self.recorder.save()
        return self.recorder.history()

    def abort(self) -> None:
        """Clean up and save what there is; for a harness that failed."""
        self._clean_up()
        if not self._saved:
            self._saved = True
            with contextlib.suppress(ChaoskitError):
                self.recorder.save()

    def block_ended(self, raised: str | None) -> None:
        """The user's own block is over."""
        self.record("block", BlockEnded(raised=raised))
        self._block_over.set()

    # ---- pieces ----------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since the run began."""
        return self.recorder.now()

    def record(self, observer: str, fact: AnyFact) -> Event:
        """Record one fact."""
        return self.recorder.record(observer, fact)

    def note(self, kind: str, message: str) -> None:
        """Record a note."""
        self.record("conductor", Noted(kind=kind, message=message))

    def _heard(self, event: Event) -> None:
        self._moment_watch.feed(event)
        if isinstance(event.fact, RequestSent) and event.fact.purpose == "work" and self._times.signal_s is None:
            self.last_sent_s = event.at_s
        if self._moment_watch.due_s() is not None:
            self._wake.set()

    def _struck(self) -> Instance:
        if self.instance is None:
            raise DriverError(f"'{self.plan.name}' is not running")
        return self.instance

    def _striking(self) -> StrikingHand:
        if self._hand is None:
            raise DriverError(f"'{self.plan.name}' is not running")
        return self._hand

    def _before_signal(self) -> None:
        if self._inhand is not None:
            self._inhand.at_signal()

    def _gone(self) -> bool:
        return self.instance is not None and self.instance.exit() is not None

    def _check_trouble(self) -> None:
        if self.recorder.trouble is not None:
            raise self.recorder.trouble
        if self._inhand is not None and self._inhand.trouble is not None:
            raise self._inhand.trouble
        if self.tools.sink is not None and self.tools.sink.sink.trouble is not None:
            raise self.tools.sink.sink.trouble

    def _open_engine(self) -> None:
        struck = self._struck()
        if struck.port is None and not self.plan.workloads:
            return
        if struck.port is None:
            raise LaunchError(
                f"'{self.plan.name}' has no port to send requests to: use {{port}} in its command or environment, or give port="
            )
        self.tools.loop.on_stall(self._stalled)
        self._cleanups.append(lambda: self.tools.loop.on_stall(None))
        self._client = Client(self.recorder)
        self._drive = HttpDrive(
            self._client,
            self.plan.workloads,
            self._starter.endpoint(struck),
            readiness=readiness_path(self.plan.system if self.plan.via is None else self.plan.via),
            now=self.now,
            note=self.note,
            byte_marks=self.plan.watched_bytes(),
        )
        drive = self._drive
        self._cleanups.append(lambda: self.tools.loop.run(drive.stop(), timeout_s=5))

    def _open_watch(self) -> None:
        self._inhand = InHand(self)
        self._inhand.start()
        self._cleanups.append(self._inhand.stop)

    def _arm_gate(self) -> None:
        sink = self.tools.sink
        if sink is None or not self.plan.workloads:
            return
        most = sum(each.hold_at_least if each.rate is not None else each.clients for each in self.plan.workloads)
        sink.gate.arm(most, "before", lambda: self._times.signal_s is None)
        self._cleanups.append(sink.gate.disarm)
        self._cleanups.append(sink.gate.release)

    def _release_s(self) -> float | None:
        chosen = [each.release_s for each in self.plan.workloads if each.release_s is not None]
        if "never" in chosen:
            return None
        signal_s, deadline_s = self._times.signal_s or 0.0, self._times.deadline_s or 0.0
        if chosen:
            return max(float(each) for each in chosen)
        rejects = any(each.disposition == "reject" for each in self.plan.workloads)
        return min(2.0 if rejects else 1.0, max(0.0, (deadline_s - signal_s) / 2))

    def _after_signal(self, signal_s: float) -> None:
        stop_s, deadline_s = self._times.stop_s or signal_s, self._times.deadline_s or signal_s
        propagation_s = self.plan.profile.propagation_s
        window_end_s = max(signal_s, stop_s + propagation_s) if propagation_s > 0 else None
        close_s = stop_s + self.plan.idle_close_share * self.plan.profile.grace_s
        if self._drive is not None:
            drive = self._drive
            self.tools.loop.call_soon(lambda: drive.signalled(signal_s, deadline_s, window_end_s, close_s))
        if self._inhand is not None:
            self._inhand.after_signal()
        sink = self.tools.sink
        release_s = self._release_s()
        if sink is not None and release_s is not None:
            timer = threading.Timer(release_s, sink.gate.release)
            timer.daemon = True
            timer.start()
            self._cleanups.append(timer.cancel)
        tree = self._struck().tree()[1:]
        if tree:
            self.record(
                "driver",
                ChildrenSeen(
                    instance=self.plan.name,
                    pids=tuple(pid for pid, _ in tree),
                    names=tuple(name for _, name in tree),
                ),
            )

    def _stalled(self, late_s: float) -> None:
        self.record("engine", HarnessStalled(late_s=late_s))

    def _exited(self, ended: Exit) -> None:
        self._exit = ended
        self.record(
            "driver",
            InstanceExited(
                instance=self.plan.name,
                code=ended.code,
                signal=ended.signal,
                exited_s=self.recorder.on_clock(ended.at),
            ),
        )
        if self.instance is not None and self._times.deadline_s is not None:
            with contextlib.suppress(DriverError):
                self.instance.kill_at(float("inf"))  # it left by itself: what it left behind is looked at, not killed
        self._wake.set()

    def _await_moment(self) -> float | None:
        plan = self.plan
        if plan.fault.kind == "at_start":
            at_s = self.now() + float(getattr(plan.fault, "after_s", 0.0))
            self._striking().sleep_until(at_s)
            return at_s
        self._waiting_since_s = self.now()
        end_s = self._waiting_since_s + plan.limits.moment_s
        while self.now() < end_s:
            due_s = self._moment_watch.due_s()
            if due_s is not None and due_s - self.now() < 0.002:  # noqa: PLR2004 - the last 2 ms are waited out exactly
                while self.now() < due_s:
                    time.sleep(0)
                return due_s if isinstance(plan.moment, Elapsed) else max(due_s, 0.0)
            if self._gone():
                raise LaunchError(_exited_early(plan.name, self._struck()))
            if self._block_over.is_set():
                self._missed("the block ended before the moment came: keep the request going until the strike")
                return None
            if self._inhand is not None and self._inhand.hopeless is not None:
                break
            wait_s = TICK_S if due_s is None else min(TICK_S, max(0.0, due_s - self.now() - 0.001))
            self._wake.wait(wait_s)
            self._wake.clear()
            self._check_trouble()
        reason = (self._inhand.reason() if self._inhand is not None else "") or "the moment did not come"
        self._missed(reason)
        return None

    def _missed(self, reason: str) -> None:
        self.record(
            "conductor",
            MomentMissed(moment=str(self.plan.moment), within_s=self.now() - self._waiting_since_s, reason=reason),
        )

    def _settled(self) -> bool:
        """Nothing that the checks ask about can still change."""
        client, drive = self._client, self._drive
        signal_s = self._times.signal_s
        held_open = client is not None and signal_s is not None and client.work_open_since(signal_s)
        propagation_s = self.plan.profile.propagation_s
        if not propagation_s and not held_open and drive is not None and not self._own_open():
            self._end_window()
        if propagation_s and self.now() >= (self._times.stop_s or 0.0) + propagation_s:
            self._window_over = True
        if held_open or not (self._window_over or drive is None):
            return False
        if self.plan.own and not self._block_over.is_set():
            return False
        if not self.plan.fault.ends_process():
            return client is None or not client.open_count()
        return self._exit is not None and (client is None or not client.open_count())

    def _own_open(self) -> bool:
        return self.plan.own and not self._block_over.is_set() and self._exit is None

    def _end_window(self) -> None:
        if not self._window_over and self._drive is not None:
            self._window_over = True
            self.tools.loop.call_soon(self._drive.window_over)

    def _look_behind(self) -> None:
        """Children and listeners of a gone leader: asked at once, and again until nothing is left, for 1 s."""
        instance, ended = self._struck(), self._exit
        if ended is None or self._behind == "final":
            return
        after_s = self.now() - self.recorder.on_clock(ended.at)
        living = tuple((pid, name) for pid, name in instance.tree() if pid != instance.pid)
        final = not living or after_s >= self.plan.limits.leaves_s
        if self._behind == "first" and not final:
            return
        pids = tuple(pid for pid, _ in living)
        self.record(
            "driver",
            LeftBehind(
                instance=self.plan.name,
                pids=pids,
                names=tuple(name for _, name in living),
                listeners=self._inhand.listeners(pids) if self._inhand is not None and pids else (),
                after_s=after_s,
                final=final,
            ),
        )
        self._behind = "final" if final else "first"

    def _clean_up(self) -> None:
        while self._cleanups:
            with contextlib.suppress(Exception):  # each clean-up must have its turn
                self._cleanups.pop()()
        if self.tools.sink is not None:
            self.tools.sink.report = None


def run(plan: Plan, tools: Tools) -> History:
    """Do all of one run; the history is saved before it is returned.

    Raises:
        ChaoskitError: the harness could not do its work; everything that was started is gone.
    """
    conductor = Conductor(plan, tools)
    try:
        conductor.begin()
        struck = conductor.strike()
        if struck:
            conductor.settle()
        return conductor.finish("judged" if struck else "missed")
    except BaseException:
        conductor.abort()
        raise


async def _give_up_all(client: Client) -> None:
    for request in list(client.open_requests()):
        client.give_up(request)


def _exited_early(name: str, instance: Instance) -> str:
    ended = instance.exit()
    how = "ended" if ended is None else how_ended(ended)
    return f"'{name}' {how} before the strike, by itself. Full log: {instance.log}"
