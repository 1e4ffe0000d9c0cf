"""How close to the planned instant does the signal leave, idle and under 2,000 requests a second?

Beside it, in the same run: a bare `os.kill` from a thread that waits for the same instant. Then the deadline's error:
SIGKILL by the launcher against the instant that it was asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

from chaoskit.drivers.command import Command
from chaoskit.drivers.placeholders import resolve
from chaoskit.drivers.process import ProcessDriver, ProcessInstance
from chaoskit.drivers.readiness import await_ready
from chaoskit.history.recorder import Recorder
from chaoskit.workloads.client import Ask, Client, Endpoint
from chaoskit.workloads.load import open_loop
from chaoskit.workloads.loop import LoopThread

ROOT = Path(__file__).parents[1]
SHOTS = 200
DEADLINES = 30
AHEAD_S = 0.01
RATE = 2000


def launch(command: Command, folder: Path) -> ProcessInstance:
    made = resolve(command, name="system", root=ROOT, run_dir=folder, addresses={}, words={}, extra_env={})
    return ProcessDriver().launch(made)


def ours(instance: ProcessInstance) -> list[float]:
    late = []
    for _ in range(SHOTS):
        at = time.monotonic() + AHEAD_S
        late.append((instance.signal(signal.SIGCONT, "leader", at).sent_at - at) * 1000)
    return late


def bare(pid: int) -> list[float]:
    late: list[float] = []

    def shoot(at: float) -> None:
        time.sleep(max(0.0, at - time.monotonic()))
        os.kill(pid, signal.SIGCONT)
        late.append((time.monotonic() - at) * 1000)

    for _ in range(SHOTS):
        thread = threading.Thread(target=shoot, args=(time.monotonic() + AHEAD_S,))
        thread.start()
        thread.join()
    return late


def deadline(folder: Path) -> list[float]:
    late = []
    for _ in range(DEADLINES):
        instance = launch(Command(["sleep", "60"], ready=None), folder)
        at = time.monotonic() + 0.05
        instance.kill_at(at)
        instance.wait(5)
        end = time.monotonic() + 1
        while instance.deadline() is None and time.monotonic() < end:
            time.sleep(0.001)
        sent = instance.deadline()
        assert sent is not None
        late.append((sent.sent_at - at) * 1000)
        instance.remove()
    return late


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100)[round(share * 100) - 1]


def main() -> None:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        instance = launch(Command(["sleep", "600"], ready=None), folder)
        idle, idle_bare = ours(instance), bare(instance.pid)
        server = launch(Command("{python} benchmarks/server.py {port}", ready="tcp"), folder)
        await_ready(server, "tcp", timeout_s=10)
        loop = LoopThread().start()
        client = Client(Recorder())
        endpoint = Endpoint(server.host, server.port or 0)
        stop = asyncio.Event()

        def ask(_number: int) -> Ask:
            return Ask(request=client.next_request(), purpose="work", target="/")

        loop.call_soon(lambda: asyncio.ensure_future(open_loop(client, lambda: endpoint, ask, RATE, stop)))
        time.sleep(1)
        busy, busy_bare = ours(instance), bare(instance.pid)
        loop.call_soon(stop.set)
        time.sleep(0.3)
        loop.close()
        server.remove()
        errors = deadline(folder)
        instance.remove()
    figures["strike_p50_ms"] = statistics.median(idle + busy)
    figures["strike_p99_over_bare"] = percentile(idle + busy, 0.99) / percentile(idle_bare + busy_bare, 0.99)
    figures["deadline_error_p99_ms"] = percentile(errors, 0.99)
    rows = (("idle", idle, idle_bare), (f"{RATE} req/s", busy, busy_bare))
    for label, mine, theirs in rows:
        print(
            f"{label:12s} chaoskit p50 {statistics.median(mine):.3f} p99 {percentile(mine, 0.99):.3f} ms   "
            f"bare os.kill p50 {statistics.median(theirs):.3f} p99 {percentile(theirs, 0.99):.3f} ms"
        )
    print(f"deadline     p50 {statistics.median(errors):.3f} p99 {figures['deadline_error_p99_ms']:.3f} ms late")
    aims = {
        "strike_p50_ms": {"max": 0.2},
        "strike_p99_over_bare": {"max": 2},
        "deadline_error_p99_ms": {"max": 5},
    }
    rounded = {key: round(value, 4) for key, value in figures.items()}
    print(json.dumps({"bench": "strike", "figures": rounded, "aims": aims}))


if __name__ == "__main__":
    main()
