"""The conductor: plan in, history out; it judges nothing.

launch -> ready -> rehearsal -> work -> moment -> strike -> deadline -> settle -> clean up, always -> save.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaoskit.address import Address
from chaoskit.downstream.server import SinkServer
from chaoskit.drivers.base import Driver, Exit, Instance
from chaoskit.drivers.placeholders import resolve
from chaoskit.drivers.readiness import PortTaken, await_ready
from chaoskit.drivers.sockets import oracle_name, why_not
from chaoskit.errors import ChaoskitError, DriverError, LaunchError
from chaoskit.history.events import Event, History
from chaoskit.history.facts import (
    AnyFact,
    BlockEnded,
    ChildrenSeen,
    GraceExpired,
    HarnessStalled,
    InstanceExited,
    InstanceLaunched,
    InstanceReady,
    LeftBehind,
    MomentMissed,
    MomentReached,
    Noted,
    PreStopEnded,
    ProfilePlanned,
    RequestSent,
    RunEnded,
    RunPlanned,
    SignalSent,
    StopActionTaken,
    WorkloadPlanned,
)
from chaoskit.history.journal import JOURNAL, Journal
from chaoskit.history.recorder import Recorder
from chaoskit.inhand import InHand
from chaoskit.moments import Elapsed, Watch
from chaoskit.plan import Plan
from chaoskit.profiles import Profile
from chaoskit.signals import number_of
from chaoskit.workloads.client import Client, Endpoint
from chaoskit.workloads.http import HttpDrive
from chaoskit.workloads.loop import LoopThread

TICK_S = 0.005
PORT_TRIES = 3


@dataclass(frozen=True, slots=True)
class Launched:
    """An instance that runs beside the struck one, for the whole test."""

    name: str
    instance: Instance


@dataclass(slots=True)
class Tools:
    """What a run needs and does not own: all of it outlives the run."""

    driver: Driver
    loop: LoopThread
    sink: SinkServer | None = None
    beside: list[Launched] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    progress: Callable[[str], None] = lambda _text: None


class Conductor:
    """One run, step by step; `run` does all of them, an -ing block does its work between `begin` and `finish`."""

    def __init__(self, plan: Plan, tools: Tools) -> None:
        self.plan = plan
        self.tools = tools
        self.recorder = Recorder(Journal(plan.run_dir / JOURNAL))
        self.instance: Instance | None = None
        self._cleanups: list[Callable[[], object]] = []
        self._moment_watch: Watch = plan.moment.watch()
        self._wake = threading.Event()
        self._drive: HttpDrive | None = None
        self._client: Client | None = None
        self._inhand: InHand | None = None
        self._signal_s: float | None = None
        self._stop_s: float | None = None
        self._deadline_s: float | None = None
        self._window_over = False
        self._block_over = threading.Event()
        self._exit: Exit | None = None
        self._waiting_since_s = 0.0
        self._behind = ""  # "first" and "final" look at what the leader left behind
        self.last_sent_s = 0.0
        self._saved = False

    # ---- Hand: what a fault may do ---------------------------------------------------------------------------

    @property
    def profile(self) -> Profile:
        """The platform whose stop is played."""
        return self.plan.profile

    def now(self) -> float:
        """Seconds since the run began."""
        return self.recorder.now()

    def stop_action(self) -> float:
        """Start the clocks; returns the deadline."""
        profile = self.plan.profile
        self._stop_s = self.now()
        extra = 0.0 if profile.pre_stop_counts or isinstance(profile.pre_stop_s, str) else float(profile.pre_stop_s)
        self._deadline_s = self._stop_s + profile.grace_s + extra
        self.record("conductor", StopActionTaken(instance=self.plan.name, deadline_s=self._deadline_s))
        return self._deadline_s

    def pre_stop(self) -> None:
        """Wait the hook out, or run it; never past the deadline."""
        hook = self.plan.profile.pre_stop_s
        began_s, until_s = self.now(), self._deadline_s or self.now()
        code: int | None = None
        if isinstance(hook, str):
            code = self._pre_stop_command(hook, until_s - began_s)
        elif hook > 0:
            self.sleep_until(min(began_s + hook, until_s))
        else:
            return
        self.record("conductor", PreStopEnded(instance=self.plan.name, after_s=self.now() - began_s, code=code))

    def _pre_stop_command(self, command: str, most_s: float) -> int | None:
        instance = self._struck()
        env = {**os.environ, "PORT": str(instance.port or ""), "CHAOSKIT_PID": str(instance.pid)}
        filled = command.replace("{port}", str(instance.port or "")).replace("{host}", instance.host)
        try:
            done = subprocess.run(
                shlex.split(filled),
                env=env,
                timeout=max(0.01, most_s),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            self.note("pre_stop_overrun", f"the pre-stop command '{command}' was cut at the deadline")
            return None
        except OSError as error:
            raise DriverError(f"the pre-stop command '{command}' could not be run: {error.strerror}") from error
        return done.returncode

    def signal(self, name: str, to: str, reason: str, at_s: float | None = None) -> bool:
        """Look what is in hand, send, tell everybody."""
        instance = self._struck()
        first = self._signal_s is None
        if first and self._inhand is not None:
            self._inhand.at_signal()
        planned_s = at_s if at_s is not None else self.now()
        if self._gone():
            return False
        try:
            sent = instance.signal(number_of(name), to, None if at_s is None else self.recorder.epoch + at_s)
        except DriverError:
            if instance.wait(0.5) is not None:
                return False
            raise
        sent_s = self.recorder.on_clock(sent.sent_at)
        if first:
            self._signal_s = sent_s
        self.record(
            "conductor",
            SignalSent(
                instance=self.plan.name,
                signal=name,
                to=to,
                pids=sent.pids,
                planned_s=planned_s,
                sent_s=sent_s,
                late_s=sent_s - planned_s,
                reason=reason,
                path=sent.path,
            ),
        )
        if first:
            self._after_signal(sent_s)
        return True

    def sleep_until(self, at_s: float) -> bool:
        """Wait; True when the leader was gone before."""
        while (left_s := at_s - self.now()) > 0:
            if self._struck().wait(min(left_s, 0.1)) is not None:
                return True
        return self._gone()

    def kill_at(self, at_s: float) -> None:
        """The launcher keeps this deadline by itself, also when we are stalled."""
        self._struck().kill_at(self.recorder.epoch + at_s)

    # ---- steps -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Launch, wait for readiness, rehearse, begin to work."""
        plan = self.plan
        stop_listening = self.recorder.listen(self._heard)
        self._cleanups.append(stop_listening)
        self.record("conductor", self._planned())
        if oracle_name() is None:
            self.note("no_oracle", why_not())
        self._launch()
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
        plan.fault.strike(self)
        return True

    def settle(self) -> None:
        """Wait until everything that was at stake has ended, at most until 2 s past the deadline."""
        limits = self.plan.limits
        deadline_s = self._deadline_s if self._deadline_s is not None else self.now()
        end_s = deadline_s + limits.hung_s
        expired = False
        if not self.plan.fault.ends_process():
            end_s = self.now() + self.plan.profile.grace_s
        while self.now() < end_s:
            if not expired and self.now() >= deadline_s and self._struck().deadline() is not None:
                expired = True
                self._deadline_kill()
            if self._settled():
                break
            self._look_behind()
            self._wake.wait(TICK_S)
            self._wake.clear()
            self._check_trouble()
        if not expired and self._struck().deadline() is not None:
            self._deadline_kill()
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

    def record(self, observer: str, fact: AnyFact) -> Event:
        """Record one fact."""
        return self.recorder.record(observer, fact)

    def note(self, kind: str, message: str) -> None:
        """Record a note."""
        self.record("conductor", Noted(kind=kind, message=message))

    def _heard(self, event: Event) -> None:
        self._moment_watch.feed(event)
        if isinstance(event.fact, RequestSent) and event.fact.purpose == "work" and self._signal_s is None:
            self.last_sent_s = event.at_s
        if self._moment_watch.due_s() is not None:
            self._wake.set()

    def _struck(self) -> Instance:
        if self.instance is None:
            raise DriverError(f"'{self.plan.name}' is not running")
        return self.instance

    def _gone(self) -> bool:
        return self.instance is not None and self.instance.exit() is not None

    def _check_trouble(self) -> None:
        if self.recorder.trouble is not None:
            raise self.recorder.trouble
        if self._inhand is not None and self._inhand.trouble is not None:
            raise self._inhand.trouble

    def _planned(self) -> RunPlanned:
        plan, profile = self.plan, self.plan.profile
        hook = profile.pre_stop_s
        command = plan.system.command
        return RunPlanned(
            run=plan.run_dir.name,
            system=plan.name,
            command=command if isinstance(command, str) else shlex.join(str(each) for each in command),
            fault=plan.fault.kind,
            profile=ProfilePlanned(
                name=profile.name,
                signal=profile.signal,
                to=profile.to,
                grace_s=profile.grace_s,
                pre_stop_s=0.0 if isinstance(hook, str) else float(hook),
                pre_stop_counts=profile.pre_stop_counts,
                propagation_s=profile.propagation_s,
                pre_stop_command=hook if isinstance(hook, str) else None,
            ),
            workloads=_workloads(plan),
            moment=str(plan.moment),
            readiness=_readiness_path(plan.system if plan.via is None else plan.via),
            exit_code=plan.exit_code,
            budget_s=plan.budget_s,
            oracle=oracle_name(),
            loop=self.tools.loop.name,
            platform=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
            chaoskit=_version("chaoskit"),
            idle_close_share=plan.idle_close_share,
            test=plan.test,
        )

    def _launch(self) -> None:
        plan, tools = self.plan, self.tools
        self.tools.progress(f"{plan.name}: launch")
        for attempt in range(PORT_TRIES):
            instance = self._start(plan.system, plan.name, "struck")
            self.instance = instance
            if plan.fault.kind == "at_start":
                instance.on_exit(self._exited)
                return
            began_s = self.now()
            try:
                how = await_ready(
                    instance, plan.system.ready, timeout_s=plan.limits.ready_s, warm_up_s=plan.system.warm_up_s
                )
            except PortTaken:
                if attempt == PORT_TRIES - 1 or plan.system.port is not None:
                    raise
                instance.remove()
                continue
            self.record("driver", InstanceReady(instance=plan.name, after_s=self.now() - began_s, how=how))
            break
        struck = self._struck()
        tools.words[f"{plan.name}.port"] = str(struck.port)
        tools.words[f"{plan.name}.host"] = struck.host
        if struck.port is not None:
            tools.addresses[str(plan.system.address.token)] = f"http://{struck.host}:{struck.port}"
        struck.on_exit(self._exited)
        via = plan.via
        if via is not None and not isinstance(via, str) and via.address.token not in tools.addresses:
            front = self._start(via, via.name or "front", "front")
            tools.addresses[via.address.token] = front.url
            self._cleanups.append(lambda: tools.addresses.pop(via.address.token))  # the next run has a front of its own
            await_ready(front, via.ready, timeout_s=plan.limits.ready_s, warm_up_s=via.warm_up_s)

    def _start(self, system: object, name: str, role: str) -> Instance:
        plan, tools = self.plan, self.tools
        addresses, words = dict(tools.addresses), dict(tools.words)
        if tools.sink is not None:
            sink_port = tools.sink.open_port(name)
            sink = tools.sink
            self._cleanups.append(lambda: sink.close_port(name))
            sink_url = f"http://{tools.sink.host}:{sink_port}"
            addresses[tools.sink.address.token] = sink_url
            words["sink"] = sink_url
            tools.sink.report = lambda fact: self.record("sink", fact)
        launch = resolve(
            system,  # type: ignore[arg-type]
            name=name,
            root=plan.root,
            run_dir=plan.run_dir,
            addresses=addresses,
            words=words,
            extra_env={},
        )
        instance = tools.driver.launch(launch)
        self._cleanups.append(instance.remove)
        self.record(
            "driver",
            InstanceLaunched(
                instance=name,
                role=role,
                pid=instance.pid,
                command=instance.command,
                host=instance.host,
                port=instance.port,
                version=_version_of(launch.argv),
            ),
        )
        return instance

    def _endpoint(self) -> Endpoint:
        via, struck = self.plan.via, self._struck()
        url = struck.url
        if via is not None:
            url = via if isinstance(via, str) else self.tools.addresses[via.address.token]
        return endpoint_of(url)

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
            self._endpoint(),
            readiness=_readiness_path(self.plan.system if self.plan.via is None else self.plan.via),
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
        sink.gate.arm(most, "before", lambda: self._signal_s is None)
        self._cleanups.append(sink.gate.disarm)
        self._cleanups.append(sink.gate.release)

    def _release_s(self) -> float | None:
        chosen = [each.release_s for each in self.plan.workloads if each.release_s is not None]
        if "never" in chosen:
            return None
        signal_s, deadline_s = self._signal_s or 0.0, self._deadline_s or 0.0
        if chosen:
            return max(float(each) for each in chosen)
        rejects = any(each.disposition == "reject" for each in self.plan.workloads)
        return min(2.0 if rejects else 1.0, max(0.0, (deadline_s - signal_s) / 2))

    def _after_signal(self, signal_s: float) -> None:
        stop_s, deadline_s = self._stop_s or signal_s, self._deadline_s or signal_s
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
        if self.instance is not None and self._deadline_s is not None:
            with contextlib.suppress(DriverError):
                self.instance.kill_at(float("inf"))  # it left by itself: what it left behind is looked at, not killed
        self._wake.set()

    def _await_moment(self) -> float | None:
        plan = self.plan
        if plan.fault.kind == "at_start":
            at_s = self.now() + float(getattr(plan.fault, "after_s", 0.0))
            self.sleep_until(at_s)
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
        signal_s = self._signal_s
        held_open = client is not None and signal_s is not None and client.work_open_since(signal_s)
        propagation_s = self.plan.profile.propagation_s
        if not propagation_s and not held_open and drive is not None and not self._own_open():
            self._end_window()
        if propagation_s and self.now() >= (self._stop_s or 0.0) + propagation_s:
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

    def _deadline_kill(self) -> None:
        killed = self._struck().deadline()
        if killed is None or not killed.pids:
            return
        sent_s = self.recorder.on_clock(killed.sent_at)
        planned_s = self._deadline_s or sent_s
        self.record("conductor", GraceExpired(instance=self.plan.name))
        self.record(
            "driver",
            SignalSent(
                instance=self.plan.name,
                signal="SIGKILL",
                to="all",
                pids=killed.pids,
                planned_s=planned_s,
                sent_s=sent_s,
                late_s=sent_s - planned_s,
                reason="deadline",
                path=killed.path,
            ),
        )

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


