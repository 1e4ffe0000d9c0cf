"""Free ports for systems that bind by themselves: outside the kernel's ephemeral range, reserved by a lock file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from chaoskit.errors import DriverError, LaunchError

FIRST, LAST = 20_000, 32_000  # below Linux' default ephemeral range (32768-60999); macOS' begins at 49152
_held: dict[int, int] = {}  # port -> lock file descriptor, kept open as long as the port is ours
_kept: set[int] = set()  # ports that outlive their instance: others were told of them
_fixed: dict[int, int] = {}  # port that a user fixed -> instances of ours that use it (a successor may share it)


def ephemeral_range() -> tuple[int, int]:
    """The range from which the kernel picks ports for outgoing connections."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 49_152, 65_535


def pick(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on and that no other chaoskit on this machine was given.

    Raises:
        DriverError: none is free.
    """
    low, high = ephemeral_range()
    folder = Path(tempfile.gettempdir()) / f"chaoskit-ports-{os.getuid()}"
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise DriverError(f"ports could not be reserved in '{folder}': {error.strerror}") from error
    ports = [port for port in range(FIRST, LAST) if not low <= port <= high]
    for port in random.sample(ports, len(ports)):
        if port in _held or not _reserve(folder / str(port), port):
            continue
        if _is_free(host, port):
            return port
        release(port)
    raise DriverError(f"no free port between {FIRST} and {LAST} on {host}")


def claim(name: str, host: str, port: int) -> None:
    """Before a system is started on `port`: where a stranger listens there, it would be struck and judged instead.

    Raises:
        LaunchError: somebody who is not ours listens there.
    """
    if port in _held:
        return
    if not _fixed.get(port) and _answers(host, port):
        raise LaunchError(
            f"'{name}' could not be started: its port {port} is in use already by {_owner(port)}. Stop that one, or use "
            "{port} in the command instead of a fixed port (tests that run in parallel need it)"
        )
    _fixed[port] = _fixed.get(port, 0) + 1


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _owner(port: int) -> str:
    import psutil  # only for this error

    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections(kind="tcp"):
            if each.status == psutil.CONN_LISTEN and each.pid and each.laddr and each.laddr.port == port:
                return f"'{psutil.Process(each.pid).name()}' (pid {each.pid})"
    return "another process"


def keep(host: str = "127.0.0.1") -> int:
    """A port as of `pick`, ours until `give_back`, however often an instance comes and goes on it."""
    port = pick(host)
    _kept.add(port)
    return port


def give_back(port: int) -> None:
    """End what `keep` began."""
    _kept.discard(port)
    release(port)


def release(port: int) -> None:
    """Give a port back, unless it is kept."""
    if port in _kept:
        return
    if _fixed.get(port):
        _fixed[port] -= 1
    descriptor = _held.pop(port, None)
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _reserve(path: Path, port: int) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _held[port] = descriptor
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
