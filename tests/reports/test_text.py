"""The text report, from literal histories."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.checks import failed, judge
from chaoskit.checks.verdict import Finding
from chaoskit.history.events import History
from chaoskit.history.facts import ChildrenSeen, LogMatched, Noted
from chaoskit.history.journal import JOURNAL, Journal, load
from chaoskit.reports.clean import as_ascii, clean
from chaoskit.reports.text import headline, render, timeline
from tests.checks.script import (
    answered,
    ended,
    exited,
    hand,
    history,
    launched,
    left,
    lost,
    planned,
    profile,
    refused,
    sent,
    signal,
    stop,
    stopped,
    workload,
)

KUBERNETES = profile(name="kubernetes", grace_s=30.0, propagation_s=5.0)


def report(run: History, **changes: object) -> str:
    return render(run, judge(run), **changes)  # type: ignore[arg-type]


def two_of_eight() -> History:
    """Eight requests held by a server that resets two of them as it exits, 5 s after the signal."""
    requests = range(1, 9)
    return history(
        planned(workload(disposition="reject", clients=8), platform=KUBERNETES),
        launched(version="gunicorn 23.0.0"),
        *(sent(each) for each in requests),
        hand(tuple(requests), known_by="gate"),
        stop(grace_s=30.0),
        signal(),
        *(answered(each, 4.0) for each in requests if each not in (3, 7)),
        sent(20, 1.3, "new"),
        answered(20, 1.31, 503, retry_after="5"),
        lost(7, 6.0, body_bytes=4096, expected_bytes=90_112),
        lost(3, 6.001, body_bytes=8192, expected_bytes=90_112),
        exited(6.002),
        left(6.002),
        ended(),
    )


def test_the_first_line_names_the_loss() -> None:
    run = two_of_eight()
    assert headline(run, judge(run)) == "2 of 8 held requests were severed"


def test_the_report_of_a_failure() -> None:
    assert report(two_of_eight(), again="pytest -k x --chaos-replay .chaos/r", show=".chaos/r") == EXPECTED.strip("\n")


EXPECTED = """
  shop (gunicorn 23.0.0) was told to stop at 1.000 s with 8 requests in its hands (known by the gate)
  kubernetes: SIGTERM to the leader, grace 30 s, new work may arrive for another 5 s

  FAIL  no_resets              2 of 8 held requests were severed: reset in mid-body; shop had them
                               in hand (GET /export)
  PASS  struck                 8 of 8 in hand (known by the gate)
  PASS  rejects_cleanly        1 of 1 new request got 503, Retry-After: 5
  PASS  stops_accepting        no new long request was taken
  PASS  exits_in_time          exit code 0 after 5 s of 30 s
  PASS  exit_code              exit code 0
  PASS  leaves_nothing_behind  nothing was left
  PASS  budget                 until the first refusal 0.3 s, until the last held answer 5 s,
                               teardown 0.001 s, margin 25 s

      1.0000  SIGTERM to shop (pid 41), 0 ms after the moment
      6.0000  #7 GET /export   reset after 4,096 of 90,112 bytes          <- no_resets
      6.0010  #3 GET /export   reset after 8,192 of 90,112 bytes          <- no_resets
      6.0020  shop exited: code 0
      6.0020  nothing left of shop

  What to look at: the process exits 5 s after the signal, before the deadline: a time-out of its
                   own is shorter than the requests.

  See it:    chaoskit show .chaos/r
  Again:     pytest -k x --chaos-replay .chaos/r