def endpoint_of(url: str) -> Endpoint:
    """The endpoint of an http or https URL."""
    import ssl
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the shutdown is judged, not the server's identity
    host = parts.hostname or "127.0.0.1"
    return Endpoint(host, parts.port or (443 if context else 80), context, host if context else None, parts.netloc)


async def _give_up_all(client: Client) -> None:
    for request in list(client.open_requests()):
        client.give_up(request)


def _workloads(plan: Plan) -> tuple[WorkloadPlanned, ...]:
    made = [
        WorkloadPlanned(
            index=index,
            kind="requests",
            targets=tuple(str(target) for target in each.targets),
            disposition=each.disposition.value,
            clients=each.clients,
            hold_at_least=each.hold_at_least,
            rate=each.rate,
            new=None if each.new is None else str(each.new),
            expect=each.expect,
            idle=each.idle,
            silent=each.silent,
            via=each.via is not None,
        )
        for index, each in enumerate(plan.workloads)
    ]
    if plan.own:
        made.append(
            WorkloadPlanned(index=len(made), kind="own", targets=(), disposition="drain", clients=0, hold_at_least=1)
        )
    return tuple(made)


def _readiness_path(system: object) -> str | None:
    ready = getattr(system, "ready", None)
    return ready if isinstance(ready, str) and ready.startswith("/") else None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _version_of(argv: tuple[str, ...]) -> str | None:
    """`gunicorn 27.0.1` where the program is a script of an installed package."""
    name = Path(argv[0]).name
    if name.startswith("python") and len(argv) > 2 and argv[1] == "-m":  # noqa: PLR2004
        name = argv[2].split(".", maxsplit=1)[0]
    found = _version(name)
    return None if found == "unknown" else f"{name} {found}"


def _exited_early(name: str, instance: Instance) -> str:
    ended = instance.exit()
    how = (
        "ended"
        if ended is None
        else f"exited with {ended.code}"
        if ended.signal is None
        else f"was ended by {ended.signal}"
    )
    return f"'{name}' {how} before the strike, by itself. Full log: {instance.log}"


__all__ = ["Address", "Conductor", "Launched", "Mapping", "Tools", "endpoint_of", "run"]
