"""Every row of the HTTP table about new work, readiness probes and idle connections, for DRAIN and for REJECT."""

from __future__ import annotations

import pytest

from chaoskit.checks import Outcome, judge, no_resets, readiness_first, rejects_cleanly, stops_accepting, struck, worst
from chaoskit.checks.verdict import Verdict
from chaoskit.history.events import History
from chaoskit.history.facts import ConnectionEnded, PreStopEnded
from chaoskit.result import AfterResult, IdleResult, result_of
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
    listener,
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

DRAIN = planned(workload(new="GET /items"))
REJECT = planned(workload(disposition="reject", new="GET /items"))
KUBERNETES = profile(name="kubernetes", grace_s=10, propagation_s=3)
DRAIN_LATE = planned(workload(new="GET /items"), platform=KUBERNETES)
REJECT_LATE = planned(workload(disposition="reject"), platform=KUBERNETES)
BOTH = pytest.mark.parametrize("plan", [DRAIN, REJECT], ids=["drain", "reject"])
ALL = pytest.mark.parametrize(
    "plan", [DRAIN, REJECT, DRAIN_LATE, REJECT_LATE], ids=["drain", "reject", "drain-late", "reject-late"]
)


def errors(run: History) -> dict[str, list[str]]:
    return {each.check: kinds(each) for each in judge(run) if each.outcome is Outcome.FAIL}


def warnings(run: History) -> dict[str, list[str]]:
    return {each.check: kinds(each, "warning") for each in judge(run) if kinds(each, "warning")}


def check(run: History, name: str) -> Verdict | None:
    return next((each for each in judge(run) if each.check == name), None)


def after(run: History) -> AfterResult:
    made = result_of(run, judge(run)).after
    assert made is not None
    return made


def struck_with(*items: At, plan: At = DRAIN, ends: At | None = None) -> History:
    """Request 1 is held until 3.0 s and answered (REJECT: with a clean 503)."""
    held = answered(1, 3.0)
    return stopped(held, *items, plan=plan, ends=ends or exited(3.5))


# ---- statuses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 302])
def test_a_whole_answer_to_new_work_passes_under_drain(status: int) -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 1.3, status=status))
    assert worst(judge(run)) is Outcome.PASS
    assert after(run).complete == 1


def test_new_long_work_that_is_taken_fails_stops_accepting_under_reject() -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 2.5), plan=REJECT)
    assert errors(run) == {"stops_accepting": ["accepted_new"]}


def test_long_work_taken_in_the_first_quarter_second_is_only_noted() -> None:
    items = (sent(2, 1.2, "new"), answered(2, 2.5), sent(3, 1.75, "new"), answered(3, 1.8, 503, retry_after="1"))
    run = struck_with(*items, plan=REJECT)
    assert errors(run) == {}
    assert kinds(stops_accepting(run), "note") == ["taken_early"]


def test_new_short_work_of_a_reject_workload_owes_an_answer() -> None:
    items = (
        sent(2, 1.25, "new", target="/items"),
        answered(2, 1.3),
        sent(3, 1.75, "new"),
        answered(3, 1.8, 503, retry_after="1"),
    )
    run = struck_with(*items, plan=REJECT)
    assert worst(judge(run)) is Outcome.PASS
    assert check(run, "stops_accepting") is not None


@ALL
def test_a_503_with_a_valid_retry_after_passes(plan: At) -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 1.3, 503, retry_after="5"), plan=plan)
    assert worst(judge(run)) is Outcome.PASS
    assert after(run).clean_503 == 1
    assert rejects_cleanly(run).summary == "1 of 1 new request got 503, Retry-After: 5"


def test_a_503_that_keeps_the_connection_open_is_noted() -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 1.3, 503, retry_after="5", closes=False), plan=REJECT)
    assert kinds(rejects_cleanly(run), "note") == ["keeps_open"]


@ALL
@pytest.mark.parametrize("value", [None, "1.5"])
def test_a_503_without_a_valid_retry_after_fails(plan: At, value: str | None) -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 1.3, 503, retry_after=value), plan=plan)
    assert errors(run) == {"rejects_cleanly": ["unclean_503"]}
    assert after(run).unclean_503 == 1


