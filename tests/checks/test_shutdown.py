"""How the process itself ended: exits_in_time, exit_code, leaves_nothing_behind, budget."""

from __future__ import annotations

import pytest

from chaoskit.checks import Outcome, Verdict, budget, exit_code, exits_in_time, judge, leaves_nothing_behind
from chaoskit.history.events import History
from chaoskit.history.facts import ChildrenSeen, ConnectionEnded, GraceExpired
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
    planned,
    profile,
    refused,
    sent,
    signal,
    stop,
    stopped,
    workload,
)

KILLED: tuple[At, ...] = ((11.0, GraceExpired(instance="shop")), signal(11.0, "deadline", "SIGKILL", to="all"))
DIED = exited(11.001, name="SIGKILL")


def test_the_leader_that_leaves_by_itself_is_in_time() -> None:
    assert exits_in_time(stopped(answered(1))).summary == "exit code 0 after 1.5 s of 10 s"


def test_the_leader_that_lives_until_our_sigkill_is_not() -> None:
    made = exits_in_time(stopped(answered(1), *KILLED, ends=DIED))
    assert kinds(made) == ["killed_at_deadline"]
    assert "nothing visible" in made.summary


def test_a_leader_that_dies_of_its_childrens_kill_was_killed_at_the_deadline() -> None:
    assert exits_in_time(stopped(answered(1), *KILLED, ends=exited(11.01, 1))).outcome is Outcome.FAIL


def test_a_leader_that_left_before_its_children_were_killed_is_in_time() -> None:
    run = stopped(answered(1), *KILLED, ends=exited(3.0))
    assert exits_in_time(run).outcome is Outcome.PASS
    assert exit_code(run).outcome is Outcome.PASS


def test_it_says_that_held_work_was_waited_for() -> None:
    made = exits_in_time(stopped(*KILLED, ends=DIED))
    assert "1 held request still unanswered" in made.summary


def test_it_says_that_children_were_there() -> None:
    children = (1.1, ChildrenSeen(instance="shop", pids=(50,), names=("worker",)))
    assert "worker" in exits_in_time(stopped(answered(1), children, *KILLED, ends=DIED)).summary


def test_a_shell_that_swallows_the_signal_is_named() -> None:
    children = (1.1, ChildrenSeen(instance="shop", pids=(50,), names=("python3",)))
    plan = planned(command="sh -c 'python3 app.py; true'")
    made = exits_in_time(stopped(answered(1), children, *KILLED, ends=DIED, plan=plan))
    assert made.findings[0].advice is not None
    assert "shell" in made.findings[0].advice


def test_an_exit_that_nobody_saw_is_unknown() -> None:
    run = history(planned(), launched(), sent(1), hand((1,)), stop(), signal(), answered(1), ended())
    for check in (exits_in_time, exit_code, leaves_nothing_behind):
        assert check(run).outcome is Outcome.UNKNOWN


# ---- waiting for idle connections --------------------------------------------------------------------------------


def closed_by_us(at_s: float = 9.0) -> At:
    return at_s, ConnectionEnded(connection=8, purpose="idle", by="client", how="fin")


def test_leaving_only_after_we_closed_our_idle_connections_is_a_warning() -> None:
    made = exits_in_time(stopped(answered(1), closed_by_us(), ends=exited(9.2)))
    assert made.outcome is Outcome.PASS
    assert kinds(made, "warning") == ["waits_for_idle"]


@pytest.mark.parametrize(
    "items",
    [
        (answered(1), closed_by_us(), exited(9.5)),
        (answered(1, 8.5), closed_by_us(), exited(9.2)),
        (answered(1), sent(2, 8.4, "new"), answered(2, 8.5), closed_by_us(), exited(9.2)),
        (answered(1), exited(9.2)),
    ],
    ids=["later", "held until lately", "answered lately", "none was open"],
)
def test_otherwise_it_does_not_wait_for_idle_connections(items: tuple[At, ...]) -> None:
    assert kinds(exits_in_time(stopped(*items[:-1], ends=items[-1])), "warning") == []


def test_the_planned_closing_counts_where_connections_were_open() -> None:
    warm = (sent(80, 0.2, "warm"), answered(80, 0.21))
    assert kinds(exits_in_time(stopped(*warm, answered(1), ends=exited(9.1))), "warning") == ["waits_for_idle"]


# ---- exit code ---------------------------------------------------------------------------------------------------


def code(out: At, **plan: object) -> Verdict:
    return exit_code(stopped(answered(1), ends=out, plan=planned(**plan)))  # type: ignore[arg-type]


@pytest.mark.parametrize("out", [exited(code=0), exited(code=143), exited(name="SIGTERM")])
def test_zero_and_the_signal_itself_are_clean(out: At) -> None:
    assert code(out).outcome is Outcome.PASS
    assert code(out).findings == ()


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_death_by_another_polite_signal_is_a_warning(name: str) -> None:
    made = code(exited(name=name))
    assert made.outcome is Outcome.PASS
    assert kinds(made, "warning") == ["other_signal"]


