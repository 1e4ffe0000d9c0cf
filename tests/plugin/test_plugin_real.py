"""Real servers struck from a user's suite; whatever ends pytest, nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

TARGETS = Path(__file__).parents[2] / "targets"
SYSTEMS = """
import pytest
from chaoskit import Command, Requests
from chaoskit.moments import held

@pytest.fixture(scope="session")
def good():
    return Command("{{python}} {targets}/drains.py --port {{port}}", ready="/healthz")

@pytest.fixture(scope="session")
def bad(chaos_sink_server):
    return Command("{{python}} {targets}/severs_at_once.py --port {{port}}", ready="/healthz", env={{"SINK": chaos_sink_server}})
"""
HELD = 'Requests("GET /slow?sink=1", idle=0)'


@pytest.fixture
def real(pytester: pytest.Pytester) -> Iterator[Callable[..., pytest.RunResult]]:
    """`real(source, *options)` runs a test file against the library itself."""

    def run(source: str | None, *options: str) -> pytest.RunResult:
        if source is not None:
            pytester.makepyfile(test_shop=SYSTEMS.format(targets=TARGETS) + source)
        return pytester.runpytest_subprocess(
            "--chaos", "-W", "error", "-p", "no:randomly", "-o", "asyncio_default_fixture_loop_scope=function", *options
        )

    yield run
    assert not left_running(pytester.path)


def left_running(folder: Path, within_s: float = 5) -> list[str]:
    """What still runs in a suite's folder after a while."""
    until = time.monotonic() + within_s
    while True:
        found = [each for each in psutil.process_iter(["cwd", "cmdline", "status"]) if _in(each, folder)]
        if not found or time.monotonic() > until:
            return [f"{each.info['cmdline']}" for each in found]
        psutil.wait_procs(found, timeout=0.1)


def _in(process: psutil.Process, folder: Path) -> bool:
    cwd, status = process.info["cwd"], process.info["status"]
    return (
        bool(cwd) and Path(cwd).is_relative_to(folder) and status != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
    )


def test_verbs_blocks_and_awaitables(real: Callable[..., pytest.RunResult]) -> None:
    source = f"""
import urllib.request

def test_good(chaos, good):
    run = chaos.terminate(good, during={HELD})
    run.verify()
    assert run.exit.after_s < 10
    assert run.name == "good"

def test_bad(chaos, bad):
    chaos.terminate(bad, during={HELD}).verify()

def test_own_client(chaos, good):
    with chaos.terminating(good, when=held(1)) as run:
        assert urllib.request.urlopen(run.url + "/slow").status == 200
    run.verify()

@pytest.mark.asyncio
async def test_awaited(chaos, good):
    (await chaos.aio.terminate(good, during={HELD})).verify()

@pytest.mark.asyncio
async def test_blocking(chaos, good):
    chaos.terminate(good, during={HELD})

def test_app(chaos):
    def app(environ, start_response): pass
    chaos.terminate(app, during={HELD})
"""
    result = real(source)
    result.assert_outcomes(passed=3, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            ">*chaos.terminate(good, during=Requests*",
            "E*chaos.terminate(...) would block this event loop: write 'await chaos.aio.terminate(...)'",
            "test_shop.py:*: UsageError",
            "E*4 of 4 held requests were severed",
            "E*See it:*chaoskit show .chaos/*",
        ]
    )
    result.stdout.fnmatch_lines(["FAILED test_shop.py::test_bad - 4 of 4 held requests were severed"])
    assert not any("verbs.py" in line for line in result.outlines)


def test_the_line_that_runs_it_again_works_as_it_stands(
    real: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    result = real(f"def test_bad(chaos, bad):\n    chaos.terminate(bad, during={HELD}).verify()")
    line = next(each for each in result.outlines if "Again:" in each)
    words = re.sub(r"^.*Again:\s+pytest", "", line).split()
    again = pytester.runpytest_subprocess(*words, "-p", "no:randomly")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["FAILED test_shop.py::test_bad - 4 of 4 held requests were severed"])


LONG = f"""
def test_long(chaos, good):
    from pathlib import Path
    from chaoskit.moments import elapsed
    with chaos.terminating(good, when=elapsed(60), within_s=90):
        Path("begun").touch()
        import time
        time.sleep(60)
# {HELD}
"""


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGKILL,)],
    ids=["interrupted once", "interrupted twice", "terminated", "killed"],
)
def test_nothing_is_left_when_pytest_is(pytester: pytest.Pytester, signals: tuple[signal.Signals, ...]) -> None:
    pytester.makepyfile(test_shop=SYSTEMS.format(targets=TARGETS) + LONG)
    words = [sys.executable, "-m", "pytest", "--chaos", "-p", "no:randomly", "test_shop.py"]
    with subprocess.Popen(words, cwd=pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        until = time.monotonic() + 30
        while not (pytester.path / "begun").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        assert any("drains.py" in each for each in left_running(pytester.path, within_s=0))
        for each in signals:
            process.send_signal(each)
        output, _ = process.communicate(timeout=30)
    assert not left_running(pytester.path), output.decode()
    if signals == (signal.SIGTERM,):  # its fixtures have ended and its reports are written
        assert process.returncode == 128 + signal.SIGTERM
        assert b"told to stop" in output