@ALL
@pytest.mark.parametrize("status", [500, 502])
def test_another_5xx_fails(plan: At, status: int) -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 1.3, status), plan=plan)
    assert errors(run) == {"rejects_cleanly": ["error_status"]}
    assert after(run).other_status == 1


@BOTH
def test_a_4xx_that_was_not_rehearsed_is_noted(plan: At) -> None:
    run = struck_with(sent(2, 1.25, "new"), answered(2, 1.3, 404), plan=plan)
    assert errors(run) == {}
    assert kinds(rejects_cleanly(run), "note") == ["odd_status"]


def test_the_rehearsed_status_counts_as_whole() -> None:
    rehearsal = (sent(90, 0.2, "rehearsal", target="/items"), answered(90, 0.3, 404))
    run = struck_with(*rehearsal, sent(2, 1.25, "new", target="/items"), answered(2, 1.3, 404))
    assert after(run).complete == 1


def test_statuses_outside_the_window_are_not_judged() -> None:
    late = (sent(2, 3.2, "new"), answered(2, 3.3, 500), sent(3, 3.2, "new"), answered(3, 3.3, 503))
    assert errors(struck_with(*late)) == {}
    inside = errors(struck_with(*late, plan=DRAIN_LATE))
    assert inside == {"rejects_cleanly": ["unclean_503", "error_status"]}


# ---- refused -----------------------------------------------------------------------------------------------------


def test_refused_passes_under_drain_without_propagation() -> None:
    run = struck_with(refused(2, 1.25), refused(3, 1.75))
    assert worst(judge(run)) is Outcome.PASS
    assert after(run).refused == 2


@pytest.mark.parametrize("plan", [DRAIN_LATE, REJECT, REJECT_LATE], ids=["drain-late", "reject", "reject-late"])
def test_refused_fails_under_propagation_and_under_reject(plan: At) -> None:
    run = struck_with(refused(2, 1.25), plan=plan)
    assert errors(run) == {"rejects_cleanly": ["refused"]}
    assert "definite" in rejects_cleanly(run).summary


def test_short_new_work_of_a_reject_workload_may_be_refused_without_propagation() -> None:
    assert errors(struck_with(refused(2, 1.25, target="/items"), plan=REJECT)) == {}


def test_refused_past_the_end_of_propagation_accuses_nobody() -> None:
    assert errors(struck_with(refused(2, 4.1), plan=DRAIN_LATE)) == {}


def test_refused_inside_propagation_is_accused_even_past_the_exit() -> None:
    run = struck_with(refused(2, 3.8), plan=DRAIN_LATE)
    assert errors(run) == {"rejects_cleanly": ["refused"]}
    assert after(run).refused == 1


def test_a_readiness_probe_that_is_refused_under_propagation_is_judged() -> None:
    run = struck_with(refused(2, 1.3, "readiness"), plan=planned(platform=KUBERNETES, readiness="/healthz"))
    assert errors(run)["rejects_cleanly"] == ["refused"]


# ---- lost --------------------------------------------------------------------------------------------------------

LOST = pytest.mark.parametrize(("loss", "by"), [("closed_without_byte", "fin"), ("reset_without_byte", "rst")])


@BOTH
@LOST
@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_that_meet_the_closing_listener_are_a_race(plan: At, loss: str, by: str, count: int) -> None:
    items = [each for n in range(count) for each in (sent(5 + n, 2.0, "new"), lost(5 + n, 2.05, loss, by))]
    run = struck_with(*items, listener(2.0), plan=plan)
    assert errors(run) == {}
    assert warnings(run) == {"no_resets": ["listener_race"]}
    assert after(run).reset == count


@LOST
def test_three_are_no_race(loss: str, by: str) -> None:
    items = [each for n in range(3) for each in (sent(5 + n, 2.0, "new"), lost(5 + n, 2.05, loss, by))]
    assert errors(struck_with(*items, listener(2.0))) == {"no_resets": ["new_lost"]}


def test_what_had_waited_in_the_backlog_before_the_listener_closed_is_no_race() -> None:
    run = struck_with(sent(2, 1.5, "new"), lost(2, 2.0, "reset_without_byte"), listener(2.0))
    assert errors(run) == {"no_resets": ["new_lost"]}


