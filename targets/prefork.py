"""Correct: a master that serves nobody forks two workers, passes the signal on, and exits when the last has drained."""

import argparse
import os
import signal
import socket
import sys

from common import Server, options

STOPS = {signal.SIGTERM, signal.SIGINT}


class Worker(Server):
    def __init__(self, given: argparse.Namespace, listener: socket.socket) -> None:
        super().__init__(given)
        self.inherited = listener

    def handle_signals(self) -> None:
        super().handle_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def listen(self) -> socket.socket:
        return self.inherited


def run() -> int:
    given = options()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    listener = Server(given).listen()
    workers = [fork(given, listener) for _ in range(2)]
    listener.close()  # else connections would wait here for a process that never accepts
    signal.sigwait(STOPS)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers)


def fork(given: argparse.Namespace, listener: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(Worker(given, listener).run())
    return pid


if __name__ == "__main__":
    sys.exit(run())
