"""Each sample server has its one defect, and no other: seen with plain sockets, without our engine."""

from __future__ import annotations

import importlib.util
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import psutil
import pytest

TARGETS = Path(__file__).parents[2] / "targets"
PATIENCE_S = 20  # nothing here takes this long, however busy the machine is
WHILE_S = 0.3  # how long something that must not happen is watched for


@dataclass(frozen=True)
class Reply:
    """What came before the end of a connection, and how it ended."""

    data: bytes
    end: str  # "fin" or "rst"

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1]) if self.data else 0

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str | None:
        for line in self.data.partition(b"\r\n\r\n")[0].decode().split("\r\n"):
            if line.lower().startswith(f"{name.lower()}:"):
                return line.partition(":")[2].strip()
        return None


class Peer:
    """One client connection."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode())

    def request(self, target: str, *headers: str, body: str = "", length: int | None = None) -> None:
        method, path = target.split()
        lines = [f"{method} {path} HTTP/1.1", "Host: target", *headers]
        lines += [f"Content-Length: {len(body) if length is None else length}"] if method == "POST" else []
        self.send("\r\n".join([*lines, "", body]))

    def answer(self) -> Reply:
        """One small sized answer on a connection that stays open."""
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"\n"):
            piece = self.sock.recv(65536)
            if not piece:
                return Reply(data, "fin")
            data += piece
        return Reply(data, "open")

    def rest(self) -> Reply:
        """Everything up to the end of the connection."""
        data = b""
        try:
            while piece := self.sock.recv(65536):
                data += piece
        except (ConnectionResetError, BrokenPipeError):
            return Reply(data, "rst")
        finally:
            self.sock.close()
        return Reply(data, "fin")

    def is_silent(self) -> bool:
        return not select.select([self.sock], [], [], WHILE_S)[0]


class Target:
    """A running sample server; its port is what it says."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            [*command, "--port", "0"], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])
        self.tree = [psutil.Process(self.process.pid)]

    def ask(self, target: str, *headers: str, body: str = "") -> Reply:
        peer = Peer(self.port)
        peer.request(target, "Connection: close", *headers, body=body)
        return peer.rest()

    def hold(self) -> Peer:
        """A request that the server provably has in its hands: it has answered `100 Continue`."""
        peer = Peer(self.port)
        peer.request("POST /orders", "Expect: 100-continue", length=2)
        return self.continued(peer)

    def continued(self, peer: Peer) -> Peer:
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        got = b""
        while len(got) < len(interim):
            got += peer.sock.recv(len(interim) - len(got))
        assert got == interim
        return peer

    def kept_alive(self) -> Peer:
        peer = Peer(self.port)
        peer.request("GET /items")
        assert peer.answer().status == 200
        return peer

    def tell(self) -> None:
        self.tree += self.tree[0].children(recursive=True)
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Tell it to stop, and return when its readiness says that it knows."""
        self.tell()
        until(lambda: self.ask("GET /healthz").status == 503)

    def exit(self) -> int:
        return self.process.wait(PATIENCE_S)

    def stays(self) -> bool:
        try:
            self.process.wait(WHILE_S)
        except subprocess.TimeoutExpired:
            return True
        return False

    def refuses_connections(self) -> bool:
        try:
            Peer(self.port).sock.close()
        except ConnectionRefusedError:
            return True
        return False

    def remove(self) -> None:
        for each in self.tree + ([] if self.process.poll() is not None else self.tree[0].children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def until(condition: Callable[[], bool]) -> None:
    """Ask again and again; every question is a round trip, so no sleep is needed."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"


Start = Callable[..., Target]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Target] = []

    def launch(name: str, *arguments: str, work_s: float = 0.5) -> Target:
        command = [sys.executable, str(TARGETS / name), "--work", str(work_s), *arguments]
        if name.endswith(".sh"):
            command = ["sh", str(TARGETS / name), sys.executable, str(TARGETS / "drains.py"), "--work", str(work_s)]
        running.append(Target(*command))
        return running[-1]

    yield launch
    for each in running:
        each.remove()


