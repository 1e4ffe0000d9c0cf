"""The server: a port an instance, effects on the disk before they are answered, and callers of every sort."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaoskit.downstream.server import SinkServer
from chaoskit.errors import StorageError
from chaoskit.history.facts import CallArrived
from tests.downstream.conftest import Downstream, until

POST = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"


def raw(downstream: Downstream, data: bytes, answers: int = 1) -> bytes:
    """Send bytes, read until so many answers or the end have come."""
    with socket.create_connection(("127.0.0.1", downstream.server.open_port("web")), timeout=10) as sock:
        sock.sendall(data)
        got = b""
        while got.count(b"HTTP/1.1 ") < answers or not got.endswith((b"{}", b"\r\n\r\n")):
            piece = sock.recv(65536)
            if not piece:
                break
            got += piece
        return got


def test_each_instance_has_a_port_of_its_own(downstream: Downstream) -> None:
    first, second = downstream.server.open_port("web"), downstream.server.open_port("web-2")
    assert first != second
    assert downstream.server.open_port("web") == first
    downstream.call(instance="web")
    downstream.call(instance="web-2")
    assert [fact.instance for fact in downstream.of(CallArrived)] == ["web", "web-2"]
    assert [effect.instance for effect in downstream.sink.effects] == ["web", "web-2"]


def test_a_closed_port_refuses(downstream: Downstream) -> None:
    port = downstream.server.open_port("web")
    downstream.server.close_port("web")
    downstream.server.close_port("web")

    def refused() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) != 0

    until(refused)


def test_a_connection_carries_calls_one_after_the_other(downstream: Downstream) -> None:
    got = raw(downstream, POST % 1 + POST % 2 + POST % 3, answers=3)
    assert got.count(b"HTTP/1.1 200 OK") == 3
    assert [call.path for call in downstream.sink.calls] == ["/1", "/2", "/3"]


def test_a_call_in_single_bytes_is_one_call(downstream: Downstream) -> None:
    with socket.create_connection(("127.0.0.1", downstream.server.open_port("web")), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in POST % 1:
            sock.sendall(bytes([byte]))
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert downstream.sink.calls[0].body == b"1"


def test_a_caller_may_wait_for_leave_to_send_its_body(downstream: Downstream) -> None:
    with socket.create_connection(("127.0.0.1", downstream.server.open_port("web")), timeout=10) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_an_offer_to_speak_http_2_is_not_taken_up(downstream: Downstream) -> None:
    offer = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    assert raw(downstream, offer).startswith(b"HTTP/1.1 200 OK")


def test_what_comes_with_such_an_offer_is_read_all_the_same(downstream: Downstream) -> None:
    offer = b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    sized = b"POST /sized HTTP/1.1\r\n" + offer + b'Content-Length: 11\r\n\r\n{"key":"a"}'
    chunked = b"POST /chunked HTTP/1.1\r\n" + offer + b'Transfer-Encoding: chunked\r\n\r\nb\r\n{"key":"b"}\r\n0\r\n\r\n'
    assert raw(downstream, sized + chunked + POST % 3, answers=3).count(b"HTTP/1.1 200 OK") == 3
    assert [effect.key for effect in downstream.sink.effects] == ["a", "b", None]
    assert [call.body for call in downstream.sink.calls][2] == b"1"


def test_a_tunnel_is_refused(downstream: Downstream) -> None:
    assert raw(downstream, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nxyz").startswith(b"HTTP/1.1 400 ")
    assert not downstream.sink.calls


def test_a_port_that_is_asked_for_from_many_threads_is_opened_once(downstream: Downstream) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: downstream.server.open_port("web"), range(64)))) == 1


def test_code_of_the_users_that_never_returns_stalls_no_other_call_and_not_the_end(tmp_path: Path) -> None:
    program = (
        "import http.client, pathlib, sys, threading\n"
        "from chaoskit.downstream.server import SinkServer\n"
        "server = SinkServer(pathlib.Path(sys.argv[1])).start()\n"
        "stuck = threading.Semaphore(0)\n"
        "server.sink.effect('POST /stuck', answer=lambda call: (stuck.release(), threading.Event().wait()))\n"
        "def post(path):\n"
        "    connection = http.client.HTTPConnection('127.0.0.1', server.open_port('web'), timeout=5)\n"
        "    connection.request('POST', path)\n"
        "    return connection\n"
        "kept = [post('/stuck') for _ in range(8)]\n"
        "for _ in kept: stuck.acquire()\n"
        "print(post('/plain').getresponse().status)\n"
        "server.close()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, cwd=Path(__file__).parents[2], text=True, timeout=30, check=True
    )
    assert done.stdout == "200\n"


def test_a_caller_that_closes_gets_its_connection_closed(downstream: Downstream) -> None:
    got = raw(downstream, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answers=2)
    assert b"Connection: close" in got


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00\x00"])
def test_what_is_no_http_is_refused(downstream: Downstream, data: bytes) -> None:
    assert raw(downstream, data).startswith(b"HTTP/1.1 400 ")
    assert downstream.call().status == 200


def test_a_call_that_is_too_large_is_refused(downstream: Downstream) -> None:
    port = downstream.server.open_port("web")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        for _ in range(17):
            sock.sendall(bytes(1 << 20))
    assert downstream.call().status == 200
    assert len(downstream.sink.effects) == 1


def test_many_callers_at_once_are_all_recorded(downstream: Downstream) -> None:
    results = [downstream.calling(body={"key": f"k{number}"}) for number in range(50)]
    assert {result().status for result in results} == {200}
    assert {effect.key for effect in downstream.sink.effects} == {f"k{number}" for number in range(50)}
    lines = downstream.server.record.path.read_text().splitlines()
    assert sorted(json.loads(line)[2] for line in lines) == sorted(f"k{number}" for number in range(50))


def test_a_record_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        SinkServer(blocked / "effects").start()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_the_tests_trouble_and_the_effect_does_not_count(downstream: Downstream) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, downstream.server.record._descriptor)
    os.close(full)
    assert downstream.call().status == 500
    assert "took no more" in str(downstream.sink.trouble)
    assert not downstream.sink.effects


def test_an_unused_record_is_removed_at_the_end(tmp_path: Path) -> None:
    server = SinkServer(tmp_path).start()
    server.open_port("web")
    server.close()
    server.close()
    assert not list(tmp_path.iterdir())


def test_closing_ends_what_is_held(tmp_path: Path) -> None:
    server = SinkServer(tmp_path).start()
    server.gate.arm(1)
    before = threading.active_count()
    with socket.create_connection(("127.0.0.1", server.open_port("web")), timeout=10) as sock:
        sock.sendall(POST % 1)
        until(lambda: server.gate.held == 1)
        server.close()
        with contextlib.suppress(ConnectionError):
            assert sock.recv(100) == b""
    server.gate.release()
    assert threading.active_count() <= before


def test_whatever_was_answered_is_on_the_disk_after_sigkill(tmp_path: Path) -> None:
    program = (
        "import sys, threading, pathlib\n"
        "from chaoskit.downstream.server import SinkServer\n"
        "server = SinkServer(pathlib.Path(sys.argv[1])).start()\n"
        "print(server.open_port('web'), flush=True)\n"
        "threading.Event().wait()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            for number in range(5):
                body = json.dumps({"key": f"k{number}"}).encode()
                sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            process.send_signal(signal.SIGKILL)
    (record,) = tmp_path.iterdir()
    assert [json.loads(line)[2] for line in record.read_text().splitlines()] == [f"k{number}" for number in range(5)]


def test_the_reference_stands_for_the_address_in_what_a_system_is_given(downstream: Downstream) -> None:
    class System:
        argv = ("serve", "--pay", f"{downstream.server / 'v1'}")

    assert downstream.server.referenced(System())
    assert not downstream.server.referenced(object())
    assert str(downstream.server / "v1") == f"{downstream.server}/v1"