def test_probes_do_not_count_in_one_or_two() -> None:
    items = [each for n in range(2) for each in (sent(5 + n, 2.0, "new"), lost(5 + n, 2.05, "reset_without_byte"))]
    probe = (sent(9, 2.0, "readiness"), lost(9, 2.05, "reset_without_byte"))
    run = struck_with(*items, *probe, listener(2.0), plan=planned(readiness="/healthz"))
    assert errors(run) == {}
    assert warnings(run)["no_resets"] == ["listener_race"]


@pytest.mark.parametrize("plan", [DRAIN_LATE, REJECT_LATE], ids=["drain", "reject"])
def test_under_propagation_there_is_no_excuse(plan: At) -> None:
    run = struck_with(sent(2, 2.0, "new"), lost(2, 2.05, "reset_without_byte"), listener(2.0), plan=plan)
    assert errors(run) == {"no_resets": ["new_lost"]}


@BOTH
@LOST
def test_lost_away_from_the_listeners_close_is_accused(plan: At, loss: str, by: str) -> None:
    run = struck_with(sent(2, 1.5, "new"), lost(2, 1.6, loss, by), listener(3.2), plan=plan)
    assert errors(run) == {"no_resets": ["new_lost"]}


def test_accepted_and_lost_without_a_byte_is_accused_whenever_it_happens() -> None:
    items = (sent(2, 3.1, "new"), accepted(2, 3.15), lost(2, 3.2, "reset_without_byte"))
    assert errors(struck_with(*items, listener(3.2))) == {"no_resets": ["new_lost"]}


def test_unaccepted_and_lost_after_the_window_accuses_nobody() -> None:
    assert errors(struck_with(sent(2, 3.1, "new"), lost(2, 3.2, "reset_without_byte"))) == {}


@ALL
@pytest.mark.parametrize("loss", ["cut_in_head", "cut_in_body"])
def test_accepted_and_cut_in_the_answer_is_accused_whenever_it_happens(plan: At, loss: str) -> None:
    run = struck_with(sent(2, 3.1, "new"), lost(2, 3.4, loss), plan=plan)
    assert errors(run) == {"no_resets": ["severed_new"]}
    assert after(run).severed == 1


@ALL
def test_new_work_that_hangs_until_the_deadline_fails(plan: At) -> None:
    run = struck_with(sent(2, 1.25, "new"), hung(2, 11.0), plan=plan)
    assert errors(run) == {"rejects_cleanly": ["hung"]}
    assert after(run).hung == 1


def test_a_connect_that_timed_out_hangs_too() -> None:
    run = struck_with((11.0, refused(2, 1.25, loss="timed_out")[1]))
    assert errors(run) == {"rejects_cleanly": ["hung"]}


def test_what_we_gave_up_before_the_deadline_accuses_nobody() -> None:
    assert errors(struck_with(sent(2, 1.25, "new"), hung(2, 3.6))) == {}


# ---- whom it accuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [answered(2, 1.4, 500), answered(2, 1.4, 503), lost(2, 1.4), lost(2, 1.4, "reset_without_byte"), answered(2, 1.4)],
    ids=["500", "503", "cut", "reset", "200"],
)
def test_what_another_instance_answers_accuses_nobody(end: At) -> None:
    run = struck_with(sent(2, 1.3, "new"), accepted(2, 1.35, "other"), end, plan=REJECT)
    assert errors(run) == {}
    counts = after(run)
    assert sum(getattr(counts, name) for name in counts.__struct_fields__) == 1


def test_an_owner_that_cannot_be_told_where_two_listen_leaves_stops_accepting_unknown() -> None:
    two = (sent(3, 1.3, "new", target="/items"), accepted(3, 1.35, "other"), answered(3, 1.4))
    run = struck_with(*two, sent(2, 1.3, "new"), accepted(2, 1.35, "unknown"), answered(2, 1.4), plan=REJECT)
    assert stops_accepting(run).outcome is Outcome.UNKNOWN


def test_an_owner_that_was_not_seen_where_one_listens_is_the_struck_one() -> None:
    run = struck_with(sent(2, 1.3, "new"), accepted(2, 1.35, "unknown"), answered(2, 1.4), plan=REJECT)
    assert kinds(stops_accepting(run)) == ["accepted_new"]


def test_a_second_instance_on_the_port_leaves_stops_accepting_unknown() -> None:
    second = (1.1, launched(instance="shop-2", role="replacement", pid=99)[1])
    run = struck_with(second, sent(2, 1.3, "new"), answered(2, 1.4), plan=REJECT)
    assert stops_accepting(run).outcome is Outcome.UNKNOWN


