"""`struck`, what a fault implies, disturbed and cut runs, and a user's own client."""

from __future__ import annotations

import pytest

from chaoskit.checks import Check, Outcome, by_name, disturbed, drains, implied, judge, no_resets, struck, worst
from chaoskit.errors import UsageError
from chaoskit.history.events import History
from chaoskit.history.facts import BlockEnded, HarnessStalled, MomentMissed, Noted, OwnConnectionEnded
from chaoskit.result import result_of
from tests.checks.script import (
    At,
    answered,
    ended,
    exited,
    hand,
    history,
    kinds,
    launched,
    left,
    lost,
    planned,
    profile,
    sent,
    signal,
    stop,
    stopped,
    workload,
)


def names(checks: tuple[Check, ...]) -> list[str]:
    return [each.__name__ for each in checks]


def test_enough_in_hand_is_struck() -> None:
    made = struck(stopped(answered(1)))
    assert made.outcome is Outcome.PASS
    assert made.summary == "1 of 1 in hand (known by the socket oracle)"


def test_it_always_says_how_many_were_where() -> None:
    run = stopped(sent(2), sent(3), sent(4), hand((1,), backlog=(2, 3, 4)), *(answered(each) for each in (1, 2, 3, 4)))
    assert struck(run).summary == "1 of 4 in hand, 3 in the backlog (known by the socket oracle)"


def test_fewer_than_asked_for_is_unknown_and_says_what_to_do() -> None:
    plan = planned(workload(hold_at_least=2, clients=2))
    run = stopped(sent(2), hand((1,), backlog=(2,)), answered(1), answered(2), plan=plan)
    made = struck(run)
    assert made.outcome is Outcome.UNKNOWN
    assert made.findings[0].kind == "too_few_held"
    assert "1 of 2 in hand, 1 in the backlog" in made.summary
    assert "lower hold_at_least" in made.summary


def test_each_workload_needs_its_own_in_hand() -> None:
    plan = planned(workload(0), workload(1))
    run = stopped(sent(2, workload=0), hand((1, 2)), answered(1), answered(2), plan=plan)
    assert struck(run).outcome is Outcome.UNKNOWN


def test_what_ended_before_the_signal_was_not_in_hand() -> None:
    run = stopped((0.995, answered(1, 0.995)[1]))
    assert struck(run).outcome is Outcome.UNKNOWN


def test_a_moment_that_did_not_come_is_unknown_with_its_reason() -> None:
    missed = (31.0, MomentMissed(moment="held()", within_s=30, reason="GET /export answered 300 times at once"))
    run = history(planned(), launched(), sent(1), answered(1, 0.6), missed, ended(31.1, "missed"))
    verdicts = judge(run)
    assert [each.check for each in verdicts] == ["struck"]
    assert verdicts[0].outcome is Outcome.UNKNOWN
    assert "answered 300 times at once" in verdicts[0].summary
    made = result_of(run, verdicts)
    assert (made.held, made.after, made.idle, made.strike.signal) == (None, None, None, None)


def test_a_history_without_its_end_is_unknown() -> None:
    run = history(planned(), launched(), sent(1), hand((1,)), stop(), signal(), answered(1))
    assert struck(run).findings[0].kind == "cut_short"
    assert worst(judge(run)) is Outcome.UNKNOWN


def test_an_interrupted_run_is_unknown() -> None:
    run = history(planned(), launched(), sent(1), hand((1,)), stop(), signal(), ended(1.5, "interrupted"))
    assert struck(run).findings[0].kind == "interrupted"


def test_gone_during_pre_stop_is_unknown() -> None:
    run = history(planned(), launched(), sent(1), stop(), lost(1, 1.5), exited(1.5), left(1.5), ended())
    assert struck(run).findings[0].kind == "gone_before"
    assert "during pre-stop" in struck(run).summary


def test_an_empty_history_is_unknown() -> None:
    assert worst(judge(History.of())) is Outcome.UNKNOWN
    for check in (struck, no_resets, drains):
        assert check(History.of()).outcome is Outcome.UNKNOWN


# ---- disturbed ---------------------------------------------------------------------------------------------------


def stalled(at_s: float, late_s: float = 0.2) -> At:
    return at_s, HarnessStalled(late_s=late_s)


@pytest.mark.parametrize(("at_s", "late_s"), [(1.05, 0.2), (1.5, 0.2), (2.1, 0.2), (3.4, 1.2)])
def test_a_stall_of_ours_while_it_matters_disturbs_the_run(at_s: float, late_s: float) -> None:
    run = stopped(stalled(at_s, late_s), answered(1))
    assert disturbed(run)
    assert struck(run).outcome is Outcome.UNKNOWN
    assert struck(run).findings[0].kind == "disturbed"


@pytest.mark.parametrize(
    ("at_s", "late_s"), [(0.6, 0.5), (13.0, 5.0), (1.5, 0.05), (2.4, 0.2)], ids=["before", "after", "short", "late"]
)
def test_a_stall_that_does_not_matter_is_none(at_s: float, late_s: float) -> None:
    run = stopped(stalled(at_s, late_s), answered(1))
    assert not disturbed(run)
    assert struck(run).outcome is Outcome.PASS


