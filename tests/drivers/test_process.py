"""A local process is signalled, watched and removed, with all that it started."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from chaoskit.drivers import ports
from chaoskit.drivers.base import Exit
from chaoskit.drivers.process import ProcessInstance
from chaoskit.errors import DriverError, LaunchError

from .conftest import Start, gone, python, until

SLEEPER = python("import time; print('up'); time.sleep(60)")
# A leader, a child in its group, and a daemonised grandchild in a session of its own; each writes what it is sent.
FAMILY = python(
    """
import os, signal, time
def told(who):
    signal.signal(signal.SIGUSR1, lambda *_: os.write(1, f'{who} told\\n'.encode()))
    os.write(1, f'{who} is {os.getpid()}\\n'.encode())
    while True:
        time.sleep(60)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            told('daemon')
        os._exit(0)
    told('child')
told('leader')
"""
)


def log_of(instance: ProcessInstance) -> str:
    return instance.log.read_text() if instance.log.exists() else ""


def up(instance: ProcessInstance, *words: str) -> None:
    until(lambda: all(word in log_of(instance) for word in words))


def family(start: Start) -> ProcessInstance:
    instance = start(*FAMILY)
    up(instance, "leader is", "child is", "daemon is")
    return instance


def pid_in_log(instance: ProcessInstance, who: str) -> int:
    return int(log_of(instance).partition(f"{who} is ")[2].split()[0])


def test_the_tree_is_the_leader_first_and_every_descendant_a_daemon_too(start: Start) -> None:
    instance = family(start)
    pids = [pid for pid, _ in instance.tree()]
    assert pids[0] == instance.pid == pid_in_log(instance, "leader")
    assert set(pids) == {pid_in_log(instance, who) for who in ("leader", "child", "daemon")}
    assert all(sys.executable in name for _, name in instance.tree())


@pytest.mark.parametrize(
    ("to", "told"), [("leader", {"leader"}), ("group", {"leader", "child"}), ("all", {"leader", "child", "daemon"})]
)
def test_a_signal_reaches_exactly_whom_it_is_for(start: Start, to: str, told: set[str]) -> None:
    instance = family(start)
    sent = instance.signal(signal.SIGUSR1, to)
    up(instance, *(f"{who} told" for who in told))
    assert {who for who in ("leader", "child", "daemon") if f"{who} told" in log_of(instance)} == told
    assert set(sent.pids) == {pid_in_log(instance, who) for who in told}
    assert sent.pids[0] == instance.pid


@pytest.mark.parametrize("to", ["leader", "group", "all"])
def test_a_planned_signal_leaves_at_its_instant_and_tells_when_it_did(start: Start, to: str) -> None:
    instance = start(*SLEEPER)
    late_s = []
    for _ in range(5):  # a busy machine may be late once; the shot that was late says so
        at = time.monotonic() + (0.03 if sys.platform == "linux" else 0.5)  # where `ps` looks up who gets it
        sent = instance.signal(signal.SIGCONT, to, at)
        assert sent.sent_at >= at
        assert time.monotonic() >= sent.sent_at
        late_s.append(sent.sent_at - at)
    assert min(late_s) < 0.1  # that it waits for its instant, not how exactly: benchmarks/strike.py measures that


def test_an_exit_code_is_told_apart_from_a_signal(start: Start) -> None:
    ended = start(*python("raise SystemExit(7)")).wait(10)
    assert ended is not None
    assert (ended.code, ended.signal) == (7, None)
    struck = start(*SLEEPER)
    before = time.monotonic()
    struck.signal(signal.SIGTERM, "leader")
    ended = struck.wait(10)
    assert ended is not None
    assert (ended.code, ended.signal) == (None, "SIGTERM")
    assert before <= ended.at <= time.monotonic()
    assert struck.exit() == ended


def test_whoever_asks_for_the_exit_is_called_once_also_when_it_was_before(start: Start) -> None:
    told: list[Exit] = []
    instance = start(*SLEEPER)
    instance.on_exit(told.append)
    assert instance.exit() is None
    instance.signal(signal.SIGKILL, "leader")
    until(lambda: len(told) == 1)
    instance.on_exit(told.append)
    assert told == [instance.exit(), instance.exit()]


def test_a_callback_that_raises_does_not_cut_the_link(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    instance = start(*python("import os\nif os.fork() == 0:\n    import time; print('up'); time.sleep(60)"))

    def bad(_: Exit) -> None:
        raise ZeroDivisionError

    instance.on_exit(bad)
    assert instance.wait(10) is not None
    up(instance, "up")
    assert len(instance.tree()) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_what_is_told_of_the_exit_may_remove_the_instance(start: Start) -> None:
    instance = family(start)
    pids = [pid for pid, _ in instance.tree()]
    removed = threading.Event()

    def remove(_: Exit) -> None:
        instance.remove()
        removed.set()

    instance.on_exit(remove)
    instance.signal(signal.SIGKILL, "leader")
    assert removed.wait(10)
    assert [pid for pid in pids if not gone(pid)] == []


def test_a_signal_to_a_leader_that_is_gone_says_so(start: Start) -> None:
    instance = start("/bin/true")
    instance.wait(10)
    with pytest.raises(DriverError, match="'web' is gone: nothing was left to signal"):
        instance.signal(signal.SIGTERM, "leader")
    with pytest.raises(DriverError, match="nothing was left"):
        instance.signal(signal.SIGTERM, "all", time.monotonic() + 0.02)


def test_children_of_a_dead_leader_still_get_signals_to_the_group_and_to_all(start: Start) -> None:
    instance = family(start)
    instance.signal(signal.SIGKILL, "leader")
    assert instance.wait(10) is not None
    assert instance.signal(signal.SIGUSR1, "group").pids == (pid_in_log(instance, "child"),)
    up(instance, "child told")
    instance.signal(signal.SIGKILL, "group")
    until(lambda: [pid for pid, _ in instance.tree()] == [pid_in_log(instance, "daemon")])
    instance.signal(signal.SIGUSR1, "all")
    up(instance, "daemon told")


def test_the_deadline_kills_the_whole_tree_and_tells_whom(start: Start) -> None:
    instance = family(start)
    at = time.monotonic() + 0.05
    instance.kill_at(at)
    ended = instance.wait(10)
    assert ended is not None
    assert ended.signal == "SIGKILL"
    until(lambda: instance.deadline() is not None)
    sent = instance.deadline()
    assert sent is not None
    assert sent.sent_at >= at
    assert set(sent.pids) == {pid_in_log(instance, who) for who in ("leader", "child", "daemon")}
    until(lambda: instance.tree() == ())


def test_a_deadline_that_was_moved_or_taken_back_kills_nobody_before(start: Start) -> None:
    instance = start(*SLEEPER)
    instance.kill_at(time.monotonic() + 0.1)
    instance.kill_at(time.monotonic() + 60)
    assert instance.wait(0.2) is None
    instance.kill_at(time.monotonic() + 0.1)
    instance.kill_at(float("inf"))
    assert instance.wait(0.2) is None
    assert instance.deadline() is None


def test_remove_leaves_nothing_of_a_family_not_even_zombies_and_may_be_repeated(start: Start) -> None:
    instance = family(start)
    pids = [pid for pid, _ in instance.tree()]
    instance.remove()
    instance.remove()
    assert [pid for pid in pids if not gone(pid)] == []
    assert instance.tree() == ()
    ended = instance.exit()
    assert ended is not None
    assert ended.signal == "SIGKILL"


def test_an_exit_just_before_the_removal_is_not_lost(start: Start) -> None:
    for _ in range(10):
        instance = start("/bin/true")
        instance.remove()
        ended = instance.exit()
        assert ended is not None
        assert (ended.code, ended.signal) in ((0, None), (None, "SIGKILL"))


def test_a_tree_that_forks_while_it_dies_is_removed(start: Start) -> None:
    breeder = """
