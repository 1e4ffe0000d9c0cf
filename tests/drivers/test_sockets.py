"""The oracle against real sockets whose state we know."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from chaoskit.drivers.sockets import Look, Oracle, oracle_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the socket oracle needs Linux: /proc or SOCK_DIAG")


@pytest.fixture(params=["sock_diag", "proc"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "proc":
        monkeypatch.setenv("CHAOSKIT_ORACLE", "proc")
    assert oracle_name() == request.param
    return str(request.param)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server


def until(oracle: Oracle, wanted: Callable[[Look], bool]) -> Look:
    end = time.monotonic() + 5
    while True:
        look = oracle.look()
        if wanted(look):
            return look
        assert time.monotonic() < end, look
        time.sleep(0.005)


def connect(listener: socket.socket, data: bytes = b"") -> socket.socket:
    client = socket.create_connection(listener.getsockname())
    client.sendall(data)
    return client


def test_it_tells_backlog_accepted_and_read_apart(way: str, listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1], os.getpid())
    with connect(listener, b"x" * 50) as client:
        port = client.getsockname()[1]
        look = until(oracle, lambda look: port in look.connections and look.connections[port].unread_bytes == 50)
        assert look.listening
        assert look.backlog == 1
        assert not look.connections[port].accepted
        served, _ = listener.accept()
        with served:
            look = until(oracle, lambda look: look.connections[port].accepted)
            assert not look.connections[port].read
            served.recv(20)
            assert until(oracle, lambda look: look.connections[port].unread_bytes == 30)
            served.recv(30)
            assert until(oracle, lambda look: look.connections[port].read)
    oracle.close()


def test_diag_tells_how_many_bytes_of_the_answer_have_arrived(listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1])
    with connect(listener, b"x") as client:
        port = client.getsockname()[1]
        served, _ = listener.accept()
        with served:
            served.recv(1)
            assert until(oracle, lambda look: look.connections[port].read).connections[port].acked_bytes == 0
            served.sendall(b"y" * 1000)
            assert until(oracle, lambda look: look.connections[port].acked_bytes == 1000)
    oracle.close()


def test_a_closed_listener_is_noticed_while_its_connections_live(way: str, listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1], os.getpid())
    with connect(listener, b"x") as client:
        port = client.getsockname()[1]
        served, _ = listener.accept()
        with served:
            assert oracle.look().listening
            listener.close()
            look = until(oracle, lambda look: not look.listening)
            assert port in look.connections
    oracle.close()


def test_a_dual_stack_listener_is_seen_through_both_families(way: str) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no dual-stack sockets")
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        oracle = Oracle.open(server.getsockname()[1], os.getpid())
        with socket.create_connection(("127.0.0.1", server.getsockname()[1])) as client:
            port = client.getsockname()[1]
            assert until(oracle, lambda look: port in look.connections).listening
        oracle.close()


def test_the_owner_of_a_connection_is_found_among_the_processes_asked(listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1])
    with connect(listener, b"x") as client:
        served, _ = listener.accept()
        with served:
            row = oracle.look().connections[client.getsockname()[1]]
            assert oracle.owner_pids([row.inode], [os.getpid()]) == {row.inode: os.getpid()}
            assert oracle.owner_pids([row.inode], [1]) in ({}, {row.inode: 1})
            assert listener.getsockname()[1] in oracle.listeners([os.getpid()])
    oracle.close()
