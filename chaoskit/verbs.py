"""The verbs that users write: terminate, kill, pause, strike, their -ing and awaitable forms, and the `Run` they give."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from chaoskit.beside import give_back, launch_ready
from chaoskit.blocks import Awaitables, Beside, RunBlock, refuse_running_loop
from chaoskit.downstream.server import SinkServer
from chaoskit.drivers.command import Command, refuse_in_process
from chaoskit.drivers.process import ProcessDriver
from chaoskit.drivers.sockets import oracle_name
from chaoskit.errors import StorageError, UsageError, near
from chaoskit.faults.base import Fault, Kill, Pause, Terminate
from chaoskit.moments import Elapsed, Held, Moment
from chaoskit.outcomes import Run, forget_unused
from chaoskit.plan import Limits, Plan
from chaoskit.profiles import Profile, by_name
from chaoskit.run import Conductor
from chaoskit.signals import name_of
from chaoskit.starting import Launched, Tools
from chaoskit.workloads.loop import LoopThread
from chaoskit.workloads.requests import Requests

REPLACEMENTS = ("when_gone", "before", "two")
OPTIONS = ("when", "profile", "grace_s", "signal", "to", "within_s", "exit_code", "replacement", "budget_s")
Slots = Callable[[], AbstractContextManager[object]]


def can(ability: str) -> bool:
    """Whether this machine can do something: `socket_oracle`, `uvloop`; for `skipif`."""
    abilities: dict[str, Callable[[], bool]] = {
        "socket_oracle": lambda: oracle_name() is not None,
        "uvloop": _has_uvloop,
    }
    if ability not in abilities:
        raise UsageError(
            f"can('{ability}') asks for an unknown ability{near(ability, abilities)}: {', '.join(abilities)}"
        )
    return abilities[ability]()


def _has_uvloop() -> bool:
    import importlib.util

    return importlib.util.find_spec("uvloop") is not None


class Harness:
    """What the fixture `chaos` and the command line give: one test's worth of runs."""

    def __init__(  # noqa: PLR0913 - what a host of the verbs may choose, all keywords
        self,
        *,
        run_dir: Path,
        root: Path,
        sink_server: SinkServer | None = None,
        settings: Mapping[str, Any] | None = None,
        driver: str = "process",
        test: str | None = None,
        replay: Path | None = None,
        progress: Callable[[str], None] | None = None,
        slots: Slots | None = None,
        names: Callable[[Command], str | None] | None = None,
        again: Callable[[Path], str] | None = None,
        suffix: str = "",
        close_share: float = 0.8,
    ) -> None:
        if driver != "process":
            raise UsageError(f"driver '{driver}' is not there{near(driver, ['process'])}: this release has 'process'")
        self.root = root
        self.runs: list[Run] = []
        self.folders: list[Path] = []  # of every run, also one that failed, and of what ran beside
        self.aio = Awaitables(self)
        self._run_dir = run_dir
        self._settings = dict(settings or {})
        self._test = test
        self._replay = replay
        self._slots = slots or contextlib.nullcontext
        self._names = names or (lambda _system: None)
        self._again = again
        self._suffix = suffix
        self._close_share = close_share
        self._sink = sink_server
        self._loop: LoopThread | None = None
        self._tools: Tools | None = None
        self._progress = progress or (lambda _text: None)
        self._entered: list[RunBlock] = []

    # ---- verbs -----------------------------------------------------------------------------------------------

    def terminate(self, system: Command, during: Any = None, **options: Any) -> Run:
        """Stop it as the platform does: pre-stop, signal, SIGKILL at the deadline."""
        return self._plain(system, during, Terminate(), options)

    def kill(self, system: Command, during: Any = None, **options: Any) -> Run:
        """SIGKILL without a warning."""
        return self._plain(system, during, Kill(), options)

    def pause(self, system: Command, during: Any = None, *, for_s: float = 1.0, **options: Any) -> Run:
        """SIGSTOP, and SIGCONT `for_s` seconds later."""
        return self._plain(system, during, Pause(for_s), options)

    def strike(self, system: Command, during: Any = None, *, fault: Fault | None = None, **options: Any) -> Run:
        """Any fault of `chaoskit.faults`; without one, terminate."""
        return self._plain(system, during, fault or Terminate(), options)

    def terminating(self, system: Command, during: Any = None, **options: Any) -> RunBlock:
        """As terminate, while the with block runs."""
        return self._block(system, during, Terminate(), options)

    def killing(self, system: Command, during: Any = None, **options: Any) -> RunBlock:
        """As kill, while the with block runs."""
        return self._block(system, during, Kill(), options)

    def pausing(self, system: Command, during: Any = None, *, for_s: float = 1.0, **options: Any) -> RunBlock:
        """As pause, while the with block runs."""
        return self._block(system, during, Pause(for_s), options)

    def striking(self, system: Command, during: Any = None, *, fault: Fault | None = None, **options: Any) -> RunBlock:
        """As strike, while the with block runs."""
        return self._block(system, during, fault or Terminate(), options)

    def launch(self, system: Command) -> Beside:
        """Run a system beside the struck one until the test is over."""
        refuse_in_process(system)
        tools = self._ready_tools()
        name = self.name_of(system)
        addresses, words = self._addresses(name), self._words(name)
        directory = self._folder(f"beside-{name}")
        try:
            instance = launch_ready(
                tools,
                system,
                name=name,
                root=self.root,
                run_dir=directory,
                addresses=addresses,
                words=words,
                ready_s=Limits().ready_s,
            )
        except BaseException:
            forget_unused(directory)
            raise
        tools.beside.append(Launched(name, instance, system.address.token))
        if instance.port is not None:
            tools.addresses[system.address.token] = instance.url
            tools.words[f"{name}.port"] = str(instance.port)
            tools.words[f"{name}.host"] = instance.host
        return Beside(name, instance, system)

    def close(self) -> None:
        """End everything that the test started; idempotent, never raises."""
        for block in self._entered:
            block.abandon()
            forget_unused(block.run.dir)
        if self._tools is not None:
            for each in reversed(self._tools.beside):
                each.instance.remove()
            self._tools.beside.clear()
            give_back(self._tools)
        if self._loop is not None:
            self._loop.close()
            self._loop = None
        self._tools = None

    def unverified(self) -> list[Run]:
        """Runs that nobody looked at."""
        return [each for each in self.runs if not each.looked_at]

    def unentered(self) -> list[str]:
        """The -ing verbs whose block was made and never entered."""
        return [each.verb for each in self._entered if not each.entered]

    def name_of(self, system: Command) -> str:
        """`name=`, else the fixture that made it, else the program."""
        return system.name or self._names(system) or system.program

    # ---- pieces ----------------------------------------------------------------------------------------------

    def _plain(self, system: Command, during: Any, fault: Fault, options: dict[str, Any]) -> Run:
        refuse_running_loop(fault.kind)
        _known(fault.kind, options)
        plan = self.plan(system, during, fault, own=False, **options)
        with self._slots():
            run = self._conduct(plan)
            if _disturbed(run):  # EXPERIENCE, section 10: a plain verb repeats a disturbed run once
                self.runs.remove(run)
                run = self._conduct(dataclasses.replace(plan, run_dir=self._folder(plan.name)))
        return run

    def new_run(self, plan: Plan) -> Run:
        """The run that a plan is going to fill."""
        run = Run(plan.run_dir, plan.name, self._again(plan.run_dir) if self._again else None)
        run.unknown = self._settings.get("unknown", "fail")
        return run

    def _conduct(self, plan: Plan) -> Run:
        run = self.new_run(plan)
        conductor = Conductor(plan, self._ready_tools())
        try:
            conductor.begin()
            run.url = conductor.instance.url if conductor.instance is not None else ""
            struck = conductor.strike()
            if struck:
                conductor.settle()
            history = conductor.finish("judged" if struck else "missed")
        except BaseException:
            conductor.abort()
            forget_unused(plan.run_dir)
            raise
        self.runs.append(run)
        run.finished(history)
        return run

    def _block(self, system: Command, during: Any, fault: Fault, options: dict[str, Any]) -> RunBlock:
        _known(fault.kind, options)
        plan = self.plan(system, during, fault, own=True, **options)
        block = RunBlock(self, plan)
        self._entered.append(block)
        return block

    def plan(  # noqa: PLR0913 - the keywords of all verbs, checked in one place
        self,
        system: Command,
        during: Any,
        fault: Fault,
        *,
        own: bool,
        when: Moment | None = None,
        profile: Profile | str | None = None,
        grace_s: float | None = None,
        signal: str | int | None = None,
        to: str | None = None,
        within_s: float = 30,
        exit_code: int | None = None,
        replacement: str = "when_gone",  # jobs need it; web runs have nothing to redeliver
        budget_s: float | None = None,
    ) -> Plan:
        """The plan of one call: call > settings (marker, options) > default."""
        refuse_in_process(system)
        name = self.name_of(system)
        chosen = self.profile(profile, grace_s=grace_s, signal=signal, to=to)
        _above_zero(within_s=within_s, budget_s=budget_s)
        if replacement not in REPLACEMENTS:
            raise UsageError(f"replacement={replacement!r}: expected one of {', '.join(REPLACEMENTS)}")
        if exit_code is not None and (isinstance(exit_code, bool) or not isinstance(exit_code, int)):
            raise UsageError(f"exit_code={exit_code!r}: expected a whole number such as 0")
        if when is not None and not isinstance(when, Moment):
            raise UsageError(f"when={when!r} is no moment: expected one of chaoskit.moments, such as held(2)")
        replay_s = self._replayed_after_s()
        moment = when or Held()
        if replay_s is not None:
            moment = Elapsed(replay_s) & moment if isinstance(moment, Held) else Elapsed(replay_s)
        made = Plan(
            system=system,
            name=name,
            workloads=_requests(during),
            profile=chosen,
            fault=fault,
            moment=moment,
            limits=Limits(moment_s=within_s),
            exit_code=exit_code,
            budget_s=budget_s,
            own=own,
            root=self.root,
            run_dir=self._run_dir,
            test=self._test,
            replay_after_s=replay_s,
            idle_close_share=self._close_share,
        )
        return dataclasses.replace(made, run_dir=self._folder(name))  # a plan that is refused leaves no folder

    def profile(
        self,
        profile: Profile | str | None = None,
        *,
        grace_s: float | None = None,
        signal: str | int | None = None,
        to: str | None = None,
    ) -> Profile:
        """The profile of a call, with what the call or the settings change in it."""
        forced = self._settings.get("force_profile")
        if forced is not None:
            return by_name(forced, self.root) if isinstance(forced, str) else forced
        given = self._settings.get("profile") if profile is None else profile
        chosen = by_name(given or "process", self.root) if given is None or isinstance(given, str) else given
        if not isinstance(chosen, Profile):
            raise UsageError(f"profile={given!r} is no profile: expected a name or one of chaoskit.profiles")
        changes: dict[str, Any] = {}
        for key, value in (("grace_s", grace_s), ("signal", signal), ("to", to)):
            setting = self._settings.get(key) if value is None and profile is None else value
            if setting is not None:
                changes[key] = name_of(str(setting)) if key == "signal" else setting
        if changes.get("to") not in (None, "leader", "group", "all"):
            raise UsageError(
                f"to={changes['to']!r}{near(str(changes['to']), ['leader', 'group', 'all'])}: expected leader, group or all"
            )
        return dataclasses.replace(chosen, **changes) if changes else chosen

    def _replayed_after_s(self) -> float | None:
        if self._replay is None:
            return None
        from chaoskit.history.facts import MomentReached
        from chaoskit.history.journal import load

        for event in load(self._replay):
            if isinstance(event.fact, MomentReached):
                return event.fact.after_s
        raise UsageError(f"'{self._replay}' cannot be replayed: its run struck nothing")

    def _ready_tools(self) -> Tools:
        if self._tools is None:
            self._loop = LoopThread().start()
            self._tools = Tools(driver=ProcessDriver(), loop=self._loop, sink=self._sink, progress=self._progress)
        return self._tools

    def _addresses(self, name: str) -> dict[str, str]:
        tools = self._ready_tools()
        found = dict(tools.addresses)
        if tools.sink is not None:
            found[tools.sink.address.token] = f"http://{tools.sink.host}:{tools.sink.open_port(name)}"
        return found

    def _words(self, name: str) -> dict[str, str]:
        tools = self._ready_tools()
        words = dict(tools.words)
        if tools.sink is not None:
            words["sink"] = f"http://{tools.sink.host}:{tools.sink.open_port(name)}"
        return words

    def _folder(self, name: str) -> Path:
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        slug = _slug(self._test.rsplit("::", 1)[-1] if self._test else name)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        for _ in range(100):
            parts = [
                stamp,
                slug,
                *([worker] if worker else []),
                *([self._suffix] if self._suffix else []),
                os.urandom(2).hex(),
            ]
            folder = self._run_dir / "-".join(parts)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise StorageError(
                    f"the run folder '{folder}' could not be made: {error.strerror}. "
                    "Choose another with --dir (pytest: --chaos-dir)"
                ) from error
            self.folders.append(folder)
            return folder
        raise StorageError(f"no free name for a run folder in '{self._run_dir}'")


def _known(verb: str, options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f"chaos.{verb}(...) has no {name}={near(name, OPTIONS)}. It has: {', '.join(OPTIONS)}")


def _above_zero(**values: Any) -> None:
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
            raise UsageError(f"{name}={value!r}: expected seconds above 0")


def _requests(during: Any) -> tuple[Requests, ...]:
    if during is None:
        return ()
    items = list(during) if isinstance(during, Sequence) and not isinstance(during, str) else [during]
    for each in items:
        if not isinstance(each, Requests):
            raise UsageError(f"during={each!r} is no workload: expected Requests('GET /path') or a list of them")
    return tuple(items)


def _disturbed(run: Run) -> bool:
    return any(each.check == "struck" and any(f.kind == "disturbed" for f in each.findings) for each in run.verdicts)


def _slug(text: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in text).strip("-") or "run"
    return kept if len(kept) <= 80 else f"{kept[:50]}-{kept[-29:]}"  # noqa: PLR2004 - well under 255 bytes a name


__all__ = ["Beside", "Harness", "Run", "RunBlock", "can"]
