"""Free ports for systems that bind by themselves: outside the kernel's ephemeral range, reserved by a lock file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from chaoskit.errors import DriverError

FIRST, LAST = 20_000, 32_000  # below Linux' default ephemeral range (32768-60999); macOS' begins at 49152
_held: dict[int, int] = {}  # port -> lock file descriptor, kept open as long as the port is ours


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


def release(port: int) -> None:
    """Give a port back."""
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