import os, sys, time
sys.stdout.write('up\\n')
while True:
    if os.fork() == 0:
        os.setsid()
        if os.getpid() % 2:
            continue
    else:
        time.sleep(0.002)
        os._exit(0)
"""
    marker = f"bred-by-{os.getpid()}-{time.monotonic_ns()}"
    instance = start(*python(breeder), marker)
    up(instance, "up")
    assert instance.wait(10) is not None  # the leader is long gone, its line goes on
    until(lambda: instance.tree() != ())
    instance.remove()
    assert [
        process.pid for process in psutil.process_iter(["cmdline"]) if marker in (process.info["cmdline"] or ())
    ] == []


def test_orphans_behind_the_zombie_of_the_leader_are_collected(start: Start) -> None:
    program = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.05 if _ else 60)
            os.write(1, b'.') if _ else None
        os._exit(0)
    os.wait()
"""
    instance = start(*python(program))
    assert instance.wait(10) is not None
    until(lambda: log_of(instance).count(".") == 19)
    if sys.platform == "linux":
        launcher = instance._watchdog.pid
        until(lambda: zombies_below(launcher) == {instance.pid})


def zombies_below(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if fields[0] == "Z" and int(fields[1]) == parent:
                found.add(int(stat.parent.name))
    return found


@pytest.mark.parametrize(
    ("program", "why"),
    [("/nowhere/serve", "No such file or directory: /nowhere/serve"), ("{tmp}/plain", "Permission denied")],
)
def test_what_cannot_be_executed_is_told_with_its_reason(start: Start, tmp_path: Path, program: str, why: str) -> None:
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(LaunchError, match=f"'web' could not be started: .*{why}"):
        start(program.replace("{tmp}", str(tmp_path)))


def test_a_script_without_an_interpreter_line_is_told_with_what_to_do(start: Start, tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("echo hello")
    (tmp_path / "serve").chmod(0o755)
    with pytest.raises(LaunchError, match=r"Exec format error.*first line"):
        start(str(tmp_path / "serve"))


def test_a_working_directory_that_vanished_is_told(start: Start, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=f"No such file or directory: {tmp_path / 'away'}"):
        start("/bin/true", cwd=tmp_path / "away")


def test_a_log_that_cannot_be_written_is_told(start: Start, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"No such file or directory: .*output\.log"):
        start("/bin/true", log=tmp_path / "away" / "output.log")


def test_a_word_with_a_null_byte_is_told(start: Start) -> None:
    with pytest.raises(LaunchError, match="null"):
        start("/bin/echo", "a\0b")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux'")
def test_a_full_disk_below_the_log_is_the_systems_trouble_not_ours(start: Start) -> None:
    instance = start(*python("import time\nwhile True:\n    print('x' * 4096)"), log=Path("/dev/full"))
    ended = instance.wait(10)
    assert ended is not None
    assert ended.code not in (0, None)


def test_a_system_gets_neither_our_descriptors_nor_our_signal_mask(start: Start, tmp_path: Path) -> None:
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(300)]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        program = "import os, signal; print(sorted(os.listdir('/dev/fd'))[:3], len(os.listdir('/dev/fd')), signal.pthread_sigmask(0, ()), os.getsid(0) == os.getpid())"
        instance = start(*python(program))
        assert instance.wait(10) == Exit(0, None, instance.exit().at)  # type: ignore[union-attr]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for descriptor in spare:
            os.close(descriptor)
    assert log_of(instance) == "['0', '1', '2'] 4 set() True\n"  # the fourth is the folder being listed


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux'")
def test_a_launcher_that_was_killed_takes_the_leader_along_and_is_told(start: Start) -> None:
    instance = start(*SLEEPER)
    up(instance, "up")
    os.kill(instance._watchdog.pid, signal.SIGKILL)
    until(lambda: gone(instance.pid) or instance.pid in zombies_below(1) or zombie(instance.pid))
    with pytest.raises(DriverError, match=r"the launcher of 'web' .*is gone"):
        instance.wait(10)
    with pytest.raises(DriverError, match="is gone"):
        instance.signal(signal.SIGTERM, "leader")
    instance.remove()


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_fifty_launches_leak_neither_descriptors_nor_threads(start: Start, tmp_path: Path) -> None:
    start("/bin/true").remove()
    gc.collect()
    descriptors, threads = open_descriptors(), threading.active_count()
    for number in range(50):
        if number % 5:
            start("/bin/true").remove()
        else:
            with pytest.raises(LaunchError):
                start(str(tmp_path / "nowhere"))
    assert open_descriptors() == descriptors
    assert threading.active_count() == threads


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_an_end_by_a_real_time_signal_has_a_name_and_does_not_cut_the_link(start: Start) -> None:
    instance = start(*SLEEPER)
    os.kill(instance.pid, signal.SIGRTMIN + 6)
    ended = instance.wait(10)
    assert ended is not None
    assert (ended.code, ended.signal) == (None, "SIGRTMIN+6")
    assert instance.tree() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="exit(2) of one thread by its number on Linux")