def finish(held: Peer) -> Reply:
    """Send the body of a held request and take all that comes."""
    with suppress(ConnectionResetError, BrokenPipeError):
        held.send("{}")
    return held.rest()


# ---- correct -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("drains.py", 0),
        ("rejects.py", 0),
        ("eof_body.py", 0),
        ("closes_idle.py", 0),
        ("prefork.py", 0),
        ("handover.py", 0),
        ("waits_for_idle.py", 0),
        ("reraises.py", -signal.SIGTERM),
        ("accepts_new_long.py", 0),
        ("bad_retry_after.py", 0),
        ("closes_listener_first.py", 0),
        ("deaf.py", 0),
        ("deaf_keepalive.py", 0),
        ("drops_keepalive_post.py", 0),
        ("drops_new.py", 0),
        ("errors_new.py", 0),
        ("fin_in_chunk.py", 0),
        ("no_retry_after.py", 0),
        ("one_at_a_time.py", 0),
        ("orphan.py", 0),
        ("resets_in_body.py", 0),
        ("severs_new.py", 0),
        ("stays_ready.py", 0),
        ("wrong_exit.py", 3),
        ("crashes_at_exit.py", -signal.SIGABRT),
    ],
)
def test_what_is_held_is_answered_whole_and_the_exit_is_as_it_says(start: Start, name: str, code: int) -> None:
    target = start(name)
    held = target.hold()
    target.tell()
    reply = finish(held)
    assert (reply.status, reply.body, reply.end) == (201, b'{"done": true}\n', "fin")
    assert target.exit() == code
    assert target.refuses_connections()


@pytest.mark.parametrize("name", ["drains.py", "rejects.py", "closes_idle.py", "exits_late.py", "wrong_exit.py"])
def test_short_work_is_answered_and_readiness_turned_while_it_drains(start: Start, name: str) -> None:
    target = start(name)
    held = target.hold()
    target.stop()
    items = target.ask("GET /items")
    assert (items.status, items.body, items.end) == (200, b'["item"]\n', "fin")
    finish(held)


def test_new_long_work_gets_a_clean_503_while_a_held_answer_still_streams(start: Start) -> None:
    target = start("rejects.py")
    held = Peer(target.port)
    held.request("GET /stream")
    first = held.sock.recv(1)
    target.stop()
    new = target.ask("GET /stream")
    assert (new.status, new.header("Retry-After"), new.header("Connection"), new.end) == (503, "2", "close", "fin")
    reply = held.rest()
    assert first == b"H"
    assert reply.end == "fin"
    assert reply.data.endswith(b"0\r\n\r\n")
    assert target.exit() == 0


def test_a_refused_upload_gets_its_503_although_it_goes_on(start: Start) -> None:
    target = start("rejects.py")
    held = target.hold()
    target.stop()
    upload = Peer(target.port)
    upload.request("POST /orders", length=100000)
    for _ in range(10):
        upload.send("x" * 1000)
    reply = upload.rest()
    assert (reply.status, reply.end) == (503, "fin")
    finish(held)


def test_new_long_work_is_answered_whole_by_the_draining_server(start: Start) -> None:
    target = start("drains.py")
    held = target.hold()
    target.stop()
    assert target.ask("GET /slow").status == 200
    assert finish(held).status == 201


def test_the_listener_lingers_as_long_as_it_is_asked_to(start: Start) -> None:
    target = start("drains.py", "--linger", "1.5")
    told_at = time.monotonic()
    target.stop()
    until(target.refuses_connections)
    assert time.monotonic() - told_at >= 1.5
    assert target.exit() == 0


