"""The oracle against real sockets whose state we know."""

from __future__ import annotations

import gc
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from chaoskit.drivers.proc_net import ProcNet, shares_network
from chaoskit.drivers.sock_diag import SockDiag
from chaoskit.drivers.sockets import Look, Oracle, oracle_name, why_not
from chaoskit.errors import ChaoskitError

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


def test_a_row_of_the_client_s_end_is_none_of_the_server_s(way: str, listener: socket.socket) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(listener, b"x")) for _ in range(3)]
        oracle = Oracle.open(listener.getsockname()[1], os.getpid())
        ports = {client.getsockname()[1] for client in clients}
        assert set(until(oracle, lambda look: look.backlog == 3).connections) == ports
        reverse = Oracle.open(clients[0].getsockname()[1], os.getpid())
        look = reverse.look()  # (a stranger's connection may go out from the same port, to elsewhere)
        assert not look.listening
        assert listener.getsockname()[1] in look.connections
        reverse.close()
        oracle.close()


def test_an_answer_on_its_way_after_the_server_s_close_is_not_taken_for_a_waiting_request(
    way: str, listener: socket.socket
) -> None:
    oracle = Oracle.open(listener.getsockname()[1], os.getpid())
    with connect(listener, b"x") as client:
        port = client.getsockname()[1]
        served, _ = listener.accept()
        with served:
            served.recv(1)
            served.settimeout(0)
            with suppress(BlockingIOError):
                while True:
                    served.send(bytes(1 << 20))
        row = until(oracle, lambda look: look.connections[port].state == "fin_wait1").connections[port]
        assert row.inode == 0  # as in the backlog
        assert row.unacked_bytes > 0
        assert row.accepted
    oracle.close()


def test_a_client_that_left_while_it_waited_is_still_in_the_backlog(way: str, listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1], os.getpid())
    with connect(listener, b"x") as client:
        port = client.getsockname()[1]
        client.shutdown(socket.SHUT_WR)
        row = until(oracle, lambda look: look.connections[port].state == "close_wait").connections[port]
        assert not row.accepted
    oracle.close()


def test_a_reset_connection_and_one_that_is_over_are_gone(way: str, listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1], os.getpid())
    with connect(listener) as reset, connect(listener) as closed:
        until(oracle, lambda look: len(look.connections) == 2)
        first, second = listener.accept()[0], listener.accept()[0]
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        first.close()
        second.close()  # the side that closes first keeps the row for a minute: time_wait
        assert reset.fileno() >= 0
        assert closed.recv(1) == b""
    until(oracle, lambda look: not look.connections)
    oracle.close()


def test_reading_in_parts_shows_how_much_was_read(listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1])
    with connect(listener, b"x" * 100) as client:
        port = client.getsockname()[1]
        served, _ = listener.accept()
        with served:
            served.recv(60)
            row = until(oracle, lambda look: look.connections[port].unread_bytes == 40).connections[port]
            assert row.received_bytes == 100
            assert not row.read
    oracle.close()


def test_an_ipv6_connection_is_seen(way: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
    with server, socket.create_connection(server.getsockname()[:2]) as client:
        oracle = Oracle.open(server.getsockname()[1], os.getpid())
        port = client.getsockname()[1]
        assert until(oracle, lambda look: port in look.connections).backlog == 1
        oracle.close()


def test_a_multipath_listener_is_seen_as_go_opens_them() -> None:
    try:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)  # IPPROTO_MPTCP
    except OSError as error:
        pytest.skip(f"no multipath TCP: {error}")
    with server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        oracle = Oracle.open(server.getsockname()[1])
        with connect(server, b"x") as client:
            port = client.getsockname()[1]
            assert until(oracle, lambda look: look.backlog == 1).listening
            with server.accept()[0]:
                assert until(oracle, lambda look: look.connections[port].accepted)
        oracle.close()


def test_hundreds_of_connections_in_mixed_states_are_told_apart(way: str, listener: socket.socket) -> None:
    listener.listen(400)
    oracle = Oracle.open(listener.getsockname()[1], os.getpid())
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(listener, b"x")) for _ in range(300)]
        served = [stack.enter_context(listener.accept()[0]) for _ in range(200)]
        for each in served[:100]:
            each.recv(1)
        look = until(oracle, lambda look: sum(row.read for row in look.connections.values()) == 100)
        assert set(look.connections) == {client.getsockname()[1] for client in clients}
        assert sum(row.accepted for row in look.connections.values()) == 200
        assert look.backlog == 100
        inodes = {row.inode for row in look.connections.values() if row.accepted}
        assert set(oracle.owner_pids(inodes, [os.getpid()])) == inodes
    oracle.close()


def test_it_goes_on_telling_after_the_process_is_gone(way: str, listener: socket.socket) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        oracle = Oracle.open(listener.getsockname()[1], process.pid)
        process.kill()
        process.wait()
        with connect(listener):
            assert until(oracle, lambda look: look.backlog == 1).listening
        oracle.close()


def test_a_broken_answer_does_not_spoil_the_next_one(listener: socket.socket) -> None:
    way = SockDiag()
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(listener))
            stack.enter_context(listener.accept()[0])
        pieces = way._dump(listener.getsockname()[1], 0xFFF)
        next(pieces)
        pieces.close()  # in the middle of a dump
        connections, backlogs = way.look(listener.getsockname()[1])
        assert len(connections) == 200
        assert backlogs == [0]
    way.close()


def test_both_ways_see_the_same_listeners(listener: socket.socket) -> None:
    diag, proc = SockDiag(), ProcNet(None)
    inode = os.fstat(listener.fileno()).st_ino
    assert diag.listeners()[inode] == proc.listeners()[inode] == listener.getsockname()[1]
    diag.close()
    proc.close()


def test_the_network_namespace_of_a_process_is_told() -> None:
    assert shares_network(os.getpid())
    assert shares_network(2**22 + 1)  # nobody: nothing speaks against it


def test_the_collector_is_on_again_after_a_look(listener: socket.socket) -> None:
    oracle = Oracle.open(listener.getsockname()[1])
    oracle.look()
    assert gc.isenabled()
    oracle.close()


def test_switched_off_it_says_what_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSKIT_ORACLE", "off")
    assert oracle_name() is None
    assert "gate, first byte and elapsed time" in why_not()
    with pytest.raises(ChaoskitError, match="CHAOSKIT_ORACLE=off"):
        Oracle.open(1)


def test_thousands_of_connections_are_one_question(listener: socket.socket, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    oracle = Oracle.open(listener.getsockname()[1])
    kept: list[socket.socket] = []
    try:
        for _ in range(pairs):
            kept += [connect(listener, b"x"), listener.accept()[0]]
        began = time.thread_time()
        look = oracle.look()
        cost_s = time.thread_time() - began
        assert len(look.connections) == pairs
        assert all(row.received_bytes == 1 for row in look.connections.values())
        assert oracle.pace_s >= 5 * cost_s  # (a collection right after it is no part of the look)
    finally:
        for each in kept:
            each.close()
        oracle.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with capsys.disabled():
        print(f" {pairs:,} connections: {cost_s * 1000:.1f} ms of a core ", end="")  # noqa: T201
