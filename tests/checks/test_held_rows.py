"""Every row of the HTTP table about held requests, for DRAIN and for REJECT."""

from __future__ import annotations

import pytest

from chaoskit.checks import Outcome, Verdict, drains, judge, no_resets, rejects_cleanly, worst
from chaoskit.history.events import History
from chaoskit.result import result_of
from tests.checks.script import (
    At,
    accepted,
    answered,
    exited,
    hand,
    history,
    hung,
    kinds,
    launched,
    left,
    lost,
    planned,
    profile,
    read,
    refused,
    sent,
    signal,
    stop,
    stopped,
    workload,
)
from tests.checks.script import ended as run_ended

DRAIN = planned()
REJECT = planned(workload(disposition="reject"))


def verdict(run: History, check: str) -> Verdict | None:
    return next((each for each in judge(run) if each.check == check), None)


def errors(run: History) -> dict[str, list[str]]:
    """Check to kinds of its errors, for those that fail."""
    return {each.check: kinds(each) for each in judge(run) if each.outcome is Outcome.FAIL}


def held(run: History) -> dict[str, int]:
    made = result_of(run, judge(run))
    assert made.held is not None
    counts = {name: getattr(made.held, name) for name in made.held.__struct_fields__ if getattr(made.held, name)}
    assert sum(counts.values()) == made.strike.sent
    return counts


@pytest.mark.parametrize("plan", [DRAIN, REJECT], ids=["drain", "reject"])
def test_a_whole_response_passes(plan: At) -> None:
    run = stopped(answered(1), plan=plan)
    assert worst(judge(run)) is Outcome.PASS
    assert held(run) == {"complete": 1}


@pytest.mark.parametrize(("plan", "fails"), [(DRAIN, {"drains": ["clean_503"]}), (REJECT, {})], ids=["drain", "reject"])
def test_a_clean_503_fails_only_what_was_to_be_drained(plan: At, fails: dict[str, list[str]]) -> None:
    run = stopped(answered(1, status=503, retry_after="5"), plan=plan)
    assert errors(run) == fails
    assert held(run) == {"clean_503": 1}


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "1.5", "5s", "Mon, 99 Foo 2026 00:00:00 GMT"])
@pytest.mark.parametrize(("plan", "check"), [(DRAIN, "drains"), (REJECT, "rejects_cleanly")], ids=["drain", "reject"])
def test_a_503_without_a_valid_retry_after_fails(plan: At, check: str, value: str | None) -> None:
    run = stopped(answered(1, status=503, retry_after=value), plan=plan)
    assert errors(run) == {check: ["unclean_503"]}
    assert held(run) == {"unclean_503": 1}


@pytest.mark.parametrize("value", ["0", "120", "Wed, 25 Nov 2026 07:28:00 GMT", "Wednesday, 25-Nov-26 07:28:00 GMT"])
def test_seconds_and_dates_are_valid_retry_afters(value: str) -> None:
    assert errors(stopped(answered(1, status=503, retry_after=value), plan=REJECT)) == {}


@pytest.mark.parametrize("status", [500, 502])
@pytest.mark.parametrize(("plan", "check"), [(DRAIN, "drains"), (REJECT, "rejects_cleanly")], ids=["drain", "reject"])
def test_another_5xx_is_cancelled_work_and_not_severed(plan: At, check: str, status: int) -> None:
    run = stopped(answered(1, status=status), plan=plan)
    assert errors(run) == {check: ["error_status"]}
    assert held(run) == {"error_status": 1}


@pytest.mark.parametrize(("plan", "check"), [(DRAIN, drains), (REJECT, rejects_cleanly)], ids=["drain", "reject"])
def test_a_4xx_that_was_not_rehearsed_is_unknown(plan: At, check: object) -> None:
    run = stopped(answered(1, status=401), plan=plan)
    assert worst(judge(run)) is Outcome.UNKNOWN
    made = check(run)  # type: ignore[operator]
    assert made.outcome is Outcome.UNKNOWN
    assert made.findings[0].kind == "unproven"
    assert held(run) == {"unproven": 1}


@pytest.mark.parametrize("status", [404, 503])
def test_the_rehearsed_status_counts_as_whole(status: int) -> None:
    rehearsal = (sent(90, 0.2, "rehearsal"), answered(90, 0.3, status=status))
    run = stopped(*rehearsal, answered(1, status=status))
    assert errors(run) == {}
    assert held(run) == {"complete": 1}


@pytest.mark.parametrize(
    ("loss", "by"),
    [
        ("closed_without_byte", "fin"),
        ("reset_without_byte", "rst"),
        ("cut_in_head", "fin"),
        ("cut_in_body", "rst"),
        ("cut_in_body", "tls"),
    ],
)
@pytest.mark.parametrize(
    ("plan", "fails"),
    [(DRAIN, {"no_resets": ["severed"], "drains": ["severed"]}), (REJECT, {"no_resets": ["severed"]})],
    ids=["drain", "reject"],
)
def test_a_severed_request_is_accused(plan: At, fails: dict[str, list[str]], loss: str, by: str) -> None:
    run = stopped(lost(1, loss=loss, by=by), plan=plan)
    assert errors(run) == fails
    assert held(run) == {"severed": 1}


