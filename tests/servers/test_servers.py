"""Real servers nobody here wrote, each with the verdict that its behaviour deserves, and a second observer who saw the same."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from chaoskit.checks.verdict import Outcome
from chaoskit.verbs import Harness, Run
from tests.servers.observer import Seen, observe
from tests.servers.roster import HERE, SERVERS, Server
from tests.servers.scorecard import PAGE, sentence, verdict

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        sys.platform != "linux", reason="the verdicts need the socket oracle, which is there on Linux only"
    ),
]
DIRECT = [each for each in SERVERS if each.command and not each.front]


def here(row: Server) -> Server:
    """The row, or a skip that names the missing program; where CI must have all of them, an error."""
    program = row.missing()
    if program is not None:
        said = f"{program} is not installed: pip install 'chaoskit[servers]' (node: from its own package)"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return row


def strike(row: Server, folder: Path) -> Run:
    harness = Harness(run_dir=folder, root=HERE)
    try:
        return row.strike(harness)
    finally:
        harness.close()


@pytest.mark.parametrize("row", SERVERS, ids=[each.id for each in SERVERS])
def test_a_real_server_gets_the_verdict_that_its_behaviour_deserves(row: Server, tmp_path: Path) -> None:
    run = strike(here(row), tmp_path)
    report = run.report()
    accused = {
        check.check: frozenset(each.kind for each in check.findings if each.severity == "error") - row.may
        for check in run.result.checks
        if check.outcome == "fail"
    }
    assert accused == row.fails, report
    assert run.outcome is (Outcome.FAIL if row.fails else Outcome.PASS), report
    warned = {each.kind for check in run.result.checks for each in check.findings if each.severity == "warning"}
    assert row.warns <= warned, report
    assert verdict(run.result).startswith(f"**{run.outcome}**")
    assert sentence(run).endswith(".")


@pytest.mark.parametrize("row", DIRECT, ids=[each.id for each in DIRECT])
def test_plain_sockets_see_what_the_roster_expects(row: Server) -> None:
    seen = observe(here(row).command.split(), signal.Signals[row.signal], row.clients)
    kinds = row.fails.get("no_resets", frozenset())
    assert bool(lost(seen)) == bool(kinds & {"severed", "never_accepted"}), seen
    assert (seen.held["200"] == 0) == ("severed" in kinds), seen
    lost_later = seen.new["reset"] + seen.new["closed"] + seen.new["cut"]
    if not row.may:
        assert (lost_later > 1) == ("new_lost" in kinds), seen  # one may meet the listener as it closes
    assert not seen.new["hung"], seen


def lost(seen: Seen) -> int:
    """Slow requests, sent before the signal, that got no whole answer."""
    return sum(count for how, count in seen.held.items() if how != "200")


def test_the_page_has_a_line_for_every_server() -> None:
    page = PAGE.read_text()
    assert [each.id for each in SERVERS if f"\n| {each.says} | " not in page] == []
    for each in SERVERS:
        line = next(line for line in page.splitlines() if line.startswith(f"| {each.says} | "))
        assert [name for name in each.fails if f"`{name}` (" not in line] == []
        assert ("**pass**" in line) == (not each.fails)
