"""The launcher: parent of one system, keeper of its deadline, and its end when the harness dies.

A program of its own (stdlib only, `python -I -S watchdog.py FD HARNESS_PID`). It is a child subreaper on Linux, so
every descendant of the system, a daemonised one too, stays its own descendant: the tree is exactly what is below this
process. It speaks JSON lines over the socket FD; the end of that socket, or of the harness, means that everything is
killed. The leader stays a zombie until the end, so that no signal can ever reach a recycled pid.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # `typing` itself costs milliseconds of every launch
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple, NoReturn

    class Row(NamedTuple):
        """One process: its parent, its group, whether it has ended but was not collected, when it began.

        `marked`: its environment names this launcher (told only where there is no subreaper).
        """

        parent: int
        group: int
        zombie: bool
        began: str
        marked: bool = False

else:
    from collections import namedtuple

    Row = namedtuple("Row", "parent group zombie began marked", defaults=(False,))  # noqa: PYI024 - see TYPE_CHECKING

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
SPIN_S = 0.0012  # the last part of a wait is spun: a sleep alone wakes 0.1 to 3 ms late
IDLE_S = 1.0
REMOVE_S = 10.0  # what cannot be killed (another user's, stuck in the kernel) is not waited for any longer
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
LINUX = sys.platform == "linux"
LOOK_S = 0.015 if LINUX else 0.15  # this long before an instant it is looked up who gets the signal; `ps` is slow
REFORKS = 5  # a tree that still lives after so many kills is killed as it is, without freezing it first
ROUNDS = 200
SOON = 20
COLUMNS = 9  # of `ps`: pid, ppid, pgid, stat and the five words of the start; behind them command and environment
MARK = "CHAOSKIT_LAUNCHER"  # inherited by a daemonised process too: how it is found where there is no subreaper
FAMILIES = LINUX and os.access(f"/proc/{os.getpid()}/task/{os.getpid()}/children", os.R_OK)  # CONFIG_PROC_CHILDREN
ASK_WAITID = hasattr(os, "waitid")  # macOS has it from Python 3.13


def prctl(option: int, value: int) -> None:
    """Set a process attribute on Linux, do nothing elsewhere."""
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _read(path: str, most: int) -> bytes:
    """The beginning of a file of /proc; empty where its process is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, most)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def names(pids: list[int]) -> list[tuple[int, str]]:
    """Each with its command line, at most 120 characters."""
    if LINUX:
        found = {pid: _read(f"/proc/{pid}/cmdline", 4096).decode(errors="replace").replace("\0", " ") for pid in pids}
    else:
        lines = ps("-ww", "-o", "pid=", "-o", "command=", "-p", ",".join(map(str, pids)))[0] if pids else []
        found = {int(line.split()[0]): line.partition(line.split()[0])[2] for line in lines if line.strip()}
    return [(pid, found.get(pid, "").strip()[:120] or f"pid {pid}") for pid in pids]


def table(mark: str = "") -> dict[int, Row]:
    """All processes of this machine; `mark` is looked for only where there is no /proc."""
    if not LINUX:
        return _table_of_ps(mark)
    rows = {int(name): _row(name) for name in _listed("/proc") if name.isdigit()}
    return {pid: row for pid, row in rows.items() if row is not None}


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - pathlib costs milliseconds of every launch
    except OSError:
        return []


def _row(pid: int | str) -> Row | None:
    fields = _read(f"/proc/{pid}/stat", 1024).rpartition(b")")[2].split()
    if len(fields) < 20:  # noqa: PLR2004 - proc(5): field 22, the start, is the 20th behind the name
        return None
    # proc(5): the 18th behind the name counts threads; where only the first has ended, the others live on
    zombie = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    return Row(int(fields[1]), int(fields[2]), zombie, fields[19].decode())


def family(top: int) -> dict[int, Row]:
    """What is below `top`, at a cost that does not grow with the machine.

    The kernel may leave out a child whose sibling ends while the list is read: `table` is what tells for sure.
    """
    found: dict[int, Row] = {}
    left = [top]
    while left:
        pid = left.pop()
        for thread in _listed(f"/proc/{pid}/task"):
            for child in map(int, _read(f"/proc/{pid}/task/{thread}/children", 1 << 20).split()):
                row = _row(child)
                if row is not None and child not in found:
                    found[child] = row
                    left.append(child)
    return found


