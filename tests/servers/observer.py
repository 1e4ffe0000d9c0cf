"""A second pair of eyes: strikes a server with plain blocking sockets and none of chaoskit's code, and says what became of each.

`python observer.py [--signal SIGTERM] [--clients 4] -- COMMAND` with `{port}` in the command; the answer is one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
SLOW_S = 1.5


@dataclass(slots=True)
class Seen:
    """What the clients saw: of the slow requests sent before the signal, and of short ones opened after it."""

    held: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    code: int | None = None  # negative: ended by that signal
    exit_s: float = 0.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, timeout_s: float = 15) -> str:
    """One request on a connection of its own: `200`, `refused`, `reset` (RST), `closed` (FIN, no byte), `cut` or `hung`."""
    got = b""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            while piece := link.recv(65536):
                got += piece
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "hung"
    except OSError:
        return "cut" if got else "reset"
    if not got:
        return "closed"
    return got.split(b" ", 2)[1].decode() if got.endswith(b"whole answer\n") else "cut"


def await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until /healthz answers."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if ask(port, "/healthz", 2) == "200":
            return
        time.sleep(0.05)
    raise SystemExit("the server never answered /healthz")


def observe(command: list[str], number: int = signal.SIGTERM, clients: int = 4, grace_s: float = 10) -> Seen:
    """Start it, send `clients` slow requests, signal, and open a short request every 0.25 s until it is gone."""
    port = free_port()
    env = {**os.environ, "SLOW_S": str(SLOW_S), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    argv = [
        word.replace("{port}", str(port)).replace("{host}", HOST).replace("{python}", sys.executable)
        for word in command
    ]
    cwd = Path(__file__).resolve().parent
    process = subprocess.Popen(
        argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    seen = Seen()
    try:
        await_ready(port, process)
        time.sleep(0.5)  # pre-fork servers answer before all workers are up
        held = [_in_thread(port, "/slow", seen.held) for _ in range(clients)]
        time.sleep(0.5)  # the requests are with the server, or in its backlog
        struck_at = time.monotonic()
        process.send_signal(number)
        new = []
        while process.poll() is None and time.monotonic() < struck_at + grace_s:
            if any(each.is_alive() for each in held):
                new.append(_in_thread(port, "/items", seen.new))
            try:
                process.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
        seen.code, seen.exit_s = process.poll(), round(time.monotonic() - struck_at, 2)
        for each in (*held, *new):
            each.join(20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return seen


def _in_thread(port: int, path: str, into: Counter[str]) -> threading.Thread:
    def work() -> None:
        into[ask(port, path)] += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--signal", default="SIGTERM")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    seen = observe(given.command, signal.Signals[given.signal], given.clients)
    answer = {"held": seen.held, "new": seen.new, "code": seen.code, "exit_s": seen.exit_s}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
