"""The sink in a whole run: what it holds proves that work is in hand, and its trouble ends the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaoskit import Command, Requests
from chaoskit.downstream.server import SinkServer
from chaoskit.downstream.sink import Call
from chaoskit.errors import ChaoskitError
from chaoskit.history.facts import CallReleased
from chaoskit.verbs import Harness, Run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SinkServer]:
    server = SinkServer(tmp_path / "effects").start()
    yield server
    server.close()


@pytest.fixture
def strike(server: SinkServer, tmp_path: Path) -> Iterator[Callable[[], Run]]:
    harness = Harness(run_dir=tmp_path, root=ROOT, sink_server=server)
    shop = Command("{python} targets/drains.py --port {port}", ready="/healthz", env={"SINK_URL": server})
    yield lambda: harness.terminate(shop, during=Requests("GET /slow?sink=1", clients=2, idle=0, rehearse=False))
    harness.close()


def test_calls_that_the_gate_holds_prove_that_work_is_in_hand(server: SinkServer, strike: Callable[[], Run]) -> None:
    run = strike()
    assert run.outcome == "pass", run.report()
    assert run.strike.known_by == "gate"
    assert [event.fact.how for event in run.history if isinstance(event.fact, CallReleased)] == ["released"] * 2
    assert not server.gate.held


def test_code_of_the_tests_that_fails_is_a_fault_of_the_harness_not_of_the_system(
    server: SinkServer, strike: Callable[[], Run]
) -> None:
    def broken(call: Call) -> str:
        raise LookupError(call.path)

    server.sink.effect("POST /work", answer=broken)
    with pytest.raises(ChaoskitError, match="answer= for POST /work failed: LookupError"):
        strike()


def test_what_one_test_declares_is_gone_for_the_next(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_first(chaos_sink):
            chaos_sink.require_key = True

        def test_second(chaos_sink_server):
            assert not chaos_sink_server.sink.require_key
        """
    )
    options = ("--chaos", "-p", "no:randomly", "-p", "no:xdist", "-o", "asyncio_default_fixture_loop_scope=function")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=2)
