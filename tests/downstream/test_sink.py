"""What counts as an effect, by which key, and what is answered."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chaoskit.downstream.server import SinkServer
from chaoskit.downstream.sink import Call, Reply
from chaoskit.errors import UsageError
from chaoskit.history.facts import CallArrived, CallEnded, EffectApplied, Noted
from tests.downstream.conftest import Downstream, until


def test_a_call_that_changes_something_is_an_effect_and_reading_is_none(downstream: Downstream) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"):
        assert downstream.call(method=method).status == 200
    assert [call.method for call in downstream.sink.calls] == ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]
    assert len(downstream.sink.effects) == 3


def test_without_a_script_the_answer_is_an_empty_object(downstream: Downstream) -> None:
    answer = downstream.call()
    assert (answer.json, answer.headers["content-type"]) == ({}, "application/json")


def test_the_facts_of_a_call_come_in_order(downstream: Downstream) -> None:
    downstream.call({"n": 1}, key="k1")
    until(lambda: downstream.of(CallEnded))
    assert [type(fact) for fact in downstream.facts] == [CallArrived, EffectApplied, CallEnded]
    arrived = downstream.of(CallArrived)[0]
    assert (arrived.method, arrived.path, arrived.key, arrived.held) == ("POST", "/v1/charges", "k1", False)
    assert downstream.of(CallEnded)[0].status == 200


def test_the_key_is_the_users_then_the_header_then_a_field_of_the_body(downstream: Downstream) -> None:
    downstream.call({"key": "body"}, key="header")
    downstream.call({"key": "body"})
    downstream.call({"key": 7})
    downstream.call(b"[1]")
    downstream.call(b"\xff\xfe")
    downstream.sink.effect("POST /named", key=lambda call: call.form["order"])
    downstream.call(b"order=17&x=1", path="/named", key="header-2")
    assert [effect.key for effect in downstream.sink.effects] == ["header", "body", "7", None, None, "17"]


def test_a_key_of_none_is_no_effect(downstream: Downstream) -> None:
    downstream.sink.effect("POST /v1/charges", key=lambda call: call.json.get("order"))
    downstream.call({"ping": True})
    downstream.call({"order": 5})
    assert [effect.key for effect in downstream.sink.effects] == ["5"]


def test_once_effects_are_declared_other_calls_are_only_answered(downstream: Downstream) -> None:
    downstream.sink.effect("post /v1/charges")
    assert downstream.call(path="/v1/refunds").status == 200
    downstream.call()
    assert [call.path for call in downstream.sink.calls] == ["/v1/refunds", "/v1/charges"]
    assert len(downstream.sink.effects) == 1


def test_a_declared_get_may_be_an_effect(downstream: Downstream) -> None:
    downstream.sink.effect("GET /fire")
    downstream.call(method="GET", path="/fire")
    assert len(downstream.sink.effects) == 1


@pytest.mark.parametrize("route", ["/v1/charges", "POST", "POST v1", "POST /a /b"])
def test_a_route_that_is_none_is_named(downstream: Downstream, route: str) -> None:
    with pytest.raises(UsageError, match="a method and a path"):
        downstream.sink.effect(route)


# ---- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_is_a_value_a_list_or_what_a_callable_returns(downstream: Downstream) -> None:
    downstream.sink.effect("POST /value", answer={"id": 1})
    downstream.sink.effect("POST /list", answer=[{"n": 1}, (503, {"n": 2}), {"n": 3}])
    downstream.sink.effect("POST /call", answer=lambda call: {"echo": call.json["n"], "from": call.instance})
    downstream.sink.effect("POST /reply", answer=Reply(201, b"<a/>", (("Content-Type", "text/xml"),)))
    assert downstream.call(path="/value").json == {"id": 1}
    listed = [downstream.call(path="/list") for _ in range(4)]
    assert [(answer.status, answer.json["n"]) for answer in listed] == [(200, 1), (503, 2), (200, 3), (200, 3)]
    assert downstream.call({"n": 9}, path="/call").json == {"echo": 9, "from": "web"}
    reply = downstream.call(path="/reply")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (201, b"<a/>", "text/xml")


def test_an_answer_may_have_no_body(downstream: Downstream) -> None:
    downstream.sink.effect("POST /v1/charges", answer=Reply(204, b"", ()))
    answer = downstream.call()
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


def test_what_is_kept_of_very_many_calls_is_bounded(downstream: Downstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.downstream.sink.KEPT_CALLS", 3)
    monkeypatch.setattr("chaoskit.downstream.sink.KEPT_BYTES", 10)
    for _ in range(4):
        downstream.call(b"12345")
    assert [call.body for call in downstream.sink.calls] == [b"12345", b"12345", b""]
    assert len(downstream.sink.effects) == 4


def broken(call: Call) -> str:
    raise LookupError(call.path)


def test_a_callable_that_fails_is_the_tests_trouble_and_no_effect(downstream: Downstream) -> None:
    downstream.sink.effect("POST /v1/charges", answer=broken)
    assert downstream.call().status == 500
    assert not downstream.sink.effects
    assert "answer= for POST /v1/charges failed: LookupError" in str(downstream.sink.trouble)


def test_a_key_that_fails_is_the_tests_trouble_too(downstream: Downstream) -> None:
    downstream.sink.effect("POST /v1/charges", key=broken)
    assert downstream.call().status == 500
    assert "key= for POST /v1/charges failed" in str(downstream.sink.trouble)


def test_the_first_trouble_is_the_one_that_is_told(downstream: Downstream) -> None:
    downstream.sink.effect("POST /first", answer=broken)
    downstream.sink.effect("POST /second", key=broken)
    downstream.call(path="/first")
    downstream.call(path="/second")
    assert "/first" in str(downstream.sink.trouble)


def test_a_value_that_is_no_json_is_the_tests_trouble(downstream: Downstream) -> None:
    downstream.sink.effect("POST /v1/charges", answer=object())
    assert downstream.call().status == 500
    assert downstream.sink.trouble is not None


def test_another_server_may_answer_while_recording_stays_here(downstream: Downstream, tmp_path: Path) -> None:
    other = SinkServer(tmp_path / "other").start()
    try:
        answers = Reply(202, b'{"id": "ch_1"}', (("Content-Type", "application/json"), ("X-Request-Id", "r1")))
        other.sink.effect("POST /v1/charges", answer=answers)
        downstream.sink.forward_to(f"http://127.0.0.1:{other.open_port('other')}/")
        answer = downstream.call({"n": 1}, path="/v1/charges?expand=1", key="k")
        assert (answer.status, answer.json, answer.headers["x-request-id"]) == (202, {"id": "ch_1"}, "r1")
        assert (other.sink.calls[0].json, other.sink.calls[0].query) == ({"n": 1}, "expand=1")
        assert other.sink.calls[0].headers["idempotency-key"] == "k"
        assert len(downstream.sink.effects) == 1
    finally:
        other.close()
    assert downstream.call().status == 500
    assert "forward_to() for POST /v1/charges failed" in str(downstream.sink.trouble)


def test_only_http_can_be_forwarded_to(downstream: Downstream) -> None:
    with pytest.raises(UsageError, match="expected an http URL"):
        downstream.sink.forward_to("localhost:4010")


# ---- idempotency ---------------------------------------------------------------------------------------------------


def test_a_repeated_key_with_the_same_payload_replays_the_answer(downstream: Downstream) -> None:
    downstream.sink.effect("POST /v1/charges", answer=[{"id": 1}, {"id": 2}])
    answers = [downstream.call({"n": 1}, key="k") for _ in range(2)]
    assert [answer.json for answer in answers] == [{"id": 1}, {"id": 1}]
    assert len(downstream.sink.effects) == 1
    assert [(fact.key, fact.repeated) for fact in downstream.of(EffectApplied)] == [("k", False), ("k", True)]


def test_a_repeated_key_with_another_payload_is_refused(downstream: Downstream) -> None:
    downstream.call({"n": 1}, key="k")
    assert downstream.call({"n": 2}, key="k").status == 422
    assert downstream.call({"n": 1}, key="k", path="/v1/refunds").status == 422
    assert len(downstream.sink.effects) == 1
    assert [fact.kind for fact in downstream.of(Noted)] == ["key_reused"] * 2


def test_a_key_in_the_body_only_names_the_effect(downstream: Downstream) -> None:
    for _ in range(2):
        downstream.call({"key": "k"})
    assert [effect.key for effect in downstream.sink.effects] == ["k", "k"]


def test_without_idempotency_every_call_counts(downstream: Downstream) -> None:
    downstream.sink.idempotent = False
    for _ in range(2):
        downstream.call(key="k")
    assert [effect.key for effect in downstream.sink.effects] == ["k", "k"]


def test_a_key_may_be_required(downstream: Downstream) -> None:
    downstream.sink.require_key = True
    assert downstream.call().status == 400
    assert downstream.call(method="GET").status == 200
    assert downstream.call(key="k").status == 200
    assert len(downstream.sink.effects) == 1


def slow_answer(downstream: Downstream) -> tuple[threading.Event, threading.Event]:
    entered, go = threading.Event(), threading.Event()

    def answer(call: Call) -> dict[str, int]:
        entered.set()
        go.wait(10)
        return {"id": call.number}

    downstream.sink.effect("POST /v1/charges", answer=answer)
    return entered, go


def test_a_key_that_is_still_running_may_conflict(downstream: Downstream) -> None:
    downstream.sink.conflict = True
    entered, go = slow_answer(downstream)
    first = downstream.calling(key="k")
    assert entered.wait(10)
    assert downstream.call(key="k").status == 409
    assert downstream.call(key="k").status == 409
    go.set()
    assert first().status == 200
    assert downstream.call(key="k").json == first().json
    assert len(downstream.sink.effects) == 1


def test_two_calls_at_once_with_one_key_are_one_effect(downstream: Downstream) -> None:
    entered, go = slow_answer(downstream)
    first = downstream.calling(key="k")
    assert entered.wait(10)
    second = downstream.calling(key="k")
    until(lambda: len(downstream.of(CallArrived)) == 2)
    go.set()
    assert first().json == second().json
    assert len(downstream.sink.effects) == 1


def test_a_reset_begins_the_next_test_anew(downstream: Downstream) -> None:
    downstream.sink.require_key = True
    downstream.sink.effect("POST /v1/charges", answer={"id": 1})
    downstream.call(key="k")
    downstream.sink.reset()
    assert (downstream.sink.calls, downstream.sink.effects, downstream.sink.trouble) == ([], [], None)
    assert downstream.call().json == {}
    assert downstream.call(key="k").json == {}
