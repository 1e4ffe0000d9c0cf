"""What do 10,000 requests held at once cost the harness, and what does one question to the socket oracle cost?"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from chaoskit.drivers.command import Command
from chaoskit.drivers.sockets import Oracle
from chaoskit.verbs import Harness
from chaoskit.workloads.requests import Requests

ROOT = Path(__file__).parents[1]
HELD = 10_000
LOOKS = 20
SECONDS = 12


def ask_the_oracle(port: int, costs: list[float], most: list[int]) -> None:
    """Once everything is held, ask a second oracle of our own and take the times."""
    oracle = Oracle.open(port)
    end = time.monotonic() + 60
    while time.monotonic() < end and len(costs) < LOOKS:
        began = time.perf_counter()
        look = oracle.look()
        cost_ms = (time.perf_counter() - began) * 1000
        ready = sum(1 for row in look.connections.values() if row.accepted)
        most[0] = max(most[0], ready)
        if ready >= HELD:
            costs.append(cost_ms)
        time.sleep(0.1)
    oracle.close()


def main() -> None:
    costs: list[float] = []
    most = [0]
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as name:
        harness = Harness(run_dir=Path(name), root=ROOT)
        port = 19_871
        watcher = threading.Thread(target=ask_the_oracle, args=(port, costs, most), daemon=True)
        watcher.start()
        run = harness.terminate(
            Command("{python} benchmarks/server.py {port}", port=port),
            during=Requests(f"GET /{SECONDS}", clients=HELD, hold_at_least=HELD, idle=0, rehearse=False),
            grace_s=2,
        )
        held = run.strike.held
        watcher.join(1)
        harness.close()
    held_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)
    oracle_ms = statistics.median(costs) if costs else float("nan")
    print(f"held at the strike: {held} of {HELD}; whole harness {held_mb:.0f} MB (before: {before_mb:.0f} MB)")
    print(f"one question about {most[0]} connections: median {oracle_ms:.1f} ms of {len(costs)}, while all are open")
    figures = {"held": held, "held_mb": round(held_mb, 1), "oracle_ms": round(oracle_ms, 2)}
    aims = {"held": {"min": HELD}, "held_mb": {"max": 200}, "oracle_ms": {"max": 20}}
    print(json.dumps({"bench": "held", "figures": figures, "aims": aims}))


if __name__ == "__main__":
    main()
