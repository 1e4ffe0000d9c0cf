"""When to strike."""

from __future__ import annotations

import pytest

from chaoskit.errors import UsageError
from chaoskit.history.events import Event
from chaoskit.history.facts import AnyFact, BodyReached, FirstByteReceived, LogMatched, RequestSent, WorkInHand
from chaoskit.moments import Moment, byte, elapsed, first_byte, held, log


def sent(request: int) -> RequestSent:
    return RequestSent(
        request=request,
        purpose="work",
        workload=0,
        method="GET",
        target="/slow",
        connection=request,
        client_port=40000 + request,
        opened_s=0.0,
        reused=False,
    )


def in_hand(*requests: int) -> WorkInHand:
    return WorkInHand(
        in_hand=requests, unread=(), backlog=(), elsewhere=(), unseen=(), known_by="socket_oracle", gate_calls=0
    )


def due(moment: Moment, *facts: tuple[float, AnyFact]) -> float | None:
    watch = moment.watch()
    for index, (at_s, fact) in enumerate(facts):
        watch.feed(Event(index, at_s, "test", fact))
    return watch.due_s()


def test_held_comes_with_the_first_look_that_shows_enough_requests_in_hand() -> None:
    assert due(held(2), (0.1, sent(1)), (0.2, in_hand(1))) is None
    assert due(held(2), (0.1, sent(1)), (0.2, in_hand(1)), (0.3, in_hand(1, 2))) == 0.3


def test_the_first_of_two_moments_wins_with_or_and_the_last_with_and() -> None:
    first, second = (0.5, FirstByteReceived(request=1)), (0.7, BodyReached(request=1, body_bytes=4096))
    assert due(first_byte() | byte(4096), first, second) == 0.5
    assert due(first_byte() & byte(4096), first, second) == 0.7
    assert due(first_byte() & byte(4096), first) is None


def test_byte_waits_for_its_own_count() -> None:
    assert due(byte(100), (0.5, BodyReached(request=1, body_bytes=50))) is None


def test_log_waits_for_its_own_text() -> None:
    line = LogMatched(instance="web", text="begin", line="begin 7")
    assert due(log("begin"), (0.4, line)) == 0.4
    assert due(log("end"), (0.4, line)) is None


@pytest.mark.parametrize("make", [lambda: held(0), lambda: byte(0), lambda: elapsed(-1), lambda: log("")])
def test_a_moment_that_can_never_come_is_refused(make: object) -> None:
    with pytest.raises(UsageError, match="expected"):
        make()  # type: ignore[operator]
