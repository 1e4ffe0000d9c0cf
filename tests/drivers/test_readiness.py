"""Waiting until a system is ready, racing its end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from chaoskit.drivers import ports, readiness
from chaoskit.drivers.command import Command
from chaoskit.drivers.placeholders import resolve
from chaoskit.drivers.process import ProcessDriver, ProcessInstance
from chaoskit.drivers.readiness import PortTaken, await_ready, tail
from chaoskit.errors import LaunchError, NotReady, UsageError

# Answers each request with the next status of its arguments, the last one for ever; the log counts them.
SERVER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
statuses = sys.argv[2:]
while True:
    link, _ = server.accept()
    head = link.recv(65536)
    if head:
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        print(head.split(b"\\r\\n")[0].decode(), status, flush=True)
        if status != "hang":
            link.sendall(f"HTTP/1.1 {status} X\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
    link.close()
"""


class Run(Protocol):
    def __call__(self, program: str, *words: str, **options: Any) -> ProcessInstance: ...


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started: list[ProcessInstance] = []

    def begin(program: str, *words: str, **options: Any) -> ProcessInstance:
        (tmp_path / "program.py").write_text(program)
        command = Command(["{python}", "-I", "-S", "program.py", *words], **options)
        launch = resolve(
            command, name="web", root=tmp_path, run_dir=tmp_path / "runs", addresses={}, words={}, extra_env={}
        )
        started.append(ProcessDriver().launch(launch))
        return started[-1]

    yield begin
    for instance in started:
        instance.remove()


def test_a_path_is_ready_with_two_good_answers_in_a_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy is never asked
    instance = run(SERVER, "{port}", "503", "200", "500", "204", "302", "500")
    assert await_ready(instance, "/healthz", timeout_s=10) == "GET /healthz"
    assert instance.log.read_text().split("\n") == [
        f"GET /healthz HTTP/1.1 {code}" for code in (503, 200, 500, 204, 302)
    ] + [""]


def test_tcp_is_ready_when_a_connection_opens(run: Run) -> None:
    assert await_ready(run(SERVER, "{port}", "200"), "tcp", timeout_s=10) == "tcp"


def test_a_line_of_the_log_is_ready_also_when_it_comes_in_pieces(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PIECE_BYTES", 3)
    program = "import sys, time\nfor piece in ('noise\\nboot', 'ed and ', 'ready\\n'):\n sys.stdout.write(piece); sys.stdout.flush(); time.sleep(0.03)\ntime.sleep(60)"
    assert await_ready(run(program), "log:booted and ready", timeout_s=10) == "log:booted and ready"


def test_a_callable_gets_the_url_and_may_raise_until_it_can_connect(run: Run) -> None:
    asked: list[str] = []

    def ready(url: str) -> bool:
        asked.append(url)
        if len(asked) < 3:
            raise ConnectionRefusedError("not yet")
        return True

    instance = run("import time; time.sleep(60)", "{port}")
    assert await_ready(instance, ready, timeout_s=10) == "a callable"
    assert asked == [instance.url] * 3


def test_nothing_asked_for_is_ready_at_once_and_a_warm_up_is_waited_for(run: Run) -> None:
    instance = run("import time; time.sleep(60)")
    assert await_ready(instance, None, timeout_s=10) == "no readiness was asked for"
    began = time.monotonic()
    await_ready(instance, None, timeout_s=10, warm_up_s=0.1)
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("warm_up_s", [0, 30])
def test_one_that_ends_before_it_is_ready_is_quoted_with_its_log(run: Run, warm_up_s: float) -> None:
    instance = run("for number in range(40): print('line', number)\nraise SystemExit(3)")
    with pytest.raises(LaunchError, match=r"'web' exited with 3 before it was ready\. It wrote:") as told:
        await_ready(instance, "log:never" if not warm_up_s else None, timeout_s=10, warm_up_s=warm_up_s)
    assert not isinstance(told.value, PortTaken)
    assert "    line 10\n" in str(told.value)
    assert "line 9\n" not in str(told.value)
    assert str(told.value).endswith(f"Full log: {instance.log}")


def test_one_that_a_signal_ends_says_which(run: Run) -> None:
    with pytest.raises(LaunchError, match=r"'web' was ended by SIGABRT before it was ready\. It wrote: \(nothing\)"):
        await_ready(run("import os; os.abort()"), "log:never", timeout_s=10)


def test_an_address_in_use_is_told_apart_so_that_another_port_is_tried(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0)
        port = taken.getsockname()[1]
        instance = run(SERVER, str(port), "200")
        with pytest.raises(PortTaken, match="in use"):
            await_ready(instance, "log:never", timeout_s=10)


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        ("[Errno 98] Address already in use", True),
        ("Error: listen EADDRINUSE: address already in use :::3000", True),
        ("kind: AddrInUse", True),
        ("Port 8080 was already in use.", True),
        ("[ERROR] Connection in use: ('127.0.0.1', 8000)", True),
        ("the name 'shop' is already in use", False),
    ],
)
def test_the_words_of_other_languages_for_an_address_in_use_are_known(run: Run, words: str, taken: bool) -> None:  # noqa: FBT001 - a parameter
    instance = run(f"raise SystemExit({words!r})")
    with pytest.raises(LaunchError) as told:
        await_ready(instance, None if instance.wait(10) is None else "tcp", timeout_s=10)
    assert isinstance(told.value, PortTaken) == taken


