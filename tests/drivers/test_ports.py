"""Ports are free, ours alone on this machine, and not the kernel's to give away."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chaoskit.drivers import ports
from chaoskit.errors import DriverError, LaunchError


def test_a_port_is_free_and_outside_the_ephemeral_range() -> None:
    low, high = ports.ephemeral_range()
    port = ports.pick()
    try:
        assert not low <= port <= high
        with socket.socket() as server:  # without SO_REUSEADDR, as a child might
            server.bind(("127.0.0.1", port))
    finally:
        ports.release(port)


def test_no_port_is_given_twice_until_it_was_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ports.pick()
    monkeypatch.setattr(ports, "FIRST", first)
    monkeypatch.setattr(ports, "LAST", first + 1)
    with pytest.raises(DriverError, match=f"no free port between {first} and"):
        ports.pick()
    ports.release(first)
    assert ports.pick() == first
    ports.release(first)
    ports.release(first)


def test_another_harness_on_this_machine_does_not_get_the_same_port() -> None:
    port = ports.pick()
    program = (
        f"from chaoskit.drivers import ports; ports.FIRST, ports.LAST = {port}, {port + 1}\n"
        "try: print(ports.pick())\nexcept Exception as error: print(error)"
    )
    try:
        told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    finally:
        ports.release(port)
    assert "no free port" in told


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.pick()
    ports.release(port)
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setattr(ports, "FIRST", port)
        monkeypatch.setattr(ports, "LAST", port + 1)
        with pytest.raises(DriverError, match="no free port"):
            ports.pick()
    assert port not in ports._held


def test_a_folder_for_locks_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(DriverError, match=r"ports could not be reserved in '.*': Not a directory"):
        ports.pick()


def test_a_fixed_port_on_which_a_stranger_listens_is_refused_and_says_who() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(
            LaunchError, match=f"'web' could not be started: its port {port} is in use already by .*{{port}}"
        ):
            ports.claim("web", "127.0.0.1", port)


def test_a_fixed_port_may_be_shared_by_a_successor_and_is_asked_about_again_after_both() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports.claim("web", "127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        ports.claim("web", "127.0.0.1", port)
        ports.release(port)
        ports.claim("web", "127.0.0.1", port)
        ports.release(port)
        ports.release(port)
        with pytest.raises(LaunchError, match="in use already"):
            ports.claim("web", "127.0.0.1", port)


def test_a_picked_port_is_ours_whoever_listens_there() -> None:
    port = ports.pick()
    try:
        with socket.create_server(("127.0.0.1", port)):
            ports.claim("web", "127.0.0.1", port)
    finally:
        ports.release(port)