def test_what_our_sigkill_at_the_deadline_cuts_is_severed() -> None:
    run = stopped(
        signal(11.0, "deadline", "SIGKILL", to="all"),
        lost(1, 11.001),
        ends=exited(11.002, name="SIGKILL"),
    )
    assert errors(run) == {
        "no_resets": ["severed"],
        "drains": ["severed"],
        "exits_in_time": ["killed_at_deadline"],
    }


@pytest.mark.parametrize(
    ("plan", "fails"),
    [(DRAIN, {"no_resets": ["hung"], "drains": ["hung"]}), (REJECT, {"no_resets": ["hung"]})],
    ids=["drain", "reject"],
)
def test_open_and_unanswered_past_the_deadline_is_hung(plan: At, fails: dict[str, list[str]]) -> None:
    run = stopped(hung(1, 13.0), plan=plan)
    assert errors(run) == fails
    assert held(run) == {"hung": 1}


def test_our_own_shorter_time_out_proves_nothing() -> None:
    run = stopped(hung(1, 4.0))
    assert drains(run).outcome is Outcome.UNKNOWN
    assert held(run) == {"unproven": 1}


@pytest.mark.parametrize("plan", [DRAIN, REJECT], ids=["drain", "reject"])
def test_a_body_that_ends_with_the_connection_proves_nothing(plan: At) -> None:
    run = stopped(answered(1, framing="eof"), plan=plan)
    assert no_resets(run).outcome is Outcome.UNKNOWN
    assert no_resets(run).findings[0].kind == "unproven"
    assert held(run) == {"unproven": 1}


def test_such_a_body_is_whole_with_what_expect_asks_for() -> None:
    assert held(stopped(answered(1, framing="eof", expected=True))) == {"complete": 1}


def test_such_a_body_is_whole_with_the_rehearsed_length() -> None:
    rehearsal = (sent(90, 0.2, "rehearsal"), answered(90, 0.3, framing="eof", body_bytes=77))
    assert held(stopped(*rehearsal, answered(1, framing="eof", body_bytes=77))) == {"complete": 1}
    assert held(stopped(*rehearsal, answered(1, framing="eof", body_bytes=76))) == {"unproven": 1}


def test_a_body_in_order_without_its_expected_end_is_severed() -> None:
    run = stopped(answered(1, framing="chunked", expected=False))
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}


def test_an_expectation_that_the_rehearsal_did_not_meet_accuses_nobody() -> None:
    rehearsal = (sent(90, 0.2, "rehearsal"), answered(90, 0.3, framing="chunked", expected=False))
    assert errors(stopped(*rehearsal, answered(1, framing="chunked", expected=False))) == {}


@pytest.mark.parametrize("plan", [DRAIN, REJECT], ids=["drain", "reject"])
@pytest.mark.parametrize("loss", ["closed_without_byte", "reset_without_byte"])
def test_what_is_lost_with_the_backlog_was_never_accepted(plan: At, loss: str) -> None:
    run = stopped(
        sent(2), sent(3), hand((1,), backlog=(2, 3)), answered(1), lost(2, loss=loss), lost(3, loss=loss), plan=plan
    )
    assert errors(run) == {"no_resets": ["never_accepted"]}
    assert held(run) == {"complete": 1, "never_accepted": 2}


def test_a_request_that_left_the_backlog_after_the_signal_is_severed() -> None:
    run = stopped(sent(2), hand((1,), backlog=(2,)), answered(1), accepted(2, 1.4), lost(2, loss="reset_without_byte"))
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}


def test_accepted_and_unread_is_in_the_systems_hands() -> None:
    run = stopped(sent(2), hand((1,), unread=(2,)), answered(1), lost(2, loss="reset_without_byte"))
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}


def test_lost_from_nobody_knows_where_fails_no_resets_and_leaves_drains_unknown() -> None:
    run = stopped(sent(2), hand((1,), unseen=(2,), known_by="gate"), answered(1), lost(2, loss="reset_without_byte"))
    assert errors(run) == {"no_resets": ["lost_unseen"]}
    assert drains(run).outcome is Outcome.UNKNOWN


def test_a_kept_alive_request_closed_in_the_same_instant_is_a_race() -> None:
    race = (sent(2, 0.98, reused=True), hand((1,), unread=(2,)), lost(2, 1.01, loss="closed_without_byte", by="fin"))
    run = stopped(*race, answered(1))
    assert errors(run) == {}
    assert kinds(no_resets(run), "warning") == ["idle_race"]
    assert held(run) == {"complete": 1, "not_held": 1}


def test_a_kept_alive_request_that_was_read_is_severed() -> None:
    race = (sent(2, 0.98, reused=True), hand((1, 2)), lost(2, 1.01, loss="closed_without_byte", by="fin"))
    assert errors(stopped(*race, answered(1)))["no_resets"] == ["severed"]


