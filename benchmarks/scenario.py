"""What does a whole chaoskit run cost beside the bare thing: start, request, signal, exit of the same server?"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from chaoskit.drivers import ports
from chaoskit.drivers.command import Command
from chaoskit.verbs import Harness
from chaoskit.workloads.requests import Requests

ROOT = Path(__file__).parents[1]
ROUNDS = 9
WORK_S = 0.3


def bare() -> float:
    """Start, wait for the port, hold one request, SIGTERM, wait for answer and exit."""
    began = time.perf_counter()
    port = ports.pick()
    command = [sys.executable, str(ROOT / "targets" / "drains.py"), "--port", str(port), "--work", str(WORK_S)]
    with subprocess.Popen(command) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.005)
        link = http.client.HTTPConnection("127.0.0.1", port)
        link.request("GET", "/slow", headers={"Connection": "close"})
        answer: list[int] = []
        reader = threading.Thread(target=lambda: answer.append(link.getresponse().status))
        reader.start()
        process.send_signal(signal.SIGTERM)
        reader.join()
        process.wait()
    ports.release(port)
    assert answer == [200], answer
    return time.perf_counter() - began


def whole(harness: Harness) -> float:
    """The same, seen and judged."""
    began = time.perf_counter()
    run = harness.terminate(
        Command(f"{{python}} targets/drains.py --port {{port}} --work {WORK_S}", ready="tcp"),
        during=Requests("GET /slow", clients=1, idle=0, rehearse=False),
        grace_s=4,
    )
    took_s = time.perf_counter() - began
    assert run.outcome == "pass", run.report()
    return took_s


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        harness = Harness(run_dir=Path(name), root=ROOT)
        bare()
        whole(harness)
        pairs = [(bare(), whole(harness)) for _ in range(ROUNDS)]
        harness.close()
    overhead_ms = statistics.median(ours - theirs for theirs, ours in pairs) * 1000
    print(
        f"bare {statistics.median(each[0] for each in pairs):.3f} s, chaoskit {statistics.median(each[1] for each in pairs):.3f} s"
    )
    figures = {"overhead_ms": round(overhead_ms, 1)}
    print(json.dumps({"bench": "scenario", "figures": figures, "aims": {"overhead_ms": {"max": 100}}}))


if __name__ == "__main__":
    main()
