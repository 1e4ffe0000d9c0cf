"""The matrix: every target gets exactly the verdict that it deserves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from chaoskit.checks.verdict import Outcome
from chaoskit.downstream.server import SinkServer
from chaoskit.drivers.command import Command
from chaoskit.profiles import process
from chaoskit.verbs import Harness
from chaoskit.workloads.requests import Requests

ROOT = Path(__file__).parents[2]


def _rows() -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / "targets" / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.rows())


ROWS = _rows()


@pytest.mark.skipif(sys.platform != "linux", reason="the matrix needs the socket oracle, which is there on Linux only")
@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_a_target_gets_the_verdict_that_it_deserves(row: dict[str, Any], tmp_path: Path) -> None:
    command, requests = row["command"], dict(row["requests"])
    env = {}
    server = None
    if any("sink=1" in target for target in requests["targets"]):
        server = SinkServer(tmp_path / "sink").start()
        env["SINK_URL"] = server
    harness = Harness(run_dir=tmp_path, root=ROOT, sink_server=server)
    try:
        run = harness.terminate(
            Command(command, ready=row["ready"], env=env),
            during=Requests(*requests.pop("targets"), **requests),
            profile=process(**row["profile"]),
            **row["call"],
        )
    finally:
        harness.close()
        if server is not None:
            server.close()
    report = run.report()
    verdicts = {each.check: each for each in run.verdicts}
    failing = {name for name, each in verdicts.items() if each.outcome is Outcome.FAIL}
    unknown = {name for name, each in verdicts.items() if each.outcome is Outcome.UNKNOWN}
    warned = {f.kind for each in run.verdicts for f in each.findings if f.severity == "warning"}
    assert (failing, unknown) == (set(row["fails"]), set(row["unknown"])), report
    assert run.outcome == row["outcome"], report
    assert set(row["warns"]) <= warned, report
