"""Whatever a history holds, judging it neither raises nor contradicts itself."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chaoskit.checks import ALL, Outcome, judge
from chaoskit.history.events import History
from chaoskit.history.facts import AnyFact
from chaoskit.reports.text import headline, render
from chaoskit.result import result_of, to_json
from tests.checks.script import (
    accepted,
    answered,
    ended,
    exited,
    hand,
    hung,
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
    workload,
)

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "result.schema.json").read_text(encoding="utf-8"))
)
LOSSES = ("closed_without_byte", "reset_without_byte", "cut_in_head", "cut_in_body", "malformed", "too_large")
FAULTS = ("terminate", "kill", "pause", "twice", "at_start")


def anything(dice: random.Random) -> History:
    """Facts in any number, order and combination, one after another in time."""
    at_s = 0.0
    items: list[tuple[float, AnyFact]] = []
    for _ in range(dice.randrange(120)):
        at_s += dice.random() * 0.3
        items.append((at_s, _fact(dice, at_s)))
    return History.of(*items)


def _fact(dice: random.Random, at_s: float) -> AnyFact:
    request = dice.randrange(1, 12)
    purpose = dice.choice(["work", "work", "new", "readiness", "idle", "warm", "rehearsal"])
    some = tuple(dice.sample(range(1, 12), 4))
    makers: list[Any] = [
        lambda: planned(
            workload(disposition=dice.choice(["drain", "reject"]), via=dice.random() < 0.2),
            platform=profile(propagation_s=dice.choice([0.0, 2.0])),
            fault=dice.choice(FAULTS),
            readiness=dice.choice([None, "/healthz"]),
        ),
        launched,
        *[lambda: sent(request, at_s, purpose, method=dice.choice(["GET", "POST"]), reused=dice.random() < 0.3)] * 6,
        *[lambda: answered(request, at_s, dice.choice([200, 302, 404, 500, 503]), retry_after=dice.choice([None, "1"]))]
        * 3,
        *[lambda: lost(request, at_s, dice.choice(LOSSES), dice.choice(["fin", "rst", "tls"]))] * 3,
        lambda: hung(request, at_s),
        lambda: refused(request, at_s, purpose, dice.choice(["refused", "timed_out", "unreachable", "tls"])),
        lambda: hand(some[:2], backlog=some[2:3], elsewhere=some[3:] if dice.random() < 0.2 else ()),
        lambda: stop(at_s),
        lambda: signal(at_s, dice.choice(["stop", "deadline", "again", "kill", "resume"])),
        lambda: exited(at_s, dice.choice([0, 1, 143]), dice.choice([None, None, "SIGKILL"])),
        lambda: left(at_s, some[: dice.randrange(3)], final=dice.random() < 0.5),
        lambda: listener(at_s),
        lambda: accepted(request, at_s, dice.choice(["struck", "other", "unknown"])),
        lambda: read(request, at_s),
        lambda: ended(at_s),
    ]
    return dice.choice(makers)()[1]  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", range(150))
def test_any_history_can_be_judged_and_told(seed: int) -> None:
    run = anything(random.Random(seed))  # noqa: S311 - dice, not a secret
    verdicts = judge(run)
    made = result_of(run, verdicts)
    VALIDATOR.validate(json.loads(to_json(made)))
    if made.held is not None:
        assert sum(getattr(made.held, name) for name in made.held.__struct_fields__) == made.strike.sent
    indices = {event.index for event in run}
    for verdict in judge(run, ALL):
        assert {index for finding in verdict.findings for index in finding.events} <= indices
        errors = [each for each in verdict.findings if each.severity == "error"]
        assert verdict.outcome is not Outcome.FAIL or errors
        assert verdict.outcome is not Outcome.PASS or not errors
    assert headline(run, verdicts)
    assert render(run, verdicts, full=True)
    assert render(run, verdicts)