def test_kept_alive_connections_are_answered_with_a_close_and_ended_in_order(start: Start) -> None:
    target = start("drains.py")
    held, used, idle, silent = target.hold(), target.kept_alive(), target.kept_alive(), Peer(target.port)
    target.stop()
    used.request("GET /items")
    reply = used.rest()
    assert (reply.status, reply.header("Connection"), reply.end) == (200, "close", "fin")
    finish(held)
    assert idle.rest() == Reply(b"", "fin")
    assert silent.rest() == Reply(b"", "fin")
    assert target.exit() == 0


def test_idle_connections_are_closed_at_once_while_work_is_held(start: Start) -> None:
    target = start("closes_idle.py")
    held, idle = target.hold(), target.kept_alive()
    target.tell()
    assert idle.rest() == Reply(b"", "fin")
    assert finish(held).status == 201


def test_a_stream_without_a_length_ends_with_its_connection(start: Start) -> None:
    target = start("eof_body.py")
    reply = target.ask("GET /stream")
    assert reply.header("Content-Length") is reply.header("Transfer-Encoding") is None
    assert reply.body.endswith(b"END\n")
    assert reply.end == "fin"


def test_nobody_is_lost_while_the_port_is_handed_to_the_successor(start: Start) -> None:
    target = start("handover.py")
    held = target.hold()
    replies: list[Reply] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            replies.append(target.ask("GET /items"))

    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for each in askers:
        each.start()
    target.tell()
    until(lambda: bool(target.tree[0].children()))
    successor = target.tree[0].children()[0]
    target.tree.append(successor)
    until(lambda: target.ask("POST /orders", body="{}").status == 201)
    until(lambda: any(each.laddr.port == target.port for each in successor.net_connections()))
    new = target.ask("GET /slow")
    over.set()
    for each in askers:
        each.join()
    assert new.status == 200
    assert {(reply.status, reply.end) for reply in replies} == {(200, "fin")}
    assert finish(held).status == 201
    assert target.exit() == 0
    assert not successor.is_running()


def test_the_master_exits_after_its_workers(start: Start) -> None:
    target = start("prefork.py")
    held = target.hold()
    workers = target.tree[0].children()
    target.tell()
    assert len(workers) == 2
    assert target.stays()
    assert finish(held).status == 201
    assert target.exit() == 0
    assert not any(each.is_running() for each in workers)


def test_it_leaves_only_when_its_clients_have_closed(start: Start) -> None:
    target = start("waits_for_idle.py")
    idle = target.kept_alive()
    target.tell()
    until(target.refuses_connections)
    assert target.stays()
    idle.sock.close()
    assert target.exit() == 0


# ---- guilty of severing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["severs_at_once.py", "gives_up_early.py"])
def test_held_work_is_severed_by_the_exit(start: Start, name: str) -> None:
    target = start(name, work_s=30)
    held = target.hold()
    held.send("{}")
    target.tell()
    assert held.rest().data == b""
    assert target.exit() == 0


@pytest.mark.parametrize("path", ["/stream", "/big"])
def test_a_body_is_cut_by_a_reset(start: Start, path: str) -> None:
    target = start("resets_in_body.py", work_s=10)
    held = Peer(target.port)
    held.request(f"GET {path}")
    held.sock.recv(1)
    target.tell()
    assert held.rest().end == "rst"
    assert target.exit() == 0


def test_a_chunk_is_cut_by_a_fin(start: Start) -> None:
    target = start("fin_in_chunk.py", work_s=10)
    held = Peer(target.port)
    held.request("GET /stream")
    held.sock.recv(1)
    target.tell()
    reply = held.rest()
    assert reply.end == "fin"
    size, _, last = reply.data.rpartition(b"1000\r\n")
    assert size
    assert len(last) == 0x1000 // 2
    assert target.exit() == 0