VIA = planned(workload(via=True, clients=4))


def behind_front(in_hand: tuple[int, ...], elsewhere: tuple[int, ...], *items: At) -> History:
    return stopped(sent(2), sent(3), sent(4), hand(in_hand, elsewhere=elsewhere), *items, plan=VIA)


def test_behind_a_front_the_rest_is_not_held() -> None:
    run = behind_front((1, 2), (3, 4), answered(1), answered(2), lost(3), lost(4))
    assert errors(run) == {}
    assert kinds(no_resets(run), "warning") == ["deployment_loss"]
    assert held(run) == {"complete": 2, "not_held": 2}


def test_behind_a_front_more_losses_than_it_kept_are_the_struck_ones() -> None:
    run = behind_front((1, 2), (3, 4), answered(1), lost(2), lost(3), lost(4))
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}
    assert held(run) == {"complete": 1, "severed": 1, "not_held": 2}


def test_behind_a_front_nobody_can_tell_which_request_the_struck_one_had() -> None:
    run = behind_front((1, 2), (3, 4), lost(1), lost(2), answered(3), answered(4))
    assert errors(run) == {}
    assert held(run) == {"complete": 2, "not_held": 2}


def test_a_front_that_turns_a_severed_request_into_502_does_not_hide_it() -> None:
    run = behind_front((1, 2, 3, 4), (), answered(1), answered(2), answered(3), answered(4, status=502))
    assert errors(run) == {"drains": ["error_status"]}


def test_each_workload_is_judged_by_its_own_promise() -> None:
    plan = planned(workload(0), workload(1, targets=("GET /report",), disposition="reject"))
    report = sent(2, workload=1, target="/report")
    run = stopped(report, hand((1, 2)), answered(1), answered(2, status=503, retry_after="3"), plan=plan)
    assert errors(run) == {}
    run = stopped(report, hand((1, 2)), answered(1, status=503, retry_after="3"), answered(2), plan=plan)
    assert errors(run) == {"drains": ["clean_503"]}


def test_what_a_sigkill_cuts_before_the_signal_is_recorded_was_held() -> None:
    plan = planned(fault="kill")
    run = history(
        plan,
        launched(),
        sent(1),
        hand((1,)),
        stop(1.0),
        (1.0002, lost(1, 1.0002)[1]),
        (1.0004, signal(1.0001, "kill", "SIGKILL")[1]),
        exited(1.001, name="SIGKILL"),
        left(1.001),
        run_ended(),
    )
    assert [each.check for each in judge(run)] == ["struck"]
    assert worst(judge(run)) is Outcome.PASS
    assert held(run) == {"severed": 1}


def test_a_request_sent_after_the_signal_but_recorded_before_it_is_new_work() -> None:
    run = stopped(answered(1), sent(2, 1.0), answered(2, 1.5))
    assert result_of(run, ()).strike.sent in (1, 2)
    early = history(
        planned(),
        sent(1),
        hand((1,)),
        stop(),
        (1.0003, sent(2, 1.0003)[1]),
        (1.0005, signal(1.0)[1]),
        answered(1),
        answered(2, 1.4),
        exited(),
        left(),
        run_ended(),
    )
    made = result_of(early, ())
    assert made.strike.sent == 1
    assert made.after is not None
    assert made.after.complete == 1


def test_a_caller_that_gives_up_while_the_work_goes_on_proves_nothing() -> None:
    gone = caller_left(1.5)
    run = stopped(gone, answered(1, 3.0, status=504), ends=exited(5.0))
    assert errors(run) == {}
    assert drains(run).outcome is Outcome.UNKNOWN
    assert held(run) == {"unproven": 1}


def test_a_caller_that_leaves_as_its_request_is_severed_hides_nothing() -> None:
    run = stopped(caller_left(1.5), lost(1, 1.6), ends=exited(5.0))
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}


def caller_left(at_s: float) -> At:
    from chaoskit.history.facts import CallReleased

    return at_s, CallReleased(call=1, how="caller_left")


def test_an_answer_that_is_no_http_is_an_error_status() -> None:
    assert errors(stopped(lost(1, loss="malformed", by="parser"))) == {"drains": ["error_status"]}


def test_under_propagation_held_work_is_judged_the_same() -> None:
    plan = planned(platform=profile(name="kubernetes", grace_s=30, propagation_s=5))
    run = stopped(lost(1), read(1, 1.1), refused(5, 9.0), plan=plan)
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}


def test_what_is_cut_between_the_call_and_its_return_was_held() -> None:
    """`sent_s` is read when the call is back; the struck system may have run in between."""
    run = history(
        planned(),
        launched(),
        sent(1),
        hand((1,), 0.9989),
        stop(0.999),
        lost(1, 1.0),
        signal(1.002, planned_s=0.9991),
        exited(1.001),
        left(1.001),
        run_ended(),
    )
    assert errors(run) == {"no_resets": ["severed"], "drains": ["severed"]}
    assert held(run) == {"severed": 1}
