"""Calls held open until they are let go."""

from __future__ import annotations

import socket
from typing import Literal

import pytest

from chaoskit.downstream.gate import Gate
from chaoskit.history.facts import CallArrived, CallEnded, CallReleased, EffectApplied
from tests.downstream.conftest import Downstream, until


def leaving_caller(downstream: Downstream, key: str = "k") -> socket.socket:
    """A caller that sends its call and can leave."""
    sock = socket.create_connection(("127.0.0.1", downstream.server.open_port("web")))
    sock.sendall(
        f"POST /v1/charges HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    return sock


def test_a_call_held_before_it_counts_is_no_effect_until_released(downstream: Downstream) -> None:
    gate = downstream.server.gate
    gate.arm(1, "before")
    result = downstream.calling()
    until(lambda: gate.held == 1)
    assert not downstream.of(EffectApplied)
    assert downstream.of(CallArrived)[0].held
    gate.release()
    assert result().status == 200
    until(lambda: downstream.of(CallEnded))
    assert [type(fact) for fact in downstream.facts] == [CallArrived, CallReleased, EffectApplied, CallEnded]
    assert downstream.of(CallReleased)[0].how == "released"
    assert gate.held == 0


def test_a_call_held_after_it_counted_waits_for_its_answer_only(downstream: Downstream) -> None:
    gate = downstream.server.gate
    gate.arm(1, "after")
    result = downstream.calling()
    until(lambda: gate.held == 1 and downstream.of(EffectApplied))
    assert len(downstream.sink.effects) == 1
    assert not downstream.of(CallEnded)
    gate.release()
    assert result().status == 200
    assert len(downstream.sink.effects) == 1


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
def test_a_caller_that_leaves_a_hold_before_the_count_has_no_effect(
    downstream: Downstream, when: Literal["before", "after"], effects: int
) -> None:
    gate = downstream.server.gate
    gate.arm(1, when)
    caller = leaving_caller(downstream)
    until(lambda: gate.held == 1 and len(downstream.sink.effects) == effects)
    caller.close()
    until(lambda: downstream.of(CallEnded))
    assert downstream.of(CallReleased)[0].how == "caller_left"
    assert downstream.of(CallEnded)[0].status is None
    assert gate.held == 0
    gate.release()
    assert downstream.call(key="k").status == 200  # redelivered: the work that the first caller did not get
    assert len(downstream.sink.effects) == 1


def test_a_call_that_conflicts_with_a_held_one_is_refused_not_held(downstream: Downstream) -> None:
    gate = downstream.server.gate
    downstream.sink.conflict = True
    gate.arm(5)
    caller = leaving_caller(downstream)
    until(lambda: gate.held == 1)
    assert downstream.call(key="k").status == 409
    caller.close()
    until(lambda: gate.held == 0)
    gate.release()
    assert downstream.call(key="k").status == 200


def test_no_more_calls_are_held_than_asked_for(downstream: Downstream) -> None:
    gate = downstream.server.gate
    gate.arm(2)
    results = [downstream.calling() for _ in range(2)]
    until(lambda: gate.held == 2)
    assert downstream.call().status == 200
    assert gate.held == 2
    gate.release()
    assert [result().status for result in results] == [200, 200]
    assert downstream.call().status == 200


def test_calls_are_held_only_while_they_are_allowed_to_be(downstream: Downstream) -> None:
    gate = downstream.server.gate
    allowed = False
    gate.arm(1, "before", lambda: allowed)
    assert downstream.call().status == 200
    allowed = True
    result = downstream.calling()
    until(lambda: gate.held == 1)
    gate.release()
    assert result().status == 200


def test_a_disarmed_gate_keeps_what_it_holds_and_takes_no_more(downstream: Downstream) -> None:
    gate = downstream.server.gate
    gate.arm(5)
    result = downstream.calling()
    until(lambda: gate.held == 1)
    gate.disarm()
    assert downstream.call().status == 200
    assert gate.held == 1
    gate.release()
    assert result().status == 200


def test_a_gate_can_be_armed_anew(downstream: Downstream) -> None:
    gate = downstream.server.gate
    for _ in range(2):
        gate.arm(1)
        result = downstream.calling()
        until(lambda: gate.held == 1)
        gate.release()
        assert result().status == 200


def test_a_gate_of_a_server_that_never_ran_releases_nothing() -> None:
    gate = Gate()
    gate.release()
    assert gate.take(1) is None