# ---- before the signal -------------------------------------------------------------------------------------------


def with_pre_stop(*items: At, propagation_s: float = 0.0) -> History:
    platform = profile(name="kubernetes", pre_stop_s=2.0, propagation_s=propagation_s)
    return history(
        planned(workload(rate=10.0), platform=platform),
        launched(),
        stop(1.0),
        (3.0, PreStopEnded(instance="shop", after_s=2.0, code=None)),
        sent(1, 2.9),
        hand((1,), 2.99),
        signal(3.0),
        answered(1, 3.5),
        *items,
        exited(4.0),
        left(4.0),
        run_ended(),
    )


def test_during_pre_stop_a_new_request_owes_a_whole_answer() -> None:
    assert errors(with_pre_stop(sent(2, 1.5), answered(2, 1.6))) == {}
    assert errors(with_pre_stop(sent(2, 1.5), lost(2, 1.6))) == {"no_resets": ["lost_before_signal"]}
    assert errors(with_pre_stop(sent(2, 1.5), answered(2, 1.6, 503, retry_after="1"))) == {
        "rejects_cleanly": ["before_signal"]
    }
    assert errors(with_pre_stop(refused(2, 1.5, "work"))) == {"rejects_cleanly": ["before_signal"]}


def test_what_was_lost_before_the_stop_is_not_the_strikes_doing() -> None:
    run = with_pre_stop(sent(2, 0.5), lost(2, 0.6))
    assert errors(run) == {}
    assert warnings(run) == {"no_resets": ["lost_before_strike"]}


def test_an_empty_window_leaves_stops_accepting_out_and_says_so() -> None:
    platform = profile(name="kubernetes", pre_stop_s=2.0, propagation_s=2.0)
    run = history(
        planned(workload(disposition="reject"), platform=platform),
        launched(),
        stop(1.0),
        sent(1, 2.9),
        hand((1,), 2.99),
        signal(3.0),
        answered(1, 3.5),
        sent(2, 3.3, "new"),
        answered(2, 3.4),
        refused(3, 3.8),
        exited(4.0),
        left(4.0),
        run_ended(),
    )
    assert worst(judge(run)) is Outcome.PASS
    assert check(run, "stops_accepting") is None
    assert "no_new_work" in kinds(struck(run), "note")


def test_a_pre_stop_shorter_than_propagation_leaves_the_rest_of_the_window() -> None:
    run = with_pre_stop(refused(2, 3.5), propagation_s=3.0)
    assert errors(run) == {"rejects_cleanly": ["refused"]}


# ---- idle connections --------------------------------------------------------------------------------------------


def idle(run: History) -> IdleResult:
    made = result_of(run, judge(run)).idle
    assert made is not None
    return made


def warm(connection: int) -> tuple[At, At]:
    return sent(connection, 0.2, "warm"), answered(connection, 0.21)


def closed(connection: int, at_s: float, purpose: str = "idle", by: str = "server") -> At:
    return at_s, ConnectionEnded(connection=connection, purpose=purpose, by=by, how="fin", request=connection)


def reused(request: int, connection: int, **changes: object) -> At:
    return sent(request, 1.2, "idle", connection=connection, target="/items", **changes)


@BOTH
def test_closed_before_we_used_it_passes(plan: At) -> None:
    run = struck_with(*warm(80), *warm(81), closed(80, 1.1), closed(81, 1.1), plan=plan)
    assert worst(judge(run)) is Outcome.PASS
    assert idle(run).closed_before_use == 2


def test_an_idle_connection_that_is_answered_is_counted() -> None:
    run = struck_with(*warm(80), reused(2, 80), answered(2, 1.3), closed(80, 1.3))
    assert idle(run) == IdleResult(answered=1)


@BOTH
def test_closed_in_the_same_instant_as_our_get_is_a_race(plan: At) -> None:
    run = struck_with(*warm(80), reused(2, 80), lost(2, 1.201, "closed_without_byte", "fin"), plan=plan)
    assert errors(run) == {}
    assert warnings(run) == {"no_resets": ["idle_race"]}
    assert idle(run).closed_on_use == 1