def test_the_answer_to_an_upload_is_erased_by_a_reset(start: Start) -> None:
    target = start("unread_close.py")
    held = Peer(target.port)
    held.request("POST /orders", "Expect: 100-continue", length=100)
    target.continued(held)
    target.tell()
    until(lambda: target.ask("GET /healthz").status == 503 or target.refuses_connections())
    held.send("x" * 10)
    assert held.rest() == Reply(b"", "rst")
    assert target.exit() == 0


def test_an_upload_that_has_come_whole_is_answered(start: Start) -> None:
    target = start("unread_close.py")
    assert target.ask("POST /orders", body="x" * 100).status == 201


def test_requests_in_the_backlog_die_with_the_listener(start: Start) -> None:
    target = start("one_at_a_time.py")
    held, waiting = target.hold(), Peer(target.port)
    waiting.request("GET /items")
    target.tell()
    assert finish(held).status == 201
    assert waiting.rest() == Reply(b"", "rst")


def test_who_comes_after_the_signal_waits_for_nothing(start: Start) -> None:
    target = start("deaf.py")
    held, kept = target.hold(), target.kept_alive()
    target.tell()
    until(lambda: ready_on(kept) == 503)
    new = Peer(target.port)
    new.request("GET /items")
    assert new.is_silent()
    assert finish(held).status == 201
    assert new.rest().data == b""


def ready_on(kept: Peer) -> int:
    kept.request("GET /healthz")
    return kept.answer().status


def test_new_answers_are_cut_when_the_last_held_request_has_ended(start: Start) -> None:
    target = start("severs_new.py", work_s=1)
    held = target.hold()
    held.send("{}")
    target.stop()
    new = Peer(target.port)
    new.request("GET /stream")
    assert new.sock.recv(1) == b"H"
    assert held.rest().status == 201
    assert not new.rest().data.endswith(b"0\r\n\r\n")


def test_new_requests_are_closed_without_a_byte(start: Start) -> None:
    target = start("drops_new.py")
    held = target.hold()
    target.stop()
    assert target.ask("GET /slow") == Reply(b"", "fin")
    assert finish(held).status == 201


def test_a_post_on_a_kept_alive_connection_is_dropped(start: Start) -> None:
    target = start("drops_keepalive_post.py")
    held, posted, asked = target.hold(), target.kept_alive(), target.kept_alive()
    target.stop()
    posted.request("POST /orders", body="{}")
    assert posted.rest() == Reply(b"", "fin")
    asked.request("GET /items")
    assert asked.rest().status == 200
    assert finish(held).status == 201


def test_a_post_lies_unread_on_a_kept_alive_connection(start: Start) -> None:
    target = start("deaf_keepalive.py")
    held, posted = target.hold(), target.kept_alive()
    target.stop()
    posted.request("POST /orders", body="{}")
    assert posted.is_silent()
    assert finish(held).status == 201
    assert posted.rest().data == b""


# ---- guilty of refusing badly ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [
        ("rejects.py", 503, "2"),
        ("no_retry_after.py", 503, None),
        ("bad_retry_after.py", 503, "soon"),
        ("errors_new.py", 500, None),
        ("accepts_new_long.py", 200, None),
    ],
)
def test_new_long_work_is_refused_as_the_target_says(
    start: Start, name: str, status: int, retry_after: str | None
) -> None:
    target = start(name)
    held = target.hold()
    target.stop()
    new = target.ask("GET /slow")
    assert (new.status, new.header("Retry-After"), new.end) == (status, retry_after, "fin")
    assert finish(held).status == 201


@pytest.mark.parametrize(
    ("name", "status", "retry_after"),
    [("cancels_500.py", 500, None), ("rejects_held.py", 503, "2"), ("rejects_held_badly.py", 503, None)],
)
def test_held_work_is_given_up_as_the_target_says(
    start: Start, name: str, status: int, retry_after: str | None
) -> None:
    target = start(name, work_s=30)
    held = target.hold()
    target.stop()
    new = target.ask("GET /slow")
    reply = finish(held)
    assert (reply.status, reply.header("Retry-After"), reply.end) == (status, retry_after, "fin")
    assert (new.status, new.header("Retry-After")) == (503, "2")
    assert target.exit() == 0