def test_a_process_whose_first_thread_has_ended_is_alive_and_is_removed(start: Start) -> None:
    program = """
import ctypes, os, platform, threading, time
if os.fork() == 0:
    threading.Thread(target=time.sleep, args=(300,)).start()
    os.write(1, f'child is {os.getpid()}\\n'.encode())
    ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)
time.sleep(300)
"""
    instance = start(*python(program))
    up(instance, "child is")
    child = pid_in_log(instance, "child")
    until(lambda: zombie(child))
    assert [pid for pid, _ in instance.tree()] == [instance.pid, child]
    instance.remove()
    assert gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_system_does_not_inherit_what_the_harness_ignores(start: Start) -> None:
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as in `pytest &` of a shell without job control
    try:
        instance = start("/bin/cat", "/proc/self/status")
        assert instance.wait(10) is not None
    finally:
        signal.signal(signal.SIGQUIT, before)
    assert "SigIgn:\t0000000000000000" in log_of(instance)


def test_a_second_removal_does_not_give_back_a_port_that_is_anothers_by_now(start: Start) -> None:
    instance = start(*SLEEPER)
    instance.port = ports.pick()
    instance.remove()
    ports._held[instance.port] = os.open(os.devnull, os.O_RDONLY)  # as if picked again
    instance.remove()
    assert instance.port in ports._held
    ports.release(instance.port)