def test_a_get_that_lay_unread_is_a_race_still() -> None:
    run = struck_with(*warm(80), reused(2, 80), lost(2, 1.4, "reset_without_byte"))
    assert warnings(run) == {"no_resets": ["idle_race"]}


def test_a_post_in_the_same_instant_is_a_race() -> None:
    run = struck_with(*warm(80), reused(2, 80, method="POST"), lost(2, 1.201, "reset_without_byte"))
    assert warnings(run) == {"no_resets": ["idle_race"]}


@BOTH
def test_a_post_of_which_the_server_read_bytes_fails(plan: At) -> None:
    items = (*warm(80), reused(2, 80, method="POST"), read(2, 1.205), lost(2, 1.21, "reset_without_byte"))
    assert errors(struck_with(*items, plan=plan)) == {"no_resets": ["idle_lost"]}


@BOTH
def test_a_post_that_lay_unread_in_an_open_connection_fails(plan: At) -> None:
    items = (*warm(80), reused(2, 80, method="POST"), lost(2, 1.26, "closed_without_byte", "fin"))
    assert errors(struck_with(*items, plan=plan)) == {"no_resets": ["idle_lost"]}


def test_rate_traffic_on_kept_alive_connections_has_the_same_race() -> None:
    run = struck_with(sent(2, 1.2, reused=True), lost(2, 1.201, "closed_without_byte", "fin"))
    assert errors(run) == {}
    assert warnings(run) == {"no_resets": ["idle_race"]}


def test_no_idle_connection_was_observed_where_none_was_open() -> None:
    assert result_of(struck_with(), ()).idle is None


# ---- readiness ---------------------------------------------------------------------------------------------------

READY = planned(readiness="/healthz")
READY_LATE = planned(readiness="/healthz", platform=KUBERNETES)


@pytest.mark.parametrize("end", [503, 500, 404])
@pytest.mark.parametrize("plan", [READY, READY_LATE], ids=["process", "kubernetes"])
def test_whole_answers_of_the_readiness_path_are_complete_whatever_their_status(plan: At, end: int) -> None:
    run = struck_with(sent(2, 1.3, "readiness"), answered(2, 1.31, end), listener(4.5), plan=plan, ends=exited(4.6))
    assert worst(judge(run)) is Outcome.PASS
    assert after(run).complete == 1
    assert readiness_first(run).summary.startswith("readiness turned")


def test_a_listener_that_closes_before_readiness_turns_fails_only_under_propagation() -> None:
    items = (sent(2, 1.3, "readiness"), answered(2, 1.31), listener(2.0))
    assert warnings(struck_with(*items, plan=READY)) == {"readiness_first": ["listener_first"]}
    assert errors(struck_with(*items, plan=READY_LATE)) == {"readiness_first": ["listener_first"]}


def test_a_stall_of_ours_leaves_the_order_of_readiness_and_listener_unknown() -> None:
    from chaoskit.history.facts import HarnessStalled

    items = (sent(2, 1.3, "readiness"), answered(2, 1.31), listener(2.0), (1.9, HarnessStalled(late_s=0.2)))
    assert readiness_first(struck_with(*items, plan=READY_LATE)).outcome is Outcome.UNKNOWN


def test_readiness_that_turned_too_late_is_the_same() -> None:
    items = (listener(2.0), sent(2, 2.3, "readiness"), answered(2, 2.31, 503))
    assert errors(struck_with(*items, plan=READY_LATE)) == {"readiness_first": ["listener_first"]}


def test_a_probe_that_nobody_answered_tells_nothing() -> None:
    items = (sent(2, 1.1, "readiness"), lost(2, 2.0, "reset_without_byte"), listener(2.0))
    assert readiness_first(struck_with(*items, plan=READY)).outcome is Outcome.PASS
    assert readiness_first(struck_with(*items, plan=READY_LATE)).outcome is Outcome.UNKNOWN


def test_a_listener_that_closes_after_the_window_is_a_warning() -> None:
    items = (sent(2, 1.3, "readiness"), answered(2, 1.31), listener(4.5))
    run = struck_with(*items, plan=READY_LATE, ends=exited(5.0))
    assert errors(run) == {}
    assert warnings(run) == {"readiness_first": ["readiness_late"]}


