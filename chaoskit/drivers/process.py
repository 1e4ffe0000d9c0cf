"""Local processes: each system below a launcher of its own (`watchdog.py`), spoken to over a socket pair."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal as signals
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from chaoskit.drivers import ports, watchdog
from chaoskit.drivers.base import Exit, Launch, Sent
from chaoskit.drivers.placeholders import shown
from chaoskit.errors import DriverError, LaunchError

ANSWER_S = 10.0
REMOVE_S = 15.0


class ProcessDriver:
    """Launches systems as local processes."""

    def launch(self, launch: Launch) -> ProcessInstance:
        """Start one below a fresh launcher.

        Raises:
            LaunchError: it cannot be started, or a stranger listens on its port.
        """
        if launch.port is not None:
            ports.claim(launch.name, launch.host, launch.port)
        return ProcessInstance(launch)


class ProcessInstance:
    """One system and its launcher."""

    def __init__(self, launch: Launch) -> None:
        self.name = launch.name
        self.host = launch.host
        self.port = launch.port
        self.dir = launch.dir
        self.log = launch.log
        self.command = shown(launch.argv)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._exit: Exit | None = None
        self._exited = threading.Event()
        self._deadline: Sent | None = None
        self._callbacks: list[Callable[[Exit], None]] = []
        self._gone = False
        self._removing = False
        self._released = False
        self._removed = threading.Event()
        self._first: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._last_tree: tuple[tuple[int, str], ...] = ()
        self._link, theirs = socket.socketpair()
        try:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", watchdog.__file__, str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            self._link.close()
            raise DriverError(f"the launcher of '{self.name}' could not be started: {error}") from error
        finally:
            theirs.close()
        self._thread = threading.Thread(target=self._listen, name=f"chaoskit-{self.name}", daemon=True)
        self._thread.start()
        try:
            self.pid = self._begin(launch)
        except BaseException:
            self.remove()
            raise

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"http://{self.host}:{self.port}"

    def signal(self, signal: int, to: str, at: float | None = None) -> Sent:
        """See `Instance.signal`."""
        answer = self._ask(do="signal", signal=signal, to=to, at=at)
        sent = Sent(tuple(answer["sent"]), answer["at"], answer["path"])
        if not sent.pids:
            raise DriverError(f"'{self.name}' is gone: nothing was left to signal")
        return sent

    def kill_at(self, at: float) -> None:
        """See `Instance.kill_at`."""
        self._send(do="kill_at", at=None if at == float("inf") else at)

    def deadline(self) -> Sent | None:
        """See `Instance.deadline`."""
        return self._deadline

    def exit(self) -> Exit | None:
        """See `Instance.exit`."""
        self._check()
        return self._exit

    def wait(self, timeout_s: float) -> Exit | None:
        """See `Instance.wait`."""
        self._exited.wait(timeout_s)
        self._check()
        return self._exit

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """See `Instance.on_exit`."""
        with self._lock:
            ended = self._exit
            if ended is None:
                self._callbacks.append(callback)
        if ended is not None:
            callback(ended)

    def tree(self) -> tuple[tuple[int, str], ...]:
        """See `Instance.tree`."""
        if self._gone:
            return ()
        with contextlib.suppress(DriverError):
            answer = self._ask(do="tree")
            self._last_tree = tuple((int(pid), str(name)) for pid, name in answer["tree"])
        return self._last_tree

    def remove(self) -> None:
        """See `Instance.remove`."""
        self._removing = True
        listening = threading.current_thread() is self._thread  # called from an `on_exit`: it cannot wait for itself
        if not self._gone:
            with contextlib.suppress(DriverError):
                self._send(do="remove")
            if not listening:
                self._removed.wait(REMOVE_S)
            self._gone = True
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        try:
            self._watchdog.wait(REMOVE_S)
        except subprocess.TimeoutExpired:  # its own end of the link is closed: it has nothing left to do
            self._watchdog.kill()
            self._watchdog.wait()
        if not listening:
            self._thread.join(1)
        self._link.close()
        if self.port is not None and not self._released:
            self._released = True  # once: by now the port may be another's
            ports.release(self.port)

    def _check(self) -> None:
        """The leader dies with its launcher (PDEATHSIG), but nobody is left to tell when and how."""
        if self._gone and self._exit is None and not self._removing:
            raise DriverError(
                f"the launcher of '{self.name}' (pid {self._watchdog.pid}) is gone, and with it the system"
            )

    # ---- the link ----------------------------------------------------------------------------------------------

    def _begin(self, launch: Launch) -> int:
        self._send(do="launch", argv=list(launch.argv), env=launch.env, cwd=str(launch.cwd), log=str(launch.log))
        try:
            answer = self._first.get(timeout=ANSWER_S)
        except queue.Empty:
            raise DriverError(f"the launcher of '{self.name}' did not answer in {ANSWER_S:g} s") from None
        if "pid" not in answer:
            raise LaunchError(f"'{self.name}' could not be started: {answer.get('failed', 'its launcher ended')}")
        return int(answer["pid"])

    def _send(self, **message: object) -> None:
        try:
            with self._sending:
                self._link.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise DriverError(f"the launcher of '{self.name}' is gone: {error}") from error

    def _ask(self, **message: object) -> dict[str, Any]:
        number = next(self._ids)
        mine: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers[number] = mine
        try:
            self._send(id=number, **message)
            at = message.get("at")
            ahead_s = max(0.0, at - time.monotonic()) if isinstance(at, float) else 0.0
            answer = mine.get(timeout=ANSWER_S + ahead_s)
        except queue.Empty:
            raise DriverError(f"the launcher of '{self.name}' did not answer") from None
        finally:
            self._answers.pop(number, None)
        if "lost" in answer:
            raise DriverError(f"the launcher of '{self.name}' is gone")
        return answer

    def _listen(self) -> None:
        rest = b""
        while True:
            try:
                piece = self._link.recv(1 << 16)
            except OSError:
                piece = b""
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        self._gone = True
        self._first.put({"failed": "its launcher ended"})
        for waiting in list(self._answers.values()):
            waiting.put({"lost": True})
        self._removed.set()
        self._exited.set()  # nobody waits for news that cannot come

    def _take(self, message: dict[str, Any]) -> None:
        if "pid" in message or "failed" in message:
            self._first.put(message)
        elif "exit" in message:
            self._ended(message)
        elif "deadline" in message:
            self._deadline = Sent(tuple(message["deadline"]), message["at"], message["path"])
        elif "removed" in message:
            self._removed.set()
        elif message.get("id") in self._answers:
            self._answers[message["id"]].put(message)

    def _ended(self, message: dict[str, Any]) -> None:
        status = int(message["exit"])
        ended = (
            Exit(None, signal_name(status), message["at"])
            if message["by_signal"]
            else Exit(status, None, message["at"])
        )
        with self._lock:
            self._exit = ended
            callbacks, self._callbacks = self._callbacks, []
        self._exited.set()
        for callback in callbacks:
            try:
                callback(ended)
            except Exception:  # noqa: BLE001 - a bad callback must not take the link to the launcher down
                traceback.print_exc()


def signal_name(number: int) -> str:
    """`SIGTERM`, and `SIGRTMIN+6` for a real-time signal, which has no name of its own."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signals.SIGRTMIN}" if hasattr(signals, "SIGRTMIN") else f"signal {number}"