@pytest.mark.parametrize(
    ("ready", "words", "why"),
    [
        ("/healthz", ("{port}", "500"), "GET /healthz gave: status 500"),
        ("/healthz", ("{port}", "hang"), "GET /healthz gave: RemoteDisconnected"),
        ("log:ready", (), r"log:ready gave: no line with 'ready' in its log"),
        (lambda _: 0, (), "a callable gave: the callable returned 0"),
    ],
)
def test_one_that_is_never_ready_says_what_was_tried_and_answered(
    run: Run, ready: Any, words: tuple[str, ...], why: str
) -> None:
    instance = run(SERVER if words else "import time; time.sleep(60)", *words)
    if words:
        await_ready(instance, "tcp", timeout_s=10)
    with pytest.raises(NotReady, match=f"'web' was not ready after 0.2 s: {why}") as told:
        await_ready(instance, ready, timeout_s=0.2)
    assert str(told.value).endswith(f"Full log: {instance.log}")


@pytest.mark.parametrize("ready", ["tcp", "/healthz"])
def test_a_readiness_that_needs_a_port_is_refused_at_once_without_one(run: Run, ready: str) -> None:
    instance = run("import time; time.sleep(60)")
    with pytest.raises(UsageError, match=rf"'web' has no port, and ready='{ready}' asks on one: use \{{port\}}"):
        await_ready(instance, ready, timeout_s=60)


def test_one_that_listens_elsewhere_is_told_where(run: Run) -> None:
    program = "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\ntime.sleep(60)"
    instance = run(program, "{port}")
    await_ready(instance, "log:\n", timeout_s=10)
    port = int(instance.log.read_text())
    with pytest.raises(
        NotReady, match=rf"It listens on 127\.0\.0\.1:{port}, but it was given 127\.0\.0\.1:{instance.port}"
    ):
        await_ready(instance, "tcp", timeout_s=0.1)


def test_a_port_that_nobody_listens_on_is_told(run: Run) -> None:
    instance = run("import time; time.sleep(60)", "{port}")
    with pytest.raises(NotReady, match=rf"tcp gave: port {instance.port}: .*refused"):
        await_ready(instance, "tcp", timeout_s=0.1)
    ports.release(instance.port or 0)


def test_the_tail_of_a_log_is_bounded_also_when_it_never_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100_000 + b"\n\n \nlast \xff\n")
    assert len(tail(log)) < 9000
    assert tail(log).endswith("    last \ufffd\n")
    assert tail(tmp_path / "away") == "(nothing)"
    if Path("/dev/zero").exists():
        assert len(tail(Path("/dev/zero"))) < 9000