def test_a_port_handed_to_another_instance_is_no_closed_listener() -> None:
    items = (sent(2, 1.3, "readiness"), accepted(2, 1.3, "other"), answered(2, 1.31))
    assert readiness_first(struck_with(*items, plan=READY_LATE)).outcome is Outcome.PASS


def test_without_a_readiness_path_there_is_no_such_check() -> None:
    assert check(struck_with(), "readiness_first") is None


def test_a_hung_probe_is_judged() -> None:
    run = struck_with(sent(2, 1.3, "readiness"), hung(2, 11.0), plan=READY)
    assert errors(run)["rejects_cleanly"] == ["hung"]


def test_counted_is_what_was_opened_until_the_exit_or_the_end_of_propagation() -> None:
    items = (refused(2, 3.2), refused(3, 3.7), refused(4, 5.0))
    assert after(struck_with(*items)).refused == 1
    assert after(struck_with(*items, plan=DRAIN_LATE)).refused == 2


def test_no_resets_names_what_was_lost() -> None:
    run = struck_with(sent(2, 1.5, "new"), lost(2, 1.6, "reset_without_byte"))
    assert no_resets(run).summary.startswith("1 new request was lost: reset without a byte")


def test_probes_are_told_apart_from_new_work() -> None:
    plan = planned(platform=KUBERNETES, readiness="/healthz")
    run = struck_with(refused(2, 1.3), refused(3, 1.3, "readiness"), refused(4, 1.4, "readiness"), plan=plan)
    assert rejects_cleanly(run).summary.startswith("1 new request and 2 readiness probes were refused")


def test_advice_on_refusals_names_the_pre_stop_wait() -> None:
    run = struck_with(refused(2, 1.3), listener(1.05), plan=DRAIN_LATE)
    assert "pre_stop_s" in (rejects_cleanly(run).findings[0].advice or "")
    late = struck_with(refused(2, 3.3), listener(3.2), plan=DRAIN_LATE)
    assert rejects_cleanly(late).findings[0].advice is None


def test_advice_on_a_backlog_that_nobody_accepts_from() -> None:
    run = struck_with(sent(2, 1.25, "new"), lost(2, 3.4, "reset_without_byte"), listener(3.4))
    assert "nothing was accepted from it for 2.1 s" in (no_resets(run).findings[0].advice or "")


def test_a_fronts_502_for_a_listener_that_may_close_is_the_deployments() -> None:
    plan = planned(workload(via=True))
    items = (sent(2, 2.0, "new"), answered(2, 2.1, 502), listener(1.5))
    run = struck_with(*items, plan=plan)
    assert errors(run) == {}
    assert warnings(run) == {"rejects_cleanly": ["deployment_loss"]}


def test_a_fronts_502_while_the_listener_is_open_is_accused() -> None:
    plan = planned(workload(via=True))
    assert errors(struck_with(sent(2, 2.0, "new"), answered(2, 2.1, 502), plan=plan)) == {
        "rejects_cleanly": ["error_status"]
    }


def test_a_fronts_502_under_propagation_is_accused() -> None:
    plan = planned(workload(via=True), platform=KUBERNETES)
    run = struck_with(sent(2, 2.0, "new"), answered(2, 2.1, 502), listener(1.5), plan=plan)
    assert errors(run) == {"rejects_cleanly": ["error_status"]}


KILLED = (signal(11.0, "deadline", "SIGKILL", to="all"),)
DIED = exited(11.002, name="SIGKILL")


@pytest.mark.parametrize("end", [hung(2, 11.0), lost(2, 11.001, "reset_without_byte")], ids=["time-out", "kill"])
def test_no_byte_until_the_deadline_is_hung_whether_time_out_or_sigkill_comes_first(end: At) -> None:
    run = struck_with(sent(2, 1.25, "new"), *KILLED, end, ends=DIED)
    assert errors(run)["rejects_cleanly"] == ["hung"]
    assert "no_resets" not in errors(run)


@pytest.mark.parametrize("end", [hung(2, 11.0, status=200, body_bytes=4), lost(2, 11.001)], ids=["time-out", "kill"])
def test_an_answer_begun_and_unfinished_at_the_deadline_is_cut(end: At) -> None:
    run = struck_with(sent(2, 1.25, "new"), *KILLED, end, ends=DIED)
    assert errors(run)["no_resets"] == ["severed_new"]
    assert "rejects_cleanly" not in errors(run)