def ps(*options: str) -> tuple[list[str], int]:
    """What it wrote, and its own pid: it is below this process, and no part of any system."""
    import subprocess  # only where there is no /proc

    with subprocess.Popen(
        ["ps", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        written = process.communicate()[0]
    return written.decode(errors="replace").splitlines(), process.pid


def _table_of_ps(mark: str = "") -> dict[int, Row]:
    columns = [word for name in ("pid", "ppid", "pgid", "stat", "lstart", "command") for word in ("-o", f"{name}=")]
    for shape in ("-axEww" if sys.platform == "darwin" else "axeww", "-axww"):  # with the environment where it is known
        lines, own = ps(shape, *columns)
        found = {}
        for words in (line.split(None, COLUMNS) for line in lines):
            if len(words) >= COLUMNS and "".join(words[:3]).isdigit() and int(words[0]) != own:
                marked = bool(mark) and mark in words[-1].split()
                began = " ".join(words[4:COLUMNS])
                found[int(words[0])] = Row(int(words[1]), int(words[2]), words[3].startswith("Z"), began, marked)
        if found:
            break
    return found


def below(top: int, rows: dict[int, Row]) -> list[int]:
    """The processes below `top`, zombies too, parents before their children."""
    children: dict[int, list[int]] = {}
    for pid, row in rows.items():
        children.setdefault(row.parent, []).append(pid)
    found = [top]
    for pid in found:
        found.extend(child for child in children.get(pid, ()) if child != pid)
    return found[1:]


def become(message: dict[str, Any], failed_w: int) -> NoReturn:
    """Turn the forked child into the leader; what goes wrong is told through the pipe, which exec closes."""
    argv = message["argv"]
    try:
        os.setsid()
        for ignored in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:  # by us, or by `pytest &` in a shell
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the harness may have blocked some
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(message["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for number, descriptor in enumerate((null, log, log)):
            os.dup2(descriptor, number)
        os.chdir(message["cwd"])
        os.execve(argv[0], argv, message["env"])  # noqa: S606 - no shell is the point; every other descriptor closes
    except Exception as error:  # noqa: BLE001 - whatever it is, the harness must hear of it
        os.write(failed_w, _why(error, argv[0]).encode(errors="replace"))
    finally:
        os._exit(127)


def _why(error: Exception, program: str) -> str:
    if not isinstance(error, OSError):
        return str(error)
    hint = " (a script says its interpreter in its first line: #!/bin/sh)" if error.errno == errno.ENOEXEC else ""
    return f"{error.strerror}: {error.filename or program}{hint}"


class Watchdog:
    """One launcher: what it started, what it was told to do, and when."""

    def __init__(self, link: int, harness: int) -> None:
        self.link = link
        self.harness = harness
        self.buffer = b""
        self.leader = 0
        self.pidfd = -1
        self.ended = False
        self.known: dict[int, str] = {}  # without a subreaper a daemonised process is ours if it was seen before,
        self.mark = f"{MARK}={os.getpid()}.{time.monotonic_ns()}"  # or if it still has this in its environment
        self.planned: list[dict[str, Any]] = []
        self.over = False

    # ---- talking ----

    def tell(self, **message: object) -> None:
        """One line to the harness, if it is still there."""
        line = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(OSError):
            while line:
                line = line[os.write(self.link, line) :]

    def read(self) -> bool:
        """Obey what has arrived; False at the end of the socket."""
        try:
            piece = os.read(self.link, 1 << 16)
        except OSError:
            piece = b""
        *lines, self.buffer = (self.buffer + piece).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))
        return bool(piece)

    def obey(self, message: dict[str, Any]) -> None:
        """Do, or plan, what the harness asks for."""
        verb = message["do"]
        if verb == "launch":
            self.launch(message)
        elif verb == "signal" and message["at"] is None:
            self.reap()  # a leader whose end was not noticed yet would take the signal as a zombie
            self.signal(message, self.receivers(message["to"]))
        elif verb == "signal":
            self.plan(message)
        elif verb == "kill_at":
            self.planned = [each for each in self.planned if each["do"] != "kill_at"]
            if message["at"] is not None:
                self.plan({**message, "to": "all", "signal": int(signal.SIGKILL)})
        elif verb == "tree":
            self.tell(tree=names(self.tree()), id=message["id"])
        elif verb == "remove":
            self.over = True

    def plan(self, message: dict[str, Any]) -> None:
        """Keep it for its instant; a large tree, or a busy machine, is looked up earlier."""
        began = time.monotonic()
        self.receivers(message["to"])
        self.planned.append({**message, "look_s": max(LOOK_S, 4 * (time.monotonic() - began))})

    # ---- the system ----

    def launch(self, message: dict[str, Any]) -> None:
        """Fork and exec the leader; tells its pid, or why there is none."""
        if not LINUX:
            name, _, value = self.mark.partition("=")
            message["env"][name] = value
        failed_r, failed_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            become(message, failed_w)
        os.close(failed_w)
        trouble = b""
        while piece := os.read(failed_r, 4096):
            trouble += piece
        os.close(failed_r)
        if trouble:
            with contextlib.suppress(OSError):
                os.waitpid(pid, 0)
            self.tell(failed=trouble.decode(errors="replace"))
            self.over = True
            return
        self.leader = pid
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(pid)
        self.tell(pid=pid)

    def tree(self) -> list[int]:
        """Living pids of the system, the leader first."""
        rows = table(self.mark)
        found = below(os.getpid(), rows)
        if not LINUX:
            seen = set(found)
            found += [
                pid for pid, row in rows.items() if pid not in seen and (row.marked or self.known.get(pid) == row.began)
            ]
            self.known = {pid: rows[pid].began for pid in found}
        return sorted((pid for pid in found if not rows[pid].zombie), key=lambda pid: pid != self.leader)

    def near(self) -> list[int]:
        """The tree as fast as it can be had."""
        if not FAMILIES:
            return self.tree()
        living = [pid for pid, row in family(os.getpid()).items() if not row.zombie]
        return sorted(living, key=lambda pid: pid != self.leader)

    def receivers(self, to: str) -> list[int]:
        """Whom a signal would reach now, the leader first."""
        if to == "all":
            return self.near()
        if to == "group":
            rows = family(os.getpid()) if FAMILIES else table()
            members = [pid for pid, row in rows.items() if row.group == self.leader and not row.zombie]
            if self.ended and not ASK_WAITID:  # the leader was collected: its number may be another group's by now
                members = [pid for pid in self.tree() if pid in members]
            return sorted(members, key=lambda pid: pid != self.leader)
        return [] if self.ended else [self.leader]

    def send(self, number: int, to: str, pids: list[int]) -> tuple[list[int], float, str]:
        """(pids, instant just before the first call, call)."""
        if to == "group" and (ASK_WAITID or not self.ended):
            sent_at = time.monotonic()
            try:  # the leader's zombie keeps the group's number from being given away
                if pids:
                    os.killpg(self.leader, number)
                    return pids, sent_at, "killpg"
            except OSError:
                pass
            return [], sent_at, "killpg"
        reached = []
        sent_at = time.monotonic()
        for pid in pids:
            with contextlib.suppress(OSError):
                if pid != self.leader:
                    os.kill(pid, number)
                elif self.ended:
                    continue
                elif self.pidfd >= 0:
                    signal.pidfd_send_signal(self.pidfd, number)
                else:
                    os.kill(pid, number)  # not collected yet, so not recycled
                reached.append(pid)
        return reached, sent_at, "pidfd" if self.pidfd >= 0 and to == "leader" else "kill"

    def signal(self, message: dict[str, Any], pids: list[int]) -> None:
        """Send to these, and to whoever was forked meanwhile; tell to whom."""
        number, to = message["signal"], message["to"]
        reached, sent_at, path = self.send(number, to, pids)
        if to == "all":
            late = [pid for pid in self.near() if pid not in reached]
            reached += self.send(number, to, late)[0]
        if message["do"] == "kill_at":
            self.tell(deadline=reached, at=sent_at, path=path)
            self.end_all(lambda: self.near() or self.tree())
        else:
            self.tell(sent=reached, at=sent_at, path=path, id=message["id"])

    def reap(self) -> None:
        """Collect everybody but the leader, whose pid must not be recycled; notice when the leader has ended."""
        if self.leader and not self.ended:
            self.look_at_leader()
        if self.leader and LINUX and ASK_WAITID:
            self.reap_others()

    def look_at_leader(self) -> None:
        """Tell its end once; where the system can, without collecting it."""
        with contextlib.suppress(OSError):
            if ASK_WAITID:
                info = os.waitid(os.P_PID, self.leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if info is not None:
                    self.note_end(info.si_status, by_signal=info.si_code in (os.CLD_KILLED, os.CLD_DUMPED))
            else:
                self.note_collected(*os.waitpid(self.leader, os.WNOHANG))

    def note_collected(self, pid: int, raw: int) -> None:
        """What `waitpid` gave: it may be the leader, whose end was not noticed before."""
        if pid == self.leader and not self.ended:
            by_signal = os.WIFSIGNALED(raw)
            self.note_end(os.WTERMSIG(raw) if by_signal else os.WEXITSTATUS(raw), by_signal=by_signal)

    def note_end(self, status: int, *, by_signal: bool) -> None:
        """Tell the leader's end."""
        self.ended = True
        self.tell(exit=int(status), by_signal=by_signal, at=time.monotonic())

    def reap_others(self) -> None:
        """Collect orphans that came to us. The leader's zombie may stand before theirs: then the table names them."""
        for _ in range(1000):
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except OSError:
                return
            if info is None:
                return
            if info.si_pid == self.leader:
                break
            self.collect(info.si_pid)
        me = os.getpid()
        for pid, row in (family(me) if FAMILIES else table()).items():
            if row.zombie and row.parent == me and pid != self.leader:
                self.collect(pid)

    def collect(self, pid: int) -> None:
        """Take a zombie away."""
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)

    # ---- the loop ----

    def run(self) -> None:
        """Serve until told to remove, or until the harness is gone; then leave nothing."""
        wake_r, wake_w = os.pipe()
        os.set_blocking(wake_w, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(self.link, select.POLLIN)
        poller.register(wake_r, select.POLLIN)
        gone = self.watch_harness(poller)
        while not self.over:
            wait_s = self.prepare()
            if wait_s <= 0:
                self.fire()
                continue
            for fd, _ in poller.poll(int(min(wait_s, IDLE_S) * 1000)):
                if fd == wake_r:
                    os.read(wake_r, 4096)
                elif fd == gone or not self.read():
                    self.over = True
            self.over = self.over or os.getppid() != self.harness
            self.reap()
        self.remove()

    def watch_harness(self, poller: select.poll) -> int:
        """Be woken by the harness' end too: a process that it forked may keep its end of the socket open."""
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                pidfd = os.pidfd_open(self.harness)
                poller.register(pidfd, select.POLLIN)
                return pidfd
        return -1

    def prepare(self) -> float:
        """Look up whom the next signals will reach; how long there is time for other things, 0 when one is due."""
        wait_s = IDLE_S
        for each in self.planned:
            left_s = each["at"] - time.monotonic()
            if left_s <= each["look_s"] and "pids" not in each:
                each["pids"] = self.receivers(each["to"])
                left_s = each["at"] - time.monotonic()
            wait_s = min(wait_s, left_s - (SPIN_S if "pids" in each else each["look_s"]))
        return wait_s

    def fire(self) -> None:
        """Do the next planned thing at its instant."""
        message = min(self.planned, key=lambda each: float(each["at"]))
        self.planned.remove(message)
        while time.monotonic() < message["at"]:
            pass
        self.reap()
        self.signal(message, message["pids"])
        self.reap()

    def end_all(self, look: Callable[[], list[int]]) -> None:
        """SIGKILL until a look finds nothing: a tree that forks while it dies is frozen first."""
        until = time.monotonic() + REMOVE_S
        for attempt in range(ROUNDS):
            self.reap()
            left = look()
            if not left or time.monotonic() > until:
                return
            if attempt < REFORKS:
                self.send(signal.SIGSTOP, "all", left)
                left = look()
            self.send(signal.SIGKILL, "all", left)
            time.sleep(0.001 if attempt < SOON else 0.02)

    def remove(self) -> None:
        """Leave nothing, not even zombies."""
        until = time.monotonic() + REMOVE_S
        look = self.near
        while not self.childless() and time.monotonic() < until:
            self.end_all(look)
            look = self.tree  # whoever is left was not seen, or is not dead yet
            time.sleep(0.001)
        self.tell(removed=True)

    def childless(self) -> bool:
        """Collect all; whether the kernel says that nobody is left: a table read while its processes fork may miss one."""
        try:
            while (got := os.waitpid(-1, os.WNOHANG))[0]:
                self.note_collected(*got)
        except ChildProcessError:
            return True
        return False


def main() -> None:
    """Begin: the harness' signals from a terminal are not for this process."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    link = int(sys.argv[1])
    os.set_inheritable(link, False)  # noqa: FBT003 - a system that held it would keep this process from seeing its end
    Watchdog(link, int(sys.argv[2])).run()
    os._exit(0)  # nothing is left that an orderly end of the interpreter would be waited for


if __name__ == "__main__":
    main()
