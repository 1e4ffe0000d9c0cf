"""`chaoskit check` strikes a command as it is and answers with an exit code, a text and JSON."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

Chaoskit = Callable[..., "subprocess.CompletedProcess[str]"]
Server = Callable[..., tuple[str, ...]]
OFTEN = ("--ready", "/healthz", "--no-rehearsal", "--grace", "5")


def test_a_good_server_passes_with_0(chaoskit: Chaoskit, server: Server) -> None:
    done = chaoskit("check", *OFTEN, "--get", "/slow", *server("drains"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("PASS  nothing was lost")
    assert done.stderr == ""  # no terminal, no progress


def test_a_guilty_server_fails_with_1_and_the_loss_comes_first(chaoskit: Chaoskit, server: Server) -> None:
    done = chaoskit("check", *OFTEN, "--get", "/slow", *server("severs_at_once"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("FAIL  4 of 4 held requests were severed\n\n  severs_at_once was told to stop")
    assert "Again:     chaoskit check --ready /healthz" in done.stdout


def test_a_run_that_proves_nothing_ends_with_2(chaoskit: Chaoskit, server: Server) -> None:
    done = chaoskit("check", *OFTEN, "--get", "/items", "--clients", "3", "--hold-at-least", "3", *server("drains"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.startswith("UNKNOWN  unknown: ")


def test_a_server_that_never_starts_ends_with_3_and_its_last_words(chaoskit: Chaoskit) -> None:
    program = "import sys; sys.exit('no database')"
    done = chaoskit("check", "--get", "/", "--json", "-", "--", sys.executable, "-c", program, "{port}")
    assert done.returncode == 3
    assert "no database" in done.stderr
    told = json.loads(done.stdout)
    assert (told["outcome"], told["error"]["kind"]) == ("error", "launch")


def test_json_on_standard_output_is_alone_there(chaoskit: Chaoskit, server: Server) -> None:
    done = chaoskit("check", *OFTEN, "--get", "/slow", "--json", "-", *server("severs_at_once"))
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["outcome"], told["held"]["severed"]) == ("fail", 4)
    assert "FAIL" in done.stderr


def test_json_in_a_file_is_the_result_of_the_run_folder(chaoskit: Chaoskit, server: Server, tmp_path: Path) -> None:
    done = chaoskit("check", *OFTEN, "--get", "/slow", "--json", "out.json", "-q", *server("drains"))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    (folder,) = (each for each in (tmp_path / ".chaos").iterdir() if each.is_dir())
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads((folder / "result.json").read_text())
    assert (tmp_path / ".chaos" / ".gitignore").read_text().endswith("*\n")


def test_runs_are_repeated_and_judged_together(chaoskit: Chaoskit, server: Server) -> None:
    words = ("check", *OFTEN, "--get", "/slow", "--runs", "2", "--json", "-")
    done = chaoskit(*words, *server("drains", work_s=0.3))
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], len(told["runs"])) == (0, "pass", 2)
    assert {"check": "drains", "outcome": "pass", "k": 2, "n": 2} in told["checks"]
    assert "2 of 2 runs passed" in done.stderr


def test_more_failed_runs_than_allowed_fail(chaoskit: Chaoskit, server: Server) -> None:
    done = chaoskit("check", *OFTEN, "--get", "/slow", "--runs", "2", "--allow", "1", *server("severs_at_once"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("FAIL  0 of 2 runs passed, 1 may fail")


def test_what_it_does_with_a_command_line_is_what_the_flags_say(chaoskit: Chaoskit, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "echo.py").write_text(ECHO)
    (tmp_path / "order.json").write_text('{"order": 7}')
    done = chaoskit(
        *("check", "--post", "/orders", "--data", "order.json", "-H", "X-Tenant: a: b", "--cwd", "below"),
        *("--env", "GREETING=a=b", "--clients", "1", "--idle", "0", "--grace", "5", "--profile", "heroku"),
        *("--json", "-", "--", f"{sys.executable} echo.py {{port}}"),
    )
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)["profile"]["to"] == "all"
    seen = json.loads((tmp_path / "below" / "seen.json").read_text())
    assert seen == {"greeting": "a=b", "tenant": "a: b", "type": "application/json", "body": '{"order": 7}'}


ECHO = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Echo(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        seen = {"greeting": os.environ["GREETING"], "tenant": self.headers["X-Tenant"],
                "type": self.headers["Content-Type"], "body": body}
        with open("seen.json", "w") as file:
            json.dump(seen, file)
        time.sleep(0.5)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


@pytest.mark.parametrize(
    ("words", "env", "colored"),
    [
        ([], {}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"PY_COLORS": "1", "NO_COLOR": "1"}, True),
    ],
)
def test_colours_are_asked_for_in_a_known_order(
    chaoskit: Chaoskit, words: list[str], env: dict[str, str], *, colored: bool
) -> None:
    assert ("\x1b[" in chaoskit("doctor", *words, env=env).stdout) is colored


def test_a_json_file_that_cannot_be_written_is_refused_before_the_run(
    chaoskit: Chaoskit, server: Server, tmp_path: Path
) -> None:
    done = chaoskit("check", "--get", "/slow", "--json", "gone/out.json", *server("drains"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no folder" in done.stderr
    assert not (tmp_path / ".chaos").exists()


def test_a_run_folder_that_cannot_be_made_is_named(chaoskit: Chaoskit, server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = chaoskit("check", "--get", "/slow", "--dir", "file/runs", *server("drains"))
    assert done.returncode == 3
    assert "'file/runs' cannot be written" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_check_leaves_nothing_running(tmp_path: Path, server: Server, number: int, code: int) -> None:
    marker = f"chaoskit-test-{os.getpid()}-{code}"
    words = ("check", *OFTEN, "--get", "/slow", "--env", f"MARKER={marker}", *server("drains", work_s=60))
    # The session of its own lets the test's Ctrl-C reach this process only; a terminal's reaches the leader's not either.
    process = subprocess.Popen(
        [sys.executable, "-m", "chaoskit", *words, "--linger", "60"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_for(lambda: struck_server(marker) is not None)
        leader = struck_server(marker)
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == code
        wait_for(lambda: not psutil.pid_exists(leader or 0) or struck_server(marker) is None)
    finally:
        process.kill()


def struck_server(marker: str) -> int | None:
    """The pid of the process that carries this marker in its environment, once it listens."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARKER") == marker and process.net_connections(kind="tcp"):
                return process.pid
        except psutil.Error:
            continue
    return None


def wait_for(happened: Callable[[], bool], limit_s: float = 20) -> None:
    tick = threading.Event()
    for _ in range(int(limit_s / 0.05)):
        if happened():
            return
        tick.wait(0.05)
    pytest.fail(f"did not happen within {limit_s} s")


@pytest.mark.parametrize(("flag", "watched"), [([], True), (["--quiet"], False)], ids=["normal", "quiet"])
def test_progress_is_for_who_watches(tmp_path: Path, server: Server, flag: list[str], *, watched: bool) -> None:
    ours, theirs = pty.openpty()
    words = ("check", *OFTEN, "--get", "/slow", *flag, *server("drains", work_s=0.3))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "chaoskit", *words],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=60,
            check=False,
        )
        os.write(theirs, b"end\n")
        seen = os.read(ours, 10_000).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 0
    assert ("strike" in seen) is watched
    assert b"strike (terminate)" not in done.stdout