def test_held_work_is_never_answered(start: Start) -> None:
    target = start("hangs_held.py", work_s=0.3)
    held = target.hold()
    target.stop()
    held.send("{}")
    assert target.stays()
    assert held.is_silent()
    target.process.kill()
    assert held.rest().data == b""


def test_the_listener_is_closed_while_readiness_was_never_seen_to_turn(start: Start) -> None:
    target = start("closes_listener_first.py")
    held = target.hold()
    seen: list[int] = []
    target.tell()
    while not target.refuses_connections():
        try:
            seen.append(target.ask("GET /healthz").status)
        except ConnectionRefusedError:
            break
    assert set(seen) <= {200}
    assert target.process.poll() is None
    assert finish(held).status == 201


def test_readiness_never_turns(start: Start) -> None:
    target = start("stays_ready.py")
    held = target.hold()
    target.tell()
    until(lambda: target.ask("GET /slow").status == 503)
    assert target.ask("GET /healthz").status == 200
    assert finish(held).status == 201


# ---- guilty of leaving badly --------------------------------------------------------------------------------------------


def test_the_signal_is_not_heard(start: Start) -> None:
    target = start("ignores_sigterm.py")
    target.tell()
    assert target.stays()
    assert target.ask("GET /slow").status == 200


def test_the_teardown_outlasts_the_listener(start: Start) -> None:
    target = start("exits_late.py", "--teardown", "30")
    held = target.hold()
    target.stop()
    assert finish(held).status == 201
    until(target.refuses_connections)
    assert target.stays()


def test_the_wrapper_does_not_pass_the_signal_on(start: Start) -> None:
    target = start("swallows.sh")
    target.tell()
    assert target.stays()
    assert target.ask("GET /healthz").status == 200


def test_the_wrapper_does_no_harm_when_the_group_is_told(start: Start) -> None:
    target = start("swallows.sh")
    held = target.hold()
    target.tell()
    psutil.Process(target.tree[-1].pid).terminate()
    assert finish(held).status == 201
    assert target.exit() == 0


def test_the_wrapper_dies_alone(start: Start) -> None:
    target = start("dies_alone.sh")
    target.tell()
    assert target.exit() == -signal.SIGTERM
    assert target.ask("GET /healthz").status == 200


def test_a_child_with_a_listener_is_left_behind(start: Start) -> None:
    target = start("orphan.py")
    target.tell()
    assert target.exit() == 0
    child = target.tree[1]
    assert child.is_running()
    assert [each.status for each in child.net_connections()] == [psutil.CONN_LISTEN]


# ---- the matrix ------------------------------------------------------------------------------------------------------------


def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("targets_matrix", TARGETS / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_what_the_matrix_makes() -> None:
    assert (TARGETS / "README.md").read_text(encoding="utf-8") == matrix().readme(), (
        "run: python targets/matrix.py --write"
    )


def test_every_target_is_in_the_matrix_and_every_row_is_sound() -> None:
    rows = matrix().rows()
    programs = {each.name for each in TARGETS.iterdir() if each.suffix in (".py", ".sh")} - {"common.py", "matrix.py"}
    assert {row["target"] for row in rows} == programs
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert f"targets/{row['target']}" in row["command"], row["id"]
        assert bool(row["fails"]) == (row["outcome"] == "fail"), row["id"]
        assert not set(row["fails"]) & set(row["unknown"]), row["id"]


def test_every_check_but_struck_has_a_guilty_target() -> None:
    failing = {check for row in matrix().rows() for check in row["fails"]}
    assert failing == {
        "no_resets",
        "drains",
        "rejects_cleanly",
        "stops_accepting",
        "readiness_first",
        "exits_in_time",
        "exit_code",
        "leaves_nothing_behind",
        "budget",
    }
