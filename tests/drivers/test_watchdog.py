"""The launcher keeps the deadline and cleans up, whatever becomes of the harness."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chaoskit.drivers import watchdog

from .conftest import until

# Launches a system that daemonises a process of its own, prints launcher and tree, then does as it is told.
HARNESS = """
import os, sys, time
from pathlib import Path
from chaoskit.drivers.base import Launch
from chaoskit.drivers.process import ProcessDriver

SYSTEM = '''
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("up", flush=True)
        time.sleep(60)
    os._exit(0)
time.sleep(60)
'''
folder = Path(sys.argv[1])
log = folder / "output.log"
instance = ProcessDriver().launch(Launch(name="web", argv=(sys.executable, "-I", "-S", "-c", SYSTEM),
    env=dict(os.environ), cwd=folder, dir=folder, log=log, host="127.0.0.1", port=None))
while "up" not in log.read_text() or len(instance.tree()) != 2:
    time.sleep(0.005)
EXTRA
print(instance._watchdog.pid, *(pid for pid, _ in instance.tree()), flush=True)
time.sleep(60)
"""

Harness = Callable[..., tuple[subprocess.Popen[str], list[int]]]


def ended(pid: int) -> bool:
    """Gone, or a zombie that whoever inherited it has not collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    started: list[subprocess.Popen[str]] = []

    def begin(extra: str = "") -> tuple[subprocess.Popen[str], list[int]]:
        words = [sys.executable, "-c", HARNESS.replace("EXTRA", extra), str(tmp_path)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3
        return process, pids

    yield begin
    for process in started:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_harness_that_is_killed_leaves_nothing_not_even_a_daemon(harness: Harness) -> None:
    process, pids = harness()
    process.kill()
    until(lambda: all(ended(pid) for pid in pids))


def test_a_harness_that_ends_without_cleaning_up_leaves_nothing(harness: Harness) -> None:
    process, pids = harness()
    process.terminate()
    until(lambda: all(ended(pid) for pid in pids))


def test_a_process_that_the_harness_forked_does_not_keep_the_system_alive(harness: Harness) -> None:
    process, pids = harness("if os.fork() == 0: time.sleep(60)")
    process.kill()
    until(lambda: all(ended(pid) for pid in pids))


def test_the_deadline_is_kept_while_the_harness_is_stopped(harness: Harness) -> None:
    process, (launcher, *tree) = harness("instance.kill_at(time.monotonic() + 1)")
    process.send_signal(signal.SIGSTOP)
    assert not any(ended(pid) for pid in tree)
    until(lambda: all(ended(pid) for pid in tree))
    assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    assert not ended(launcher)


def test_signals_from_the_terminal_reach_neither_launcher_nor_system(harness: Harness) -> None:
    process, pids = harness("import signal; [signal.signal(each, signal.SIG_IGN) for each in (1, 2, 15)]")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.killpg(process.pid, number)
        os.kill(pids[0], number)
    process.send_signal(signal.SIGSTOP)  # a signal later than these has taken effect, so these have
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    assert not any(ended(pid) for pid in pids)


def test_the_launcher_is_one_file_of_the_standard_library_and_starts_without_slow_modules() -> None:
    program = "import sys; sys.path.append(sys.argv[1]); import watchdog; print(*sys.modules)"
    words = [sys.executable, "-I", "-S", "-c", program, str(Path(watchdog.__file__).parent)]
    loaded = set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert "watchdog" in loaded
    assert loaded & {"chaoskit", "typing", "pathlib", "subprocess", "socket", "asyncio", "inspect"} == set()
    assert {name.partition(".")[0] for name in loaded} <= {*sys.stdlib_module_names, "watchdog", "__main__"}


def test_what_is_below_a_process_is_told_with_parents_first() -> None:
    rows = {
        pid: watchdog.Row(parent, 1, zombie=False, began="") for pid, parent in ((1, 0), (5, 1), (3, 5), (9, 3), (7, 1))
    }
    assert watchdog.below(5, rows) == [3, 9]
    assert watchdog.below(1, rows) == [5, 7, 3, 9]
    assert watchdog.below(0, {0: watchdog.Row(0, 0, zombie=False, began="")}) == []


def test_both_ways_to_list_processes_agree_about_this_one() -> None:
    here = os.getpid()
    for rows in (watchdog.table(), watchdog._table_of_ps()):
        assert rows[here].parent == os.getppid()
        assert rows[here].group == os.getpgid(0)
        assert not rows[here].zombie


@pytest.mark.skipif(not watchdog.FAMILIES, reason="the kernel lists no children")
def test_a_family_is_what_the_whole_table_says(tmp_path: Path) -> None:
    program = "import os, time\nfor _ in range(5):\n os.fork()\nprint('.', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as top:
        try:
            assert top.stdout is not None
            for _ in range(32):
                top.stdout.readline()
            expected = watchdog.below(top.pid, watchdog.table())
            assert len(expected) == 31
            assert set(watchdog.family(top.pid)) == set(expected)
        finally:
            for pid in [*watchdog.family(top.pid), top.pid]:
                os.kill(pid, signal.SIGKILL)


def test_ps_does_not_list_itself_and_finds_a_daemon_by_the_mark_in_its_environment(tmp_path: Path) -> None:
    mark = f"{watchdog.MARK}={os.getpid()}.{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    program = "import os, time\nif os.fork(): os._exit(0)\nos.setsid(); time.sleep(60)"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, name: value}, check=True)
    others = {each.pid for each in psutil.Process().children(recursive=True)}  # of other tests in this process
    rows = watchdog._table_of_ps(mark)
    marked = [pid for pid, row in rows.items() if row.marked]
    try:
        assert len(marked) == 1
        assert rows[marked[0]].parent != os.getpid()
        assert set(watchdog.below(os.getpid(), rows)) <= others
    finally:
        for pid in marked:
            os.kill(pid, signal.SIGKILL)


def test_commands_are_named_the_same_with_and_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    here = watchdog.names([os.getpid()])
    monkeypatch.setattr(watchdog, "LINUX", False)
    assert [(pid, name.split()) for pid, name in watchdog.names([os.getpid()])] == [
        (pid, name.split()) for pid, name in here
    ]
    assert watchdog.names([]) == []
