"""result.json: every sample validates against docs/result.schema.json, which is what the code says it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chaoskit.checks import judge
from chaoskit.errors import UsageError
from chaoskit.history.events import History
from chaoskit.history.facts import MomentMissed, MomentReached, Noted
from chaoskit.result import Result, error_json, result_of, runs_json, runs_result, schema, to_json
from tests.checks.script import (
    At,
    answered,
    ended,
    exited,
    hand,
    history,
    hung,
    launched,
    left,
    lost,
    planned,
    refused,
    sent,
    signal,
    stop,
    stopped,
    workload,
)

SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "result.schema.json"
SAMPLES: dict[str, Callable[[], History]] = {
    "pass": lambda: stopped(answered(1), refused(2, 1.3)),
    "fail": lambda: stopped(lost(1), sent(2, 1.3, "new"), answered(2, 1.4, 503)),
    "unknown": lambda: stopped(answered(1, framing="eof")),
    "missed": lambda: history(
        planned(), (31.0, MomentMissed(moment="held()", within_s=30, reason="none")), ended(31.1, "missed")
    ),
    "cut": lambda: history(planned(), launched(), sent(1), hand((1,)), stop(), signal()),
    "empty": History.of,
    "killed": lambda: stopped(hung(1), signal(11.0, "deadline", "SIGKILL"), ends=exited(11.001, name="SIGKILL")),
    "start": lambda: history(planned(fault="at_start"), launched(), stop(), signal(), exited(), left(), ended()),
    "own": lambda: history(
        planned(workload(kind="own")), launched(), hand(own=1), stop(), signal(), exited(), left(), ended()
    ),
}


def sample(name: str) -> Result:
    run = SAMPLES[name]()
    return result_of(run, judge(run))


def validate(text: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(made)
    return made


def test_the_schema_in_docs_is_the_schema_of_the_code() -> None:
    wanted = json.dumps(schema(), indent=2) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == wanted, (
        'write it again: python -c "import json, chaoskit.result as r; print(json.dumps(r.schema(), indent=2))"'
    )


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_validates(name: str) -> None:
    validate(to_json(sample(name)))


def test_several_runs_and_errors_validate() -> None:
    validate(runs_json([sample("pass"), sample("fail")], allow=1))
    made = validate(error_json(UsageError("no such thing")))
    assert made == {"schema": 1, "outcome": "error", "error": {"kind": "usage", "message": "no such thing"}}


def test_a_misspelt_key_does_not_validate() -> None:
    made = json.loads(to_json(sample("pass")))
    made["exit"]["after"] = 1
    with pytest.raises(jsonschema.ValidationError):
        validate(json.dumps(made))


def test_every_key_is_written() -> None:
    made = validate(to_json(sample("pass")))
    assert list(made) == [
        "schema", "outcome", "system", "profile", "checks", "held", "after", "idle", "jobs", "strike", "exit", "notes",
    ]  # fmt: skip
    assert made["held"] == {
        "complete": 1, "clean_503": 0, "unclean_503": 0, "error_status": 0, "severed": 0,
        "never_accepted": 0, "hung": 0, "not_held": 0, "unproven": 0,
    }  # fmt: skip
    assert made["after"]["refused"] == 1
    assert made["idle"] is None
    assert made["jobs"] is None
    assert made["exit"] == {
        "code": 0, "signal": None, "after_s": 1.5, "killed_at_deadline": False, "left_behind": 0,
    }  # fmt: skip


def test_the_strike_counts_from_the_last_held_request() -> None:
    moment: At = (0.95, MomentReached(moment="held()", planned_s=0.95, after_s=0.45))
    run = stopped(moment, answered(1))
    strike = result_of(run, judge(run)).strike
    assert (strike.signal, strike.sent, strike.held, strike.known_by) == ("SIGTERM", 1, 1, "socket_oracle")
    assert strike.after_s == 0.45
    assert strike.late_s == 0.0


def test_a_process_killed_at_the_deadline_has_a_signal_and_no_code() -> None:
    made = sample("killed").exit
    assert (made.code, made.signal, made.killed_at_deadline) == (None, "SIGKILL", True)


def test_findings_are_errors_or_warnings_and_notes_are_listed_apart() -> None:
    run = stopped(lost(1), (0.3, Noted(kind="no_oracle", message="none here")))
    made = result_of(run, judge(run))
    found = [each for check in made.checks for each in check.findings]
    assert {each.severity for each in found} <= {"error", "warning"}
    assert [each.kind for each in found if each.severity == "error"] == ["severed", "severed"]
    assert "no_oracle" in [each.kind for each in made.notes]


def test_a_finding_cites_the_events_that_it_accuses() -> None:
    run = stopped(lost(1))
    made = result_of(run, judge(run))
    finding = next(check for check in made.checks if check.check == "no_resets").findings[0]
    cited = [event.fact for event in run if event.index in finding.events]
    assert [type(each).__name__ for each in cited] == ["RequestSent", "RequestLost"]


def test_an_unknown_check_tells_its_reason_as_a_finding() -> None:
    checks = {each.check: each for each in sample("unknown").checks}
    assert checks["no_resets"].outcome == "unknown"
    assert [each.kind for each in checks["no_resets"].findings] == ["unproven"]


# ---- several runs ------------------------------------------------------------------------------------------------


def runs(*names: str, allow: int = 0, wanted: int | None = None) -> tuple[str, dict[str, tuple[str, int, int]]]:
    made = runs_result([sample(name) for name in names], allow, wanted)
    return made.outcome, {each.check: (each.outcome, each.k, each.n) for each in made.checks}


def test_more_failures_than_allowed_fail() -> None:
    outcome, checks = runs("pass", "fail", "fail", allow=1)
    assert outcome == "fail"
    assert checks["no_resets"] == ("fail", 1, 3)


def test_as_many_as_allowed_pass() -> None:
    outcome, checks = runs("pass", "pass", "fail", allow=1)
    assert outcome == "pass"
    assert checks["no_resets"] == ("pass", 2, 3)


def test_fewer_judged_than_wanted_are_unknown() -> None:
    assert runs("pass", "missed", wanted=2)[0] == "unknown"
    assert runs("pass", "pass", "missed", wanted=2)[0] == "pass"


def waits(share_s: float) -> Result:
    from chaoskit.history.facts import ConnectionEnded

    closing: At = (share_s, ConnectionEnded(connection=8, purpose="idle", by="client", how="fin"))
    run = stopped(answered(1), closing, ends=exited(share_s + 0.1))
    return result_of(run, judge(run))


def test_an_exit_that_followed_both_closings_of_idle_connections_fails() -> None:
    made = runs_result([waits(9.0), waits(6.0)])
    assert made.outcome == "fail"
    assert {each.check: each.outcome for each in made.checks}["exits_in_time"] == "fail"
    assert runs_result([waits(9.0), sample("pass")]).outcome == "pass"
