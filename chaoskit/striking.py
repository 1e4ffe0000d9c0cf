"""The hand that strikes: stop action, pre-stop hook, signals and deadline of one instance, each a fact."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from chaoskit.drivers.base import Instance
from chaoskit.errors import DriverError
from chaoskit.history.facts import GraceExpired, Noted, PreStopEnded, SignalSent, StopActionTaken
from chaoskit.history.recorder import Recorder
from chaoskit.plan import Plan
from chaoskit.profiles import Profile
from chaoskit.signals import number_of


@dataclass(slots=True)
class Times:
    """Stop action, first signal and deadline on the run's clock; None until they are known."""

    stop_s: float | None = None
    signal_s: float | None = None
    deadline_s: float | None = None


class StrikingHand:
    """What a fault may do (`faults.base.Hand`)."""

    def __init__(
        self,
        plan: Plan,
        instance: Instance,
        recorder: Recorder,
        times: Times,
        *,
        before_signal: Callable[[], None],
        after_signal: Callable[[float], None],
    ) -> None:
        self._plan = plan
        self._instance = instance
        self._recorder = recorder
        self._before_signal = before_signal
        self._after_signal = after_signal
        self._times = times

    @property
    def profile(self) -> Profile:
        """The platform whose stop is played."""
        return self._plan.profile

    def now(self) -> float:
        """Seconds since the run began."""
        return self._recorder.now()

    def stop_action(self) -> float:
        """Start the clocks; returns the deadline."""
        profile = self._plan.profile
        self._times.stop_s = self.now()
        extra = 0.0 if profile.pre_stop_counts or isinstance(profile.pre_stop_s, str) else float(profile.pre_stop_s)
        self._times.deadline_s = self._times.stop_s + profile.grace_s + extra
        self._recorder.record("conductor", StopActionTaken(instance=self._plan.name, deadline_s=self._times.deadline_s))
        return self._times.deadline_s

    def pre_stop(self) -> None:
        """Wait the hook out, or run it; never past the deadline."""
        hook = self._plan.profile.pre_stop_s
        began_s, until_s = self.now(), self._times.deadline_s or self.now()
        code: int | None = None
        if isinstance(hook, str):
            code = self._pre_stop_command(hook, until_s - began_s)
        elif hook > 0:
            self.sleep_until(min(began_s + hook, until_s))
        else:
            return
        self._recorder.record(
            "conductor", PreStopEnded(instance=self._plan.name, after_s=self.now() - began_s, code=code)
        )

    def _pre_stop_command(self, command: str, most_s: float) -> int | None:
        instance = self._instance
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
            self._note("pre_stop_overrun", f"the pre-stop command '{command}' was cut at the deadline")
            return None
        except OSError as error:
            raise DriverError(f"the pre-stop command '{command}' could not be run: {error.strerror}") from error
        return done.returncode

    def signal(self, name: str, to: str, reason: str, at_s: float | None = None) -> bool:
        """Look what is in hand, send, tell everybody."""
        instance = self._instance
        first = self._times.signal_s is None
        if first:
            self._before_signal()
        planned_s = at_s if at_s is not None else self.now()
        if self.gone():
            return False
        try:
            sent = instance.signal(number_of(name), to, None if at_s is None else self._recorder.epoch + at_s)
        except DriverError:
            if instance.wait(0.5) is not None:
                return False
            raise
        sent_s = self._recorder.on_clock(sent.sent_at)
        if first:
            self._times.signal_s = sent_s
        self._recorder.record(
            "conductor",
            SignalSent(
                instance=self._plan.name,
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
            if self._instance.wait(min(left_s, 0.1)) is not None:
                return True
        return self.gone()

    def kill_at(self, at_s: float) -> None:
        """The launcher keeps this deadline by itself, also when we are stalled."""
        self._instance.kill_at(self._recorder.epoch + at_s)

    def gone(self) -> bool:
        """Whether the leader has ended."""
        return self._instance.exit() is not None

    def deadline_kill(self) -> None:
        """Record what the launcher did at the deadline, once it did."""
        killed = self._instance.deadline()
        if killed is None or not killed.pids:
            return
        sent_s = self._recorder.on_clock(killed.sent_at)
        planned_s = self._times.deadline_s or sent_s
        self._recorder.record("conductor", GraceExpired(instance=self._plan.name))
        self._recorder.record(
            "driver",
            SignalSent(
                instance=self._plan.name,
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

    def _note(self, kind: str, message: str) -> None:
        self._recorder.record("conductor", Noted(kind=kind, message=message))
