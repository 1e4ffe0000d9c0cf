"""The launcher: parent of one system, keeper of its deadline, and its end when the harness dies.

A program of its own (stdlib only, `python -I -S watchdog.py FD`). It is a child subreaper on Linux, so every
descendant of the system, a daemonised one too, stays its own descendant: the tree is exactly what is below this
process. It speaks JSON lines over the socket FD; the end of that socket means that the harness is gone, and then
everything is killed. The leader stays a zombie until the end, so that no signal can ever reach a recycled pid.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
SPIN_S = 0.0012  # the last part of a wait is spun: a sleep alone wakes 0.1 to 3 ms late
LINUX = sys.platform == "linux"


def prctl(option, value):
    if LINUX:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def parent_and_state(pid):
    """(parent, state, group, session) from /proc, None where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0], int(fields[2]), int(fields[3])


def process_name(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")
        return " ".join(word.decode(errors="replace") for word in words if word)[:120] or f"pid {pid}"
    except OSError:
        return f"pid {pid}"


def table():
    """{pid: parent} of all living processes; zombies do not count."""
    if LINUX:
        found = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and (stat := parent_and_state(name)) is not None and stat[1] not in (b"Z", b"X"):
                found[int(name)] = stat[0]
        return found
    import subprocess  # only where there is no /proc

    lines = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=False).stdout
    rows = (line.split() for line in lines.splitlines())
    return {int(row[0]): int(row[1]) for row in rows if len(row) == 3 and not row[2].startswith("Z")}


class Watchdog:
    def __init__(self, link):
        self.link = link
        self.buffer = b""
        self.leader = 0
        self.pidfd = -1
        self.ended = False
        self.known = set()
        self.planned = []  # (instant, message)
        self.deadline = None
        self.over = False

    # ---- talking ----

    def tell(self, **message):
        with contextlib.suppress(OSError):
            self.link.sendall(json.dumps(message).encode() + b"\n")

    def read(self):
        try:
            piece = self.link.recv(1 << 16)
        except OSError:
            piece = b""
        if not piece:
            return False
        self.buffer += piece
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            self.obey(json.loads(line))
        return True

    def obey(self, message):
        verb = message["do"]
        if verb == "launch":
            self.launch(message)
        elif verb == "signal":
            if message["at"] is None:
                self.signal(message)
            else:
                self.planned.append((message["at"], message))
        elif verb == "kill_at":
            self.deadline = message["at"]
        elif verb == "tree":
            self.tell(tree=[(pid, process_name(pid)) for pid in self.tree()], id=message["id"])
        elif verb == "remove":
            self.over = True

    # ---- the system ----

    def launch(self, message):
        failed_r, failed_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.become(message, failed_w)
        os.close(failed_w)
        self.leader = pid
        self.known.add(pid)
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
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self.pidfd = os.pidfd_open(pid)
        self.tell(pid=pid)

    def become(self, message, failed_w):
        """Turn the forked child into the leader; tells what went wrong through the pipe, which exec closes."""
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            null = os.open(os.devnull, os.O_RDONLY)
            log = os.open(message["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(message["cwd"])
            os.set_inheritable(failed_w, False)
            os.closerange(3, failed_w)
            os.closerange(failed_w + 1, 256)
            os.execve(message["argv"][0], message["argv"], message["env"])
        except OSError as error:
            os.write(failed_w, f"{error.strerror}: {error.filename or message['argv'][0]}".encode())
        finally:
            os._exit(127)

    def tree(self):
        """Living pids of the system, leader first: what is below this process, or was started by what was."""
        parents = table()
        found = []
        for pid in sorted(parents):
            at = pid
            for _ in range(200):
                if at == os.getpid() and pid != at:
                    found.append(pid)
                    break
                if at not in parents or at <= 1:
                    break
                at = parents[at]
        if not LINUX:  # no subreaper: a daemonised child is known only when it was seen before
            found.extend(pid for pid in self.known if pid in parents and pid not in found)
        self.known.update(found)
        return sorted(found, key=lambda pid: pid != self.leader)

    def send(self, number, to):
        """(pids, instant, path) of what was signalled."""
        if to == "all":
            pids = []
            sent_at = time.monotonic()
            for pid in self.tree():
                with contextlib.suppress(OSError):
                    os.kill(pid, number)  # below us and unreaped by us, or just gone
                    pids.append(pid)
            return pids, sent_at, "kill"
        if self.ended:
            return [], time.monotonic(), "none"
        if to == "group":
            before = time.monotonic()
            try:
                os.killpg(self.leader, number)
            except OSError:
                return [], before, "killpg"
            return [self.leader], time.monotonic(), "killpg"
        try:
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, number)
            else:
                os.kill(self.leader, number)
        except OSError:
            return [], time.monotonic(), "none"
        return [self.leader], time.monotonic(), "pidfd" if self.pidfd >= 0 else "kill"

    def signal(self, message):
        pids, sent_at, path = self.send(message["signal"], message["to"])
        self.tell(sent=pids, at=sent_at, path=path, id=message["id"])

    def reap(self):
        """Collect everybody but the leader, whose pid must not be recycled; notice when the leader has ended."""
        if self.leader and not self.ended:
            info = None
            with contextlib.suppress(OSError):
                info = os.waitid(os.P_PID, self.leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is not None:
                at = time.monotonic()
                self.ended = True
                by_signal = info.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
                self.tell(exit=info.si_status, by_signal=by_signal, at=at)
        if not LINUX:
            return
        for _ in range(1000):
            info = None
            with contextlib.suppress(OSError):
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is None or info.si_pid == self.leader:
                if info is not None:
                    self.reap_orphans()
                return
            with contextlib.suppress(OSError):
                os.waitpid(info.si_pid, os.WNOHANG)

    def reap_orphans(self):
        """Behind the leader's zombie others may wait: they are known by number."""
        for pid in list(self.known):
            if pid != self.leader:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)

    # ---- the loop ----

    def run(self):
        wake_r, wake_w = os.pipe()
        os.set_blocking(wake_w, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(self.link, select.POLLIN)
        poller.register(wake_r, select.POLLIN)
        while not self.over:
            now = time.monotonic()
            due = [each[0] for each in self.planned] + ([self.deadline] if self.deadline is not None else [])
            left = min(due) - now if due else 1.0
            if left <= SPIN_S and due:
                self.fire(min(due))
                continue
            for fd, _ in poller.poll(max(0, int((min(left, 1.0) - SPIN_S) * 1000))):
                if fd == wake_r:
                    os.read(wake_r, 4096)
                elif not self.read():
                    self.over = True
            self.reap()
        self.remove()

    def fire(self, at):
        while time.monotonic() < at:
            pass
        if self.deadline is not None and self.deadline <= at:
            self.deadline = None
            pids, sent_at, path = self.send(signal.SIGKILL, "all")
            self.tell(deadline=pids, at=sent_at, path=path)
        for planned in [each for each in self.planned if each[0] <= at]:
            self.planned.remove(planned)
            self.signal(planned[1])
        self.reap()

    def remove(self):
        """SIGKILL until nothing is left: a tree that forks while it dies is frozen first."""
        for attempt in range(200):
            left = self.tree()
            if not left:
                break
            if attempt < 5:
                for pid in left:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGSTOP)
                left = self.tree()
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                if pid != self.leader:
                    with contextlib.suppress(OSError):
                        os.waitpid(pid, os.WNOHANG)
            time.sleep(0.001 if attempt < 20 else 0.02)
        self.reap()
        with contextlib.suppress(OSError):
            os.waitpid(self.leader, os.WNOHANG)
        self.tell(removed=True)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    Watchdog(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
