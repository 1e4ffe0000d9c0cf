"""How long does it take to judge a big run, and how much memory? A journal of 100,000 and of 1,000,000 events.

Each journal is read, judged and rendered as text in a process of its own, as `chaoskit judge` does it; the peak is
that process's resident memory. Beside it: the same journal only read, which is the least that any judging costs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from chaoskit.checks import judge
from chaoskit.history import facts
from chaoskit.history.events import Event
from chaoskit.history.journal import JOURNAL, Journal, load
from chaoskit.reports.text import headline, render

SIZES = (100_000, 1_000_000)
HELD = 1_000
ROUNDS = 3
AIMS = {"judge_s_1m": {"max": 5}, "growth_10x": {"max": 12}, "peak_mb_1m": {"max": 1000}}


def run_of(size: int) -> Iterator[tuple[float, facts.AnyFact]]:
    """An open-loop run: traffic before the signal, 1,000 held, traffic after it; one request in 500 is lost."""
    planned_workload = facts.WorkloadPlanned(
        index=0, kind="requests", targets=("GET /export",), disposition="drain", clients=4, hold_at_least=1, rate=2000.0
    )
    platform = facts.ProfilePlanned(
        name="process", signal="SIGTERM", to="leader", grace_s=600, pre_stop_s=0, pre_stop_counts=True, propagation_s=0
    )
    yield (
        0.0,
        facts.RunPlanned(
            run="bench", system="shop", command="shop", fault="terminate", profile=platform,
            workloads=(planned_workload,), moment="held()", readiness="/healthz",
        ),
    )  # fmt: skip
    yield 0.1, facts.InstanceLaunched(instance="shop", role="struck", pid=1, command="shop", host="127.0.0.1", port=80)
    clock, number = 1.0, 0
    before = (size * 6 // 10 - HELD) // 3
    for _ in range(before):
        number += 1
        clock += 0.0005
        yield from _whole(number, clock)
    held = range(number + 1, number + 1 + HELD)
    for each in held:
        yield clock, _sent(each, clock, "work")
    yield (
        clock,
        facts.WorkInHand(
            in_hand=tuple(held), unread=(), backlog=(), elsewhere=(), unseen=(), known_by="socket_oracle", gate_calls=0
        ),
    )
    yield clock, facts.StopActionTaken(instance="shop", deadline_s=clock + 600)
    yield (
        clock,
        facts.SignalSent(
            instance="shop", signal="SIGTERM", to="leader", pids=(1,), planned_s=clock, sent_s=clock, late_s=0.0,
            reason="stop", path="pidfd",
        ),
    )  # fmt: skip
    number += HELD
    for place in range((size - before * 3 - HELD * 2 - 10) // 3):
        number += 1
        clock += 0.0005
        yield from (_lost(number, clock) if place % 500 == 499 else _whole(number, clock))
    for each in held:
        yield clock, _answer(each, clock)
    yield clock + 0.1, facts.InstanceExited(instance="shop", code=0, signal=None, exited_s=clock + 0.1)
    yield (
        clock + 0.1,
        facts.LeftBehind(instance="shop", pids=(), names=(), listeners=(), after_s=0.0, final=True),
    )
    yield clock + 0.2, facts.RunEnded(how="judged")


def _sent(number: int, at_s: float, purpose: str) -> facts.RequestSent:
    return facts.RequestSent(
        request=number, purpose=purpose, workload=0, method="GET", target="/export", connection=number % 64,
        client_port=40_000 + number % 64, opened_s=at_s, reused=False,
    )  # fmt: skip


def _answer(number: int, at_s: float) -> facts.ResponseReceived:
    return facts.ResponseReceived(
        request=number, status=200, framing="sized", body_bytes=512, body_digest="0123456789abcdef",
        retry_after=None, closes=False, first_byte_s=at_s,
    )  # fmt: skip


def _whole(number: int, at_s: float) -> Iterator[tuple[float, facts.AnyFact]]:
    yield at_s, _sent(number, at_s, "work")
    yield at_s + 0.0001, facts.FirstByteReceived(request=number)
    yield at_s + 0.0002, _answer(number, at_s)


def _lost(number: int, at_s: float) -> Iterator[tuple[float, facts.AnyFact]]:
    yield at_s, _sent(number, at_s, "work")
    yield at_s + 0.0001, facts.FirstByteReceived(request=number)
    yield (
        at_s + 0.0002,
        facts.RequestLost(
            request=number, loss="cut_in_body", by="rst", errno=104, status=200, framing="sized", body_bytes=100,
            expected_bytes=512, sent_bytes=80,
        ),
    )  # fmt: skip


def write(folder: Path, size: int) -> int:
    journal = Journal(folder / JOURNAL)
    count = 0
    for index, (at_s, fact) in enumerate(run_of(size)):
        journal.write(Event(index, round(at_s, 6), "bench", fact))
        count = index + 1
    journal.close()
    return count


def measure(folder: Path) -> dict[str, float]:
    """In a child: read, judge, render; then only read. Peak memory is taken before the second reading."""
    began = time.perf_counter()
    history = load(folder)
    verdicts = judge(history)
    text = headline(history, verdicts) + "\n" + render(history, verdicts)
    took_s = time.perf_counter() - began
    assert "were severed" in text, text
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    events = sum(1 for _ in load(folder))
    return {
        "judge_s": took_s,
        "read_s": time.perf_counter() - began,
        "peak_mb": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10),
        "events": events,
    }


def in_child(folder: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, str(folder)], check=True, capture_output=True, text=True)
    made: dict[str, float] = json.loads(done.stdout)
    return made


def main() -> None:
    best: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as root:
        for size in SIZES:
            folder = Path(root) / str(size)
            folder.mkdir()
            write(folder, size)
            rounds = [in_child(folder) for _ in range(ROUNDS)]
            best[size] = min(rounds, key=lambda each: each["judge_s"])
            best[size]["peak_mb"] = max(each["peak_mb"] for each in rounds)
            print(f"{size:>9,} events: " + ", ".join(f"{name} {value:.3g}" for name, value in best[size].items()))
    small, big = (best[size] for size in SIZES)
    figures = {
        "judge_s_1m": round(big["judge_s"], 3),
        "growth_10x": round(big["judge_s"] / small["judge_s"], 2),
        "peak_mb_1m": round(big["peak_mb"], 1),
        "judge_s_100k": round(small["judge_s"], 3),
        "read_s_1m": round(big["read_s"], 3),
    }
    print(json.dumps({"bench": "judge", "figures": figures, "aims": AIMS}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
    else:
        main()
