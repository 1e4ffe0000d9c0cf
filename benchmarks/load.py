"""What does an open loop of 2,000 and 5,000 requests a second cost, and how late does each request begin?

Each client runs in a process of its own, against one trivial server in another: chaoskit's engine with its journal on
disk, aiohttp (on asyncio's own loop, as it comes, and on uvloop), requests with threads, and wrk where it is installed
(closed loop, as fast as it can: for scale). `cpu_over_aiohttp_at_2000` is beside aiohttp as it comes; beside aiohttp on
our own loop, and so beside its client code alone, it is `cpu_over_aiohttp_uvloop_at_2000`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SECONDS = 3.0
SETTLE_S = 0.5  # left out: connections are being made
RATES = (2_000, 5_000)
ROUNDS = 3  # of those that are compared; the median counts


class Meter:
    """CPU seconds of this process, and how late requests began, between two instants."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self.done = 0
        self._cpu = 0.0
        self._at = 0.0

    def begin(self) -> None:
        self.late_s.clear()
        self.done = 0
        self._cpu, self._at = time.process_time(), time.monotonic()

    def end(self) -> dict[str, float]:
        took_s = time.monotonic() - self._at
        cpu_s = time.process_time() - self._cpu
        late = sorted(self.late_s) or [float("nan")]
        return {
            "cores": cpu_s / took_s,
            "rate": self.done / took_s,
            "late_p50_ms": late[len(late) // 2] * 1000,
            "late_p99_ms": late[int(len(late) * 0.99)] * 1000,
        }


def chaoskit(rate: int, port: int) -> dict[str, float]:
    """The engine as a run uses it: on its own thread, recording into a journal."""
    from chaoskit.history.facts import RequestSent
    from chaoskit.history.journal import Journal
    from chaoskit.history.recorder import Recorder
    from chaoskit.workloads.client import Ask, Client, Endpoint
    from chaoskit.workloads.load import open_loop
    from chaoskit.workloads.loop import LoopThread

    with tempfile.TemporaryDirectory() as name:
        recorder = Recorder(Journal(Path(name) / "events.jsonl"))
        client = Client(recorder)
        endpoint = Endpoint("127.0.0.1", port)
        meter = Meter()
        measured: dict[str, float] = {}
        window = [0.0, 0.0]

        async def drive() -> None:
            stop = asyncio.Event()
            load = asyncio.create_task(
                open_loop(
                    client,
                    lambda: endpoint,
                    lambda _number: Ask(request=client.next_request(), purpose="work", workload=0),
                    rate,
                    stop,
                )
            )
            await asyncio.sleep(SETTLE_S)
            meter.begin()
            window[0] = recorder.now()
            await asyncio.sleep(SECONDS)
            measured.update(meter.end())
            window[1] = recorder.now()
            stop.set()
            await load

        loop = LoopThread().start()
        loop.run(drive(), SECONDS * 5)
        loop.close()
        recorder.save()
        late = sorted(
            event.at_s - event.fact.opened_s
            for event in recorder.history()
            if isinstance(event.fact, RequestSent) and window[0] <= event.fact.opened_s <= window[1]
        )
    measured["rate"] = len(late) / SECONDS
    measured["late_p50_ms"] = late[len(late) // 2] * 1000
    measured["late_p99_ms"] = late[int(len(late) * 0.99)] * 1000
    return measured


def aiohttp_uvloop(rate: int, port: int) -> dict[str, float]:
    """The same on the loop that chaoskit uses."""
    import uvloop

    return aiohttp(rate, port, uvloop.new_event_loop)


def aiohttp(rate: int, port: int, new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> dict[str, float]:
    """An open loop over one session."""
    import aiohttp

    meter = Meter()

    async def drive() -> dict[str, float]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            open_tasks: set[asyncio.Task[None]] = set()

            async def one(due: float) -> None:
                meter.late_s.append(max(0.0, time.monotonic() - due))
                async with session.get(f"http://127.0.0.1:{port}/") as answer:
                    await answer.read()
                meter.done += 1

            began = time.monotonic()
            number, metering = 0, False
            while (now := time.monotonic()) < began + SETTLE_S + SECONDS:
                if not metering and now >= began + SETTLE_S:
                    meter.begin()
                    metering = True
                due = began + number / rate
                if due - now > 0.0005:
                    await asyncio.sleep(due - now)
                    continue
                task = asyncio.create_task(one(due))
                open_tasks.add(task)
                task.add_done_callback(open_tasks.discard)
                number += 1
                if number % 100 == 0:
                    await asyncio.sleep(0)
            measured = meter.end()
            await asyncio.gather(*open_tasks)
            return measured

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(drive())


def threads(rate: int, port: int) -> dict[str, float]:
    """`requests`, a session a thread."""
    import requests

    meter = Meter()
    local = threading.local()

    def one(due: float) -> None:
        meter.late_s.append(max(0.0, time.monotonic() - due))
        session = getattr(local, "session", None)
        if session is None:
            session = local.session = requests.Session()
            session.trust_env = False
        session.get(f"http://127.0.0.1:{port}/", timeout=10)
        meter.done += 1

    began = time.monotonic()
    number, metering = 0, False
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        while (now := time.monotonic()) < began + SETTLE_S + SECONDS:
            if not metering and now >= began + SETTLE_S:
                meter.begin()
                metering = True
            due = began + number / rate
            if due > now:
                time.sleep(due - now)
            pool.submit(one, due)
            number += 1
        measured = meter.end()
        pool.shutdown(cancel_futures=True)
    return measured


CLIENTS: dict[str, Callable[[int, int], dict[str, float]]] = {
    "chaoskit": chaoskit,
    "aiohttp": aiohttp,
    "aiohttp_uvloop": aiohttp_uvloop,
    "threads": threads,
}


def measured_alone(client: str, rate: int, port: int) -> dict[str, float]:
    """One client's figures, from a process of its own."""
    command = [sys.executable, __file__, client, str(rate), str(port)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    name = "requests + threads" if client == "threads" else client
    print(
        f"{name:>18} at {rate}/s: {found['rate']:6.0f}/s done, {found['cores']:.2f} cores, "
        f"begins late by {found['late_p50_ms']:.2f} ms (median), {found['late_p99_ms']:.2f} ms (99 %)",
        flush=True,
    )
    return found


def median_of(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(each[name] for each in rounds)


def cpu_us(rounds: list[dict[str, float]]) -> float:
    """CPU a request: on a busy machine a client that does half of the requests is not the cheaper one."""
    return statistics.median(each["cores"] / each["rate"] * 1e6 for each in rounds)


def wrk(port: int) -> None:
    """For scale: what one core of C does, in a closed loop."""
    program = shutil.which("wrk")
    if program is None:
        print("wrk is not installed: left out")
        return
    command = [program, "-t1", "-c64", "-d2s", f"http://127.0.0.1:{port}/"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    line = next((line for line in text.splitlines() if "Requests/sec" in line), "")
    print(f"{'wrk, closed loop':>18}: {line.split()[-1]}/s with one thread")


def await_listener(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit("the benchmark's server did not start")


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, str(HERE / "server.py"), str(port)])
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    try:
        await_listener(port, server)
        for rate in RATES:
            for _ in range(ROUNDS):  # in turn, so that a busy machine is busy for both
                for client in ("chaoskit", "aiohttp", "aiohttp_uvloop"):
                    found.setdefault((client, rate), []).append(measured_alone(client, rate, port))
            measured_alone("threads", rate, port)
        wrk(port)
    finally:
        server.kill()
        server.wait()
    ours, theirs = found["chaoskit", 2_000], found["aiohttp", 2_000]
    figures: dict[str, Any] = {
        "cores_at_5000": round(median_of(found["chaoskit", 5_000], "cores"), 3),
        "late_p99_ms_at_2000": round(median_of(ours, "late_p99_ms"), 3),
        "cpu_over_aiohttp_at_2000": round(cpu_us(ours) / cpu_us(theirs), 3),
        "cpu_over_aiohttp_uvloop_at_2000": round(cpu_us(ours) / cpu_us(found["aiohttp_uvloop", 2_000]), 3),
        "reached_at_5000": round(median_of(found["chaoskit", 5_000], "rate")),
    }
    aims = {
        "cores_at_5000": {"max": 0.5},
        "late_p99_ms_at_2000": {"max": 2},
        "cpu_over_aiohttp_at_2000": {"max": 0.5},
        "reached_at_5000": {"min": 4_950},
    }
    print(json.dumps({"bench": "load", "figures": figures, "aims": aims}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.path.insert(0, os.fspath(HERE.parent))
        print(json.dumps(CLIENTS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