# ---- what is implied ---------------------------------------------------------------------------------------------

EXIT = ["exits_in_time", "exit_code", "leaves_nothing_behind"]


def test_a_stop_implies_what_the_dispositions_promise() -> None:
    assert names(implied(stopped(answered(1)))) == ["struck", "no_resets", "drains", "rejects_cleanly", *EXIT, "budget"]
    plan = planned(workload(disposition="reject"), readiness="/healthz")
    run = stopped(answered(1), sent(2, 1.3, "new"), answered(2, 1.4, 503, retry_after="1"), plan=plan)
    assert names(implied(run)) == [
        "struck", "no_resets", "rejects_cleanly", "stops_accepting", "readiness_first", *EXIT, "budget",
    ]  # fmt: skip


def test_a_kill_implies_only_struck() -> None:
    assert names(implied(stopped(lost(1, 1.001), plan=planned(fault="kill")))) == ["struck"]


def test_a_chosen_sigkill_implies_only_struck() -> None:
    run = history(
        planned(platform=profile(signal="SIGKILL")), launched(), sent(1), hand((1,)), stop(),
        signal(name="SIGKILL"), lost(1, 1.001), exited(1.001, name="SIGKILL"), left(1.001), ended(),
    )  # fmt: skip
    assert names(implied(run)) == ["struck"]


def paused(*items: At) -> History:
    return history(
        planned(fault="pause"), launched(), sent(1), hand((1,)), stop(), signal(1.0, "pause", "SIGSTOP", to="all"),
        signal(2.0, "resume", "SIGCONT", to="all"), *items, ended(),
    )  # fmt: skip


def test_a_pause_owes_no_loss_after_the_resume() -> None:
    assert names(implied(paused(answered(1, 2.5)))) == ["struck", "no_resets"]
    assert worst(judge(paused(answered(1, 2.5)))) is Outcome.PASS
    assert worst(judge(paused(lost(1, 2.5)))) is Outcome.FAIL


def test_a_stop_during_start_up_is_judged_by_its_exit() -> None:
    run = history(
        planned(fault="at_start"), launched(), stop(), signal(), exited(1.2, name="SIGTERM"), left(1.2), ended()
    )
    assert names(implied(run)) == ["struck", *EXIT]
    assert worst(judge(run)) is Outcome.PASS
    assert result_of(run, judge(run)).held is None


def test_an_unknown_name_is_offered_a_near_one() -> None:
    assert by_name("drains") is drains
    with pytest.raises(UsageError, match="no_resets"):
        by_name("no_reset")


def test_what_the_run_noted_is_told() -> None:
    run = stopped(answered(1), (0.3, Noted(kind="no_oracle", message="no socket oracle here")))
    assert kinds(struck(run), "note") == ["no_oracle"]


# ---- a user's own client -----------------------------------------------------------------------------------------

OWN = planned(workload(kind="own", targets=(), clients=0))


def own(*items: At, count: int = 1, raised: str | None = None, block: bool = True) -> History:
    end = [(2.4, BlockEnded(raised=raised))] if block else []
    return history(
        OWN, launched(), hand((), own=count), stop(), signal(), *items, *end, exited(), left(), ended(),
    )  # fmt: skip


def port(outcome: str, at_s: float = 2.0) -> At:
    return at_s, OwnConnectionEnded(client_port=4000, outcome=outcome, acked_bytes=0, unsent_bytes=0)


def test_an_own_client_in_hand_is_struck_and_the_verdict_says_what_it_is_judged_by() -> None:
    run = own(port("answered"))
    assert worst(judge(run)) is Outcome.PASS
    assert "own_client" in kinds(struck(run), "note")
    made = result_of(run, judge(run))
    assert (made.held, made.after, made.strike.held) == (None, None, 1)


def test_an_own_connection_that_died_with_the_instance_is_severed() -> None:
    run = own(port("severed"))
    assert kinds(no_resets(run)) == ["severed"]
    assert kinds(drains(run)) == ["severed"]


def test_what_nothing_tells_is_decided_by_the_blocks_own_end() -> None:
    assert worst(judge(own(port("untold")))) is Outcome.PASS
    assert worst(judge(own(port("untold"), raised="ReadError: cut"))) is Outcome.UNKNOWN
    assert worst(judge(own(port("untold"), block=False))) is Outcome.UNKNOWN


def test_no_own_connection_in_hand_is_unknown() -> None:
    assert struck(own(count=0)).outcome is Outcome.UNKNOWN


def test_where_nothing_was_held_only_struck_is_unknown() -> None:
    run = history(planned(), launched(), hand(()), stop(), signal(), exited(), left(), ended())
    assert [each.check for each in judge(run) if each.outcome is Outcome.UNKNOWN] == ["struck"]
