"""SIGTERM to pytest itself: fixtures end, what was started is removed, reports are written (PYTEST_DONT_REWRITE)."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import NoReturn

import pytest


class Stopped(KeyboardInterrupt):
    """We were told to stop: pytest ends as after Ctrl-C."""


class Stopping:
    """Turns the first SIGTERM into an interrupt; the clean-up that follows is bounded, so further ones are ignored."""

    def __init__(self) -> None:
        self._stopped = False
        self._ours = False

    def listen(self) -> None:
        """Begin, unless somebody else handles the signal."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._stop)
            self._ours = True

    def _stop(self, _number: int, _frame: FrameType | None) -> NoReturn:
        self._stopped = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped("told to stop (SIGTERM): what was started is removed")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Leave with what a shell says of a process that SIGTERM ended."""
        if self._stopped:
            session.exitstatus = 128 + signal.SIGTERM

    def pytest_unconfigure(self) -> None:
        """Give the signal back."""
        if self._ours:
            self._ours = False
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
