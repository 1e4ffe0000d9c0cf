"""Fronts and other systems beside the struck one, and runs that never began; real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaoskit import Command, Harness, Requests
from chaoskit.drivers import ports
from chaoskit.errors import LaunchError, UsageError

SERVER = """
import http.server, os, signal, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.6 if self.path == "/slow" else 0)
        self.send_response(200); self.send_header("Content-Length", "3"); self.send_header("Connection", "close")
        self.end_headers(); self.wfile.write(b"ok\\n")
    def log_message(self, *given): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""
FRONT = """
import socket, sys, threading
from urllib.parse import urlsplit
behind = urlsplit(sys.argv[2])
def pump(reader, writer):
    try:
        while data := reader.recv(65536): writer.sendall(data)
        writer.shutdown(socket.SHUT_WR)
    except OSError: pass
def serve(client):
    try: server = socket.create_connection((behind.hostname, behind.port))
    except OSError:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 502 Bad Gateway\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        return client.close()
    there = threading.Thread(target=pump, args=(client, server), daemon=True)
    there.start(); pump(server, client); there.join(); client.close(); server.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
SHOP = Command(("{python}", "-c", SERVER, "{port}"), name="shop", ready="/")
WORK = "GET /slow"


def front(behind: str) -> Command:
    return Command(("{python}", "-c", FRONT, "{port}", behind), name="front", ready="/")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(run_dir=tmp_path / "runs", root=tmp_path)
    yield made
    made.close()


def folders(tmp_path: Path) -> list[str]:
    runs = tmp_path / "runs"
    return sorted(each.name for each in runs.iterdir()) if runs.is_dir() else []


@pytest.mark.parametrize("behind", ["http://127.0.0.1:{shop.port}", f"{SHOP}"], ids=["a word", "a reference"])
def test_a_front_is_launched_before_the_system_behind_it(harness: Harness, behind: str) -> None:
    launched = harness.launch(front(behind))

    first = harness.terminate(SHOP, during=Requests(WORK, clients=1, via=launched))
    second = harness.terminate(SHOP, during=Requests(WORK, clients=1, via=launched.url))

    assert [each.held.complete for each in (first, second)] == [1, 1]
    assert launched.url != first.url == second.url  # the front was told it once


def test_a_launched_front_is_named_by_its_command_too(harness: Harness) -> None:
    before = front("http://127.0.0.1:{shop.port}")
    harness.launch(before)

    assert harness.terminate(SHOP, during=Requests(WORK, clients=1, via=before)).held.complete == 1


def test_promised_ports_are_given_back_with_the_test(harness: Harness) -> None:
    harness.launch(front("http://127.0.0.1:{shop.port}"))
    promised = set(ports._kept)

    harness.close()

    assert promised
    assert not promised & ports._held.keys()


def test_a_front_that_nearly_names_the_struck_system_is_told(harness: Harness) -> None:
    harness.launch(front("http://127.0.0.1:{shopp.port}"))

    with pytest.raises(UsageError, match=r"\{shopp.port\}.*did you mean 'shop'"):
        harness.terminate(SHOP, during=Requests(WORK))


@pytest.mark.parametrize(
    "via", ["htp:/x", "http://", "127.0.0.1:80", "http://h:port", "http://h/path", "http://[::1", 80, ""]
)
def test_a_bad_url_of_a_front_is_refused_before_anything_starts(via: object) -> None:
    with pytest.raises(UsageError, match="via is"):
        Requests(WORK, via=via)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("no-such-program", "{port}"), LaunchError),
        (("{python}", "-c", "pass", "{prot}"), UsageError),
    ],
)
def test_a_run_in_which_nothing_started_leaves_no_folder(
    harness: Harness, tmp_path: Path, words: tuple[str, ...], error: type[Exception]
) -> None:
    system = Command(words)

    with pytest.raises(error):
        harness.terminate(system, during=Requests(WORK))
    with pytest.raises(error):
        harness.terminating(system).__enter__()
    with pytest.raises(error):
        harness.launch(system)
    harness.terminating(SHOP)  # never entered
    harness.close()

    assert folders(tmp_path) == []


def test_a_run_whose_system_wrote_something_keeps_its_folder(harness: Harness, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="boom"):
        harness.terminate(Command(("{python}", "-c", "raise SystemExit('boom {port}')")), during=Requests(WORK))

    assert len(folders(tmp_path)) == 1