"""


def test_the_opening_says_where_every_request_was() -> None:
    run = stopped(sent(2), sent(3), sent(4), hand((1,), backlog=(2, 3, 4)), *(answered(each) for each in (1, 2, 3, 4)))
    assert "with 1 of 4 requests in its hands, 3 in the backlog (known by the socket oracle)" in report(run)
    assert "1 of 4 in hand, 3 in the backlog" in report(run)


def test_an_unknown_run_begins_with_unknown() -> None:
    run = history(planned(), launched(), sent(1), hand(()), stop(), signal(), answered(1), exited(), left(), ended())
    assert headline(run, judge(run)).startswith("unknown: 0 of 1 in hand")
    assert "UNKNOWN  struck" in report(run)


def test_a_run_without_loss_says_so_and_shows_no_timeline() -> None:
    run = stopped(answered(1))
    assert headline(run, judge(run)) == "nothing was lost: 1 of 1 held request got its whole answer"
    assert "SIGTERM to shop (" not in report(run)


def test_advice_appears_only_where_the_evidence_supports_it() -> None:
    together = report(stopped(lost(1, 2.5)))
    apart = report(stopped(lost(1, 2.0), ends=exited(2.5)))
    assert "What to look at" in together
    assert "What to look at" not in apart


def test_it_says_that_no_handler_was_there() -> None:
    text = report(stopped(lost(1, 1.002), ends=exited(1.003, name="SIGTERM")))
    assert "there seems to be no handler for SIGTERM" in " ".join(text.split())


def test_backlog_advice_names_workers() -> None:
    children = (1.1, ChildrenSeen(instance="shop", pids=(50, 51), names=("worker", "worker")))
    run = stopped(sent(2), hand((1,), backlog=(2,)), answered(1), children, lost(2, loss="reset_without_byte"))
    assert "2 worker processes did not accept" in " ".join(report(run).split())


def test_a_known_failure_is_printed_with_its_reason() -> None:
    text = report(two_of_eight(), known={"no_resets": "TICKET-7"})
    assert "KNOWN  no_resets" in text
    assert "TICKET-7: 2 of 8 held requests were severed" in text


def test_warnings_are_shown_and_notes_only_in_full() -> None:
    note = (0.3, Noted(kind="no_oracle", message="no socket oracle here"))
    race = (sent(80, 1.2, "idle"), lost(80, 1.201, "closed_without_byte", "fin"))
    text = report(stopped(answered(1), note, *race))
    assert "warning: 1 idle connection was closed in the same instant" in text
    assert "no socket oracle here" not in text
    assert "no socket oracle here" in report(stopped(answered(1), note), full=True)


def test_a_check_of_ones_own_is_shown() -> None:
    run = stopped(answered(1))
    mine = failed("cart_is_kept", Finding("lost_cart", "the cart of request 1 was lost", events=(2,)))
    assert headline(run, [mine]) == "the cart of request 1 was lost"
    assert "FAIL  cart_is_kept  the cart of request 1 was lost" in render(run, [mine])
    assert "<- cart_is_kept" in render(run, [mine])


def test_colors_are_the_callers() -> None:
    text = report(two_of_eight(), color=lambda words, style: f"<{style}>{words}</>")
    assert "<fail>FAIL</>  no_resets" in text
    assert "<pass>PASS</>  struck" in text


def test_many_lines_are_shortened_in_the_middle() -> None:
    items = [each for n in range(100, 200) for each in (sent(n, 1.3), lost(n, 1.4 + n / 1000))]
    text = report(stopped(answered(1), *items))
    assert len(text.splitlines()) < 60


def test_the_timeline_in_full_has_every_event() -> None:
    run = two_of_eight()
    assert len(timeline(run, limit=None)) == len(run)
    assert len(timeline(run, limit=10)) == 10
    assert len(timeline(run, around=(0, 1))) == 2


@pytest.mark.parametrize("width", [1, 40, 80, 200])
def test_any_width_will_do(width: int) -> None:
    assert "no_resets" in report(two_of_eight(), width=width)


# ---- what the system wrote ---------------------------------------------------------------------------------------

EVIL = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\u202egnp\u2066\r\nnext\x00\x7f"


def test_escape_sequences_and_control_characters_are_stripped() -> None:
    assert clean(EVIL) == "redgnp  next"
    assert len(clean("x" * 10_000)) == 500


def test_nothing_of_the_system_reaches_the_terminal_raw() -> None:
    run = history(
        planned(system=f"shop{EVIL}", command=EVIL),
        launched(version=EVIL),
        sent(1, target=f"/{EVIL}"),
        hand((1,)),
        stop(),
        signal(),
        (1.5, LogMatched(instance="shop", text="x", line=EVIL)),
        (1.6, Noted(kind="k", message=EVIL)),
        lost(1, loss="malformed", by="parser", detail_text=EVIL),
        refused(2, 1.7, detail_text=EVIL),
        exited(),
        left(2.5, (9,), 1.0, names=(EVIL,)),
        ended(),
    )
    text = report(run, full=True) + headline(run, judge(run))
    assert not [each for each in text if each != "\n" and (ord(each) < 32 or ord(each) in (127, 0x9B, 0x202E, 0x2066))]


def test_a_stream_that_takes_only_ascii_gets_ascii() -> None:
    run = history(
        planned(system="caf\u00e9"), launched(), sent(1), hand((1,)), stop(), signal(), lost(1), exited(), ended()
    )
    assert report(run, ascii_only=True).isascii()
    assert as_ascii("caf\u00e9") == "caf\\xe9"


# ---- saved runs --------------------------------------------------------------------------------------------------


def test_a_saved_run_gives_the_same_report(tmp_path: Path) -> None:
    run = two_of_eight()
    journal = Journal(tmp_path / JOURNAL)
    for event in run:
        journal.write(event)
    journal.close()
    saved = load(tmp_path)
    assert report(saved) == report(run)
    assert report(saved, full=True) == report(run, full=True)


def test_verdicts_of_another_history_object_are_shown_with_their_evidence() -> None:
    verdicts = judge(two_of_eight())
    assert "#7 GET /export   reset after 4,096 of 90,112 bytes" in render(two_of_eight(), verdicts)


def test_a_kill_loses_what_it_hits_and_says_only_that_it_hit() -> None:
    run = history(
        planned(fault="kill"), launched(), sent(1), hand((1,)), stop(), signal(1.0, "kill", "SIGKILL", to="all"),
        lost(1, 1.001), exited(1.001, name="SIGKILL"), left(1.001), ended(),
    )  # fmt: skip
    assert headline(run, judge(run)) == "struck: 1 of 1 in hand (known by the socket oracle)"
    assert "shop was killed at 1.000 s" in report(run)
    assert "SIGKILL to all its processes" in report(run)
