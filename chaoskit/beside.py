"""What runs beside the struck system for a whole test, and the ports that it was told before their owners ran."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from chaoskit.drivers import ports
from chaoskit.drivers.base import Instance
from chaoskit.drivers.command import Command
from chaoskit.drivers.placeholders import foreign, resolve
from chaoskit.drivers.readiness import PortTaken, await_ready
from chaoskit.errors import UsageError, near

if TYPE_CHECKING:
    from chaoskit.starting import Tools

HOST = "127.0.0.1"
PORT_TRIES = 3


def promise_ports(tools: Tools, system: Command, root: Path, words: Mapping[str, str]) -> bool:
    """Reserve a port for each system that `system` names and that does not run yet; whether there was one.

    A front is launched before the system behind it is struck, so it has to be told an address first.
    """
    names, tokens = foreign(system, root)
    for name in names:
        if f"{name}.port" in words or near(f"{name}.port", words):  # a near miss is told where words are filled in
            continue
        port = tools.ports[name] = ports.keep(HOST)
        tools.words |= {f"{name}.port": str(port), f"{name}.host": HOST}
    sink = None if tools.sink is None else tools.sink.address.token
    for token in tokens - set(tools.addresses) - {sink}:
        port = tools.ports[token] = ports.keep(HOST)
        tools.addresses[token] = f"http://{HOST}:{port}"
    running = {each.name for each in tools.beside} | {each.token for each in tools.beside}
    return bool((names | tokens) & set(tools.ports) - running)


def promised_port(tools: Tools, system: Command, name: str) -> int | None:
    """The port that others were told `system` would have.

    Raises:
        UsageError: the others were told something that will not be true.
    """
    for told in tools.ports:
        if not told.startswith("http") and told != name and (hint := near(told, [name])):
            raise UsageError(f"a system was launched with {{{told}.port}} in it, but there is no '{told}'{hint}")
    by_name, by_token = tools.ports.get(name), tools.ports.get(system.address.token)
    port = by_name if by_token is None else by_token
    if system.port is not None and port is not None:
        raise UsageError(
            f"'{name}' has the fixed port {system.port}, and what was launched before it cannot know that: write the port "
            f"there too, or use {{port}} in the command of '{name}'"
        )
    if by_name is not None and by_token is not None and by_name != by_token:
        raise UsageError(f"'{name}' was named both as {{{name}.port}} and by its reference: use one of the two")
    return port


def give_back(tools: Tools) -> None:
    """The test is over: nobody relies on these ports any more."""
    for port in tools.ports.values():
        ports.give_back(port)
    tools.ports.clear()


def launch_ready(  # noqa: PLR0913 - as `resolve`
    tools: Tools,
    system: Command,
    *,
    name: str,
    root: Path,
    run_dir: Path,
    addresses: Mapping[str, str],
    words: Mapping[str, str],
    ready_s: float,
) -> Instance:
    """Start one beside the struck system and wait until it is ready."""
    early = promise_ports(tools, system, root, words)
    reserved = promised_port(tools, system, name)
    for attempt in range(PORT_TRIES):
        launch = resolve(
            system,
            name=name,
            root=root,
            run_dir=run_dir,
            addresses={**tools.addresses, **addresses},
            words={**tools.words, **words},
            extra_env={},
            reserved=reserved,
        )
        instance = tools.driver.launch(launch)
        try:
            # What lies behind it may not run yet, so a path cannot answer: the run asks for it again before it strikes.
            ready = "tcp" if early and isinstance(system.ready, str) and system.ready.startswith("/") else system.ready
            await_ready(instance, ready, timeout_s=ready_s, warm_up_s=system.warm_up_s)
        except PortTaken:
            instance.remove()
            if attempt == PORT_TRIES - 1 or launch.port in (system.port, reserved):
                raise
        except BaseException:
            instance.remove()
            raise
        else:
            return instance
    raise AssertionError("unreachable")
