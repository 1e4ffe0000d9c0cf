"""What verbs, blocks and `verify` refuse, and whose exception a test sees; real processes where one is needed."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaoskit import Harness, Requests
from chaoskit.checks import drains
from chaoskit.errors import Failed, UsageError
from chaoskit.moments import elapsed, held
from chaoskit.profiles import kubernetes
from tests.test_beside import SHOP

WORK = Requests("GET /slow", clients=1)


class Client:
    """A client of the user's own: it raises when the server is gone."""

    def until_gone(self, url: str) -> None:
        while True:
            urllib.request.urlopen(f"{url}/", timeout=5).close()  # noqa: S310 - our own server


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(run_dir=tmp_path / "runs", root=tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"garce_s": 3}, r"no garce_s=.*'grace_s'"),
        ({"within_s": -1}, "within_s=-1"),
        ({"budget_s": 0}, "budget_s=0"),
        ({"budget_s": "soon"}, "budget_s='soon'"),
        ({"replacement": "sometimes"}, "when_gone, before, two"),
        ({"exit_code": "0"}, "exit_code='0'"),
        ({"to": "everyone"}, "leader, group or all"),
        ({"profile": "kubernets"}, "'kubernetes'"),
        ({"when": "held(1)"}, "moment"),
        ({"profile": kubernetes(grace_s=3, pre_stop_s=3)}, "no time is left for the signal"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(
    harness: Harness, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    for verb in (harness.terminate, harness.terminating):
        with pytest.raises(UsageError, match=words):
            verb(SHOP, during=WORK, **options)

    assert not (tmp_path / "runs").exists()


def test_verify_refuses_what_it_does_not_know(harness: Harness) -> None:
    run = harness.terminate(SHOP, during=WORK)

    with pytest.raises(UsageError, match="did you mean 'warn'"):
        run.verify(unknown="wran")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'drains' is no check"):
        run.verify("drains")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="did you mean 'drains'"):
        run.verify(known={"drain": "ticket 1"})
    with pytest.raises(Failed, match=r"^drains no longer fails, so remove it from known= "):
        run.verify(drains, known={"drains": "ticket 1"})


def test_a_block_that_raises_before_the_strike_raises_its_own_exception(harness: Harness) -> None:
    with pytest.raises(ValueError, match="mine"), harness.terminating(SHOP, when=elapsed(60)):
        raise ValueError("mine")


def test_a_block_that_raises_on_a_loss_fails_with_the_loss(harness: Harness) -> None:
    client = Client()
    block = harness.terminating(SHOP, during=WORK, when=held(1), signal="SIGUSR1")
    with pytest.raises(Failed, match="severed") as caught, block as run:
        client.until_gone(run.url)

    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"timeout_s": 0},
        {"clients": 2.5},
        {"idle": float("nan")},
        {"upload_s": float("inf"), "data": b"x"},
        {"release_s": float("nan")},
    ],
)
def test_numbers_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is"):
        Requests("GET /", **wrong)


def test_a_profile_that_was_begun_is_offered_whole(harness: Harness) -> None:
    with pytest.raises(UsageError, match="did you mean 'kubernetes'"):
        harness.terminate(SHOP, during=WORK, profile="kub")
