"""Starts what a run needs: the struck system, the front before it, a sink port for each."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chaoskit.beside import promised_port
from chaoskit.downstream.server import SinkServer
from chaoskit.drivers.base import Driver, Exit, Instance
from chaoskit.drivers.command import Command
from chaoskit.drivers.placeholders import resolve
from chaoskit.drivers.readiness import PortTaken, await_ready
from chaoskit.history.facts import InstanceLaunched, InstanceReady
from chaoskit.history.recorder import Recorder
from chaoskit.plan import Plan
from chaoskit.planned import version_of
from chaoskit.workloads.client import Endpoint
from chaoskit.workloads.loop import LoopThread

PORT_TRIES = 3


@dataclass(frozen=True, slots=True)
class Launched:
    """An instance that runs beside the struck one, for the whole test."""

    name: str
    instance: Instance
    token: str  # of its system's reference


@dataclass(slots=True)
class Tools:
    """What a run needs and does not own: all of it outlives the run."""

    driver: Driver
    loop: LoopThread
    sink: SinkServer | None = None
    beside: list[Launched] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)  # by name or reference: promised before their systems ran
    progress: Callable[[str], None] = lambda _text: None


class Starter:
    """Starts instances for one run; `cleanups` gets what undoes each step."""

    def __init__(self, plan: Plan, tools: Tools, recorder: Recorder, cleanups: list[Callable[[], object]]) -> None:
        self._plan = plan
        self._tools = tools
        self._recorder = recorder
        self._cleanups = cleanups

    def launch(self, on_exit: Callable[[Exit], None]) -> Instance:
        """Start the struck system, and the front before it; ready, unless the fault comes during start-up."""
        plan, tools = self._plan, self._tools
        tools.progress(f"{plan.name}: launch")
        for attempt in range(PORT_TRIES):
            instance = self._start(plan.system, plan.name, "struck")
            if plan.fault.kind == "at_start":
                instance.on_exit(on_exit)
                return instance
            began_s = self._recorder.now()
            try:
                how = await_ready(
                    instance, plan.system.ready, timeout_s=plan.limits.ready_s, warm_up_s=plan.system.warm_up_s
                )
            except PortTaken:
                if attempt == PORT_TRIES - 1 or plan.system.port is not None or instance.port in tools.ports.values():
                    raise
                instance.remove()
                continue
            self._recorder.record(
                "driver", InstanceReady(instance=plan.name, after_s=self._recorder.now() - began_s, how=how)
            )
            break
        struck = instance
        tools.words[f"{plan.name}.port"] = str(struck.port)
        tools.words[f"{plan.name}.host"] = struck.host
        if struck.port is not None:
            tools.addresses[str(plan.system.address.token)] = f"http://{struck.host}:{struck.port}"
        struck.on_exit(on_exit)
        via = plan.via
        if via is not None and not isinstance(via, str) and via.address.token not in tools.addresses:
            front = self._start(via, via.name or "front", "front")
            tools.addresses[via.address.token] = front.url
            self._cleanups.append(lambda: tools.addresses.pop(via.address.token))  # the next run has a front of its own
            await_ready(front, via.ready, timeout_s=plan.limits.ready_s, warm_up_s=via.warm_up_s)
        elif via is not None and not isinstance(via, str):
            for each in tools.beside:
                if each.token == via.address.token:  # its path may need what lies behind it: asked now
                    await_ready(each.instance, via.ready, timeout_s=plan.limits.ready_s)
        return struck

    def _start(self, system: Command, name: str, role: str) -> Instance:
        plan, tools = self._plan, self._tools
        addresses, words = dict(tools.addresses), dict(tools.words)
        if tools.sink is not None:
            sink_port = tools.sink.open_port(name)
            sink = tools.sink
            self._cleanups.append(lambda: sink.close_port(name))
            sink_url = f"http://{tools.sink.host}:{sink_port}"
            addresses[tools.sink.address.token] = sink_url
            words["sink"] = sink_url
            tools.sink.report = lambda fact: self._recorder.record("sink", fact)
        launch = resolve(
            system,
            name=name,
            root=plan.root,
            run_dir=plan.run_dir,
            addresses=addresses,
            words=words,
            extra_env={},
            reserved=promised_port(tools, system, name),
        )
        instance = tools.driver.launch(launch)
        self._cleanups.append(instance.remove)
        self._recorder.record(
            "driver",
            InstanceLaunched(
                instance=name,
                role=role,
                pid=instance.pid,
                command=instance.command,
                host=instance.host,
                port=instance.port,
                version=version_of(launch.argv),
            ),
        )
        return instance

    def endpoint(self, struck: Instance) -> Endpoint:
        """Where requests go: to the front where there is one."""
        via = self._plan.via
        url = struck.url
        if via is not None:
            url = via if isinstance(via, str) else self._tools.addresses[via.address.token]
        return endpoint_of(url)


def endpoint_of(url: str) -> Endpoint:
    """The endpoint of an http or https URL."""
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the shutdown is judged, not the server's identity
    host = parts.hostname or "127.0.0.1"
    return Endpoint(host, parts.port or (443 if context else 80), context, host if context else None, parts.netloc)
