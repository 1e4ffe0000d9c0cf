"""Waiting until a system is ready, racing its end."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from chaoskit.drivers.base import Exit, Instance
from chaoskit.drivers.command import Ready
from chaoskit.errors import LaunchError, NotReady, UsageError

EVERY_S = 0.02
GOOD_ANSWERS = 2  # EXPERIENCE: a path is ready with two good answers; one may come from a process about to fork
TAIL_LINES = 30
TAIL_BYTES = 8192
PIECE_BYTES = 1 << 16
_IN_USE = re.compile(
    r"address (is )?already in use|addrinuse|port \d+ (is|was) (already )?in use|connection in use", re.IGNORECASE
)


class PortTaken(LaunchError):
    """The system met 'address in use': another port may do."""


def await_ready(instance: Instance, ready: Ready, *, timeout_s: float, warm_up_s: float = 0) -> str:
    """Wait until `instance` is ready, and `warm_up_s` longer; returns how that was known.

    Raises:
        PortTaken: it ended, and its log says that the address is in use.
        LaunchError: it ended before.
        NotReady: the time is up.
        UsageError: it has no port on which it could be asked.
    """
    began = time.monotonic()
    last = "nothing was tried yet"
    good = 0
    how = _words(ready)
    _race(instance)
    ask = _question(instance, ready)
    while True:
        _race(instance)
        ok, last = ask()
        good = good + 1 if ok else 0
        if good >= (GOOD_ANSWERS if isinstance(ready, str) and ready.startswith("/") else 1):
            break
        if time.monotonic() - began > timeout_s:
            raise NotReady(
                f"'{instance.name}' was not ready after {timeout_s:g} s: {how} gave: {last}.{_elsewhere(instance)} "
                f"It wrote: {tail(instance.log)} Full log: {instance.log}"
            )
        if instance.wait(0 if ok else EVERY_S) is not None:
            _race(instance)
    if warm_up_s and instance.wait(warm_up_s) is not None:
        _race(instance)
    _race(instance)
    return how


def _elsewhere(instance: Instance) -> str:
    """Where it listens instead: a program that does not know the port it was given is the usual reason."""
    import psutil  # only for this error

    found: set[str] = set()
    for pid, _ in instance.tree():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            links = getattr(process, "net_connections", None) or process.connections  # psutil 6 renamed it
            for each in links(kind="tcp"):
                if each.status == psutil.CONN_LISTEN:
                    host = f"[{each.laddr.ip}]" if ":" in each.laddr.ip else each.laddr.ip
                    found.add(f"{host}:{each.laddr.port}")
    others = found - {f"{host}:{instance.port}" for host in (instance.host, "0.0.0.0", "[::]")}  # noqa: S104 - named only
    if not others:
        return ""
    given = "it was given no port" if instance.port is None else f"it was given {instance.host}:{instance.port}"
    return f" It listens on {', '.join(sorted(others))}, but {given}: use {{host}} and {{port}} in its command."


def _words(ready: Ready) -> str:
    if ready is None:
        return "no readiness was asked for"
    if callable(ready):
        return "a callable"
    return f"GET {ready}" if ready.startswith("/") else ready


def _race(instance: Instance) -> None:
    ended = instance.exit()
    if ended is None:
        return
    text = tail(instance.log)
    error = PortTaken if _IN_USE.search(text) else LaunchError
    raise error(f"'{instance.name}' {how_ended(ended)} before it was ready. It wrote: {text} Full log: {instance.log}")


def how_ended(ended: Exit) -> str:
    """`exited with 1` or `was ended by SIGKILL`."""
    return f"exited with {ended.code}" if ended.signal is None else f"was ended by {ended.signal}"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, at most 8 KiB, indented below a line break; `(nothing)` where it is empty."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read(TAIL_BYTES).decode(errors="replace")
    except OSError:
        return "(nothing)"
    kept = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return "\n" + "\n".join(f"    {line}" for line in kept) + "\n" if kept else "(nothing)"


def _question(instance: Instance, ready: Ready) -> Callable[[], tuple[bool, str]]:
    """Asks once: (ready, what was answered)."""
    if ready is None:
        return lambda: (True, "")
    if callable(ready):
        return lambda: _called(ready, instance)
    if ready.startswith("log:"):
        line = _LogLine(instance.log, ready.removeprefix("log:"))
        return lambda: (line.seen(), f"no line with '{ready.removeprefix('log:')}' in its log")
    if instance.port is None:
        raise UsageError(
            f"'{instance.name}' has no port, and ready={ready!r} asks on one: use {{port}} in its command, environment or "
            "files, or give port=; one that listens nowhere is ready by ready='log:TEXT' or ready=None"
        )
    return lambda: _tcp(instance) if ready == "tcp" else _get(instance, ready)


def _called(ready: Callable[[str], bool], instance: Instance) -> tuple[bool, str]:
    try:
        answer = ready(instance.url if instance.port is not None else "")
    except Exception as error:  # noqa: BLE001 - a client that cannot connect yet raises whatever it likes
        return False, f"the callable raised {type(error).__name__}: {error}"
    return bool(answer), f"the callable returned {answer!r}"


class _LogLine:
    """Whether a text has been written: every look reads only what is new."""

    def __init__(self, log: Path, text: str) -> None:
        self._log = log
        self._wanted = text.encode()
        self._read = 0
        self._rest = b""

    def seen(self) -> bool:
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                while piece := file.read(PIECE_BYTES):
                    self._read += len(piece)
                    if self._wanted in self._rest + piece:
                        return True
                    self._rest = (self._rest + piece)[-len(self._wanted) :]
        except OSError:
            pass
        return False


def _tcp(instance: Instance) -> tuple[bool, str]:
    try:
        with socket.create_connection((instance.host, instance.port), timeout=1) as link:
            if link.getsockname() == link.getpeername():  # a free port of the ephemeral range may connect to itself
                return False, f"port {instance.port}: nobody listens"
            return True, "connected"
    except OSError as error:
        return False, f"port {instance.port}: {error.strerror or error}"


def _get(instance: Instance, path: str) -> tuple[bool, str]:
    link = http.client.HTTPConnection(instance.host, instance.port, timeout=2)
    try:
        link.request("GET", path, headers={"Connection": "close"})
        answer = link.getresponse()
        status = answer.status
        answer.read(PIECE_BYTES)  # a close with unread bytes is a reset, and a line of noise in many a log
    except (OSError, http.client.HTTPException) as error:
        return False, f"{type(error).__name__}: {error}"
    finally:
        link.close()
    return 200 <= status < 400, f"status {status}"  # noqa: PLR2004 - RFC 9110: success and redirection