@pytest.mark.parametrize("out", [exited(code=1), exited(code=137), exited(name="SIGKILL"), exited(name="SIGSEGV")])
def test_anything_else_fails(out: At) -> None:
    assert kinds(code(out)) == ["exit_code"]


def test_a_code_that_was_asked_for_is_the_only_one() -> None:
    assert code(exited(code=7), exit_code=7).outcome is Outcome.PASS
    assert code(exited(code=0), exit_code=7).outcome is Outcome.FAIL
    assert code(exited(name="SIGTERM"), exit_code=143).outcome is Outcome.PASS
    assert code(exited(name="SIGTERM"), exit_code=0).outcome is Outcome.FAIL


def test_another_signal_brings_its_own_number() -> None:
    platform = profile(name="nomad", signal="SIGINT")
    run = history(
        planned(platform=platform), launched(), sent(1), hand((1,)), stop(), signal(name="SIGINT"), answered(1),
        exited(code=130), left(), ended(),
    )  # fmt: skip
    assert exit_code(run).outcome is Outcome.PASS


def test_after_our_sigkill_code_and_remains_are_unknown_and_add_nothing() -> None:
    run = stopped(answered(1), *KILLED, ends=DIED)
    assert exit_code(run).outcome is Outcome.UNKNOWN
    assert leaves_nothing_behind(run).outcome is Outcome.UNKNOWN
    assert [each.check for each in judge(run) if each.outcome is Outcome.FAIL] == ["exits_in_time"]
    assert result_of(run, judge(run)).outcome == "fail"


# ---- left behind -------------------------------------------------------------------------------------------------


def remains(*looks: At) -> Verdict:
    out = exited(2.5)
    return leaves_nothing_behind(
        history(planned(), launched(), sent(1), hand((1,)), stop(), signal(), answered(1), out, *looks, ended())
    )


def test_a_child_that_is_gone_within_a_second_is_not_left_behind() -> None:
    assert remains(left(2.5, (50,), final=False), left(3.0, after_s=0.5)).outcome is Outcome.PASS


def test_a_child_that_is_there_after_a_second_is() -> None:
    made = remains(left(2.5, (50,), final=False), left(3.5, (50,), 1.0))
    assert kinds(made) == ["left_behind"]
    assert "worker" in made.summary


def test_a_listener_alone_is_left_behind_too() -> None:
    assert kinds(remains(left(3.5, after_s=1.0, listeners=(80,)))) == ["left_behind"]


def test_without_a_last_look_it_is_unknown() -> None:
    assert remains(left(2.5, (50,), final=False)).outcome is Outcome.UNKNOWN
    assert remains().outcome is Outcome.UNKNOWN


# ---- budget ------------------------------------------------------------------------------------------------------


def phrases(run: History) -> str:
    made = budget(run)
    return " | ".join([made.summary, *(each.message for each in made.findings)])


def test_the_budget_tells_how_the_grace_was_spent() -> None:
    words = phrases(stopped(answered(1, 2.0), refused(2, 1.75)))
    assert "until the first refusal 0.75 s" in words
    assert "until the last held answer 1 s" in words
    assert "teardown 0.5 s" in words
    assert "margin 8.5 s" in words


def test_it_tells_which_share_of_durations_fits() -> None:
    quick = [each for n in range(9) for each in (sent(20 + n, 0.1), answered(20 + n, 0.2))]
    slow = (sent(40, 0.1), answered(40, 0.9))
    run = stopped(*quick, *slow, answered(1, 2.0), plan=planned(platform=profile(grace_s=1.0)))
    assert "82% of 11 observed requests (longest 1.5 s) fit the 0.5 s" in phrases(run)


def test_it_tells_where_else_this_run_would_have_passed() -> None:
    words = phrases(stopped(answered(1)))
    assert "in time on" in words
    assert "docker (10 s)" in words
    assert "nomad" not in words  # it sends another signal


def test_it_never_fails_by_itself() -> None:
    assert budget(stopped(*KILLED, ends=DIED)).outcome is Outcome.PASS


def test_it_fails_a_bound_that_was_asked_for() -> None:
    assert budget(stopped(answered(1), plan=planned(budget_s=2.0))).outcome is Outcome.PASS
    assert kinds(budget(stopped(answered(1), plan=planned(budget_s=1.0)))) == ["over_budget"]
    assert kinds(budget(stopped(*KILLED, ends=DIED, plan=planned(budget_s=20.0)))) == ["over_budget"]


def test_a_workload_that_is_not_held_long_has_a_budget_too() -> None:
    assert budget(stopped(answered(1), plan=planned(workload(rate=20.0)))).outcome is Outcome.PASS
