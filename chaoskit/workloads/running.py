"""One request on its way: sent at once, after `100 Continue` or slowly; read as it comes or slowly; ended once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chaoskit.history.facts import BodyReached, BodySent, FirstByteReceived, RequestSent
from chaoskit.history.recorder import Recorder
from chaoskit.workloads import endings
from chaoskit.workloads.asks import Ask, Ending, Endpoint, Pending, head
from chaoskit.workloads.link import Link
from chaoskit.workloads.reading import Ended, Exchange, Reading

UPLOAD_STEPS = 20
DOWNLOAD_STEPS = 20
CONTINUE_WAIT_S = 1.0  # RFC 9110, section 10.1.1: a client does not wait for 100 without end
CONTINUE = 100
PIECE = 64 * 1024  # request bytes given to the transport at a time: what it has not taken stays ours to count
UNTIMED_S = 3000  # such a request is given up by whoever asked: no timer is kept for it

Done = Callable[["Running", Ending | Exception], None]


class Running(Pending, Exchange):
    """One request on its way; `done` gets its ending fact once (or the exception, where our own code failed)."""

    __slots__ = (
        "_allowed",
        "_ask",
        "_deadline",
        "_done",
        "_mark",
        "_opened_s",
        "_paused",
        "_read_timer",
        "_recorder",
        "_send_timer",
        "_step",
        "_unsent",
        "_written",
        "link",
    )

    def __init__(self, recorder: Recorder, ask: Ask, link: Link, *, opened_s: float, reused: bool, done: Done) -> None:
        super().__init__(
            ask.request, ask.purpose, ask.workload, client_port=link.client_port, reused=reused, base_bytes=link.written
        )
        self.link = link
        self._recorder = recorder
        self._ask = ask
        self._opened_s = opened_s
        self._done: Done | None = done
        self._deadline: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None
        self._unsent = memoryview(ask.body)
        self._allowed = 0  # body bytes that may go out by now
        self._written = 0
        self._mark = 0  # how many of the byte marks were reached
        self._step = 0
        self._paused = False

    @property
    def over(self) -> bool:
        """Whether its end was told."""
        return self._done is None

    @property
    def opened_s(self) -> float:
        """When it began, or was due."""
        return self._opened_s

    @property
    def unsent_bytes(self) -> int:
        """Bytes of the body that the kernel has not taken."""
        transport = self.link.connection.transport
        return len(self._unsent) + (transport.get_write_buffer_size() if transport is not None else 0)

    # ---- sending -------------------------------------------------------------------------------------------------

    def begin(self, endpoint: Endpoint, *, limit_s: float) -> None:
        """Send the head, and the body where nothing holds it back; give up after `limit_s`."""
        ask, connection = self._ask, self.link.connection
        first = head(ask, endpoint)
        self.link.last_request = ask.request
        if connection.transport is None or connection.ended is not None:  # it went before a byte could be written
            self._record_sent()
            self.ended(connection.ended or Ended.FIN, Reading(ask.method), connection.errno)
            return
        connection.begin(self, ask.method, keep_tail=ask.expect is not None)
        if limit_s < UNTIMED_S:
            self._deadline = _later(limit_s, self.give_up)
        self._hold_back()
        if 0 < len(self._unsent) <= min(self._allowed, PIECE):
            first, self._unsent = first + ask.body, self._unsent[:0]
        self._write(first)
        self._record_sent()
        self._pump()

    def _hold_back(self) -> None:
        ask = self._ask
        if ask.expect_continue and ask.body:
            self._send_timer = _later(CONTINUE_WAIT_S, self._release)
        else:
            self._release()

    def _release(self) -> None:
        """The body may go: at once, or over `upload_s`."""
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        if self._ask.upload_s > 0 and self._ask.body:
            self._step_upload()
        else:
            self._allowed = len(self._ask.body)
            if self.sent:
                self._pump()

    def _step_upload(self) -> None:
        size = max(1, -(-len(self._ask.body) // UPLOAD_STEPS))
        pieces = -(-len(self._ask.body) // size)
        self._allowed += size
        if self._allowed < len(self._ask.body):
            self._send_timer = _later(self._ask.upload_s / max(1, pieces - 1), self._step_upload)
        if self.sent:
            self._pump()

    def _pump(self) -> None:
        """Write what may go and what the transport takes."""
        connection, transport = self.link.connection, self.link.connection.transport
        while self._unsent and not connection.full and not self.over:
            if transport is None or transport.is_closing():  # a write has failed: a loop would swallow the rest
                return
            gone = len(self._ask.body) - len(self._unsent)
            size = min(PIECE, self._allowed - gone)
            if size <= 0:
                return
            piece, self._unsent = bytes(self._unsent[:size]), self._unsent[size:]
            self._write(piece)
            if not self._unsent and self._ask.upload_s > 0:
                self._recorder.record("client", BodySent(request=self.request, sent_bytes=len(self._ask.body)))

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self.link.written += len(data)
        if self.link.connection.transport is not None:
            self.link.connection.transport.write(data)

    def _record_sent(self) -> None:
        ask = self._ask
        fact = RequestSent(
            request=ask.request,
            purpose=ask.purpose,
            workload=ask.workload,
            method=ask.method,
            target=ask.target,
            connection=self.link.number,
            client_port=self.link.client_port,
            opened_s=round(self._opened_s, 6),
            reused=self.reused,
        )
        self.sent_s = self._recorder.record("client", fact).at_s
        self.sent = True

    # ---- Exchange ------------------------------------------------------------------------------------------------

    def began(self) -> None:
        self.first_byte = True
        if self.purpose == "work":
            self._recorder.record("client", FirstByteReceived(request=self.request))
        if self._ask.download_s > 0:
            self._step_download()

    def informed(self, status: int) -> None:
        if status == CONTINUE and self._send_timer is not None and not self._allowed:
            self._release()

    def grew(self, reading: Reading) -> None:
        self.body_bytes = reading.body_bytes
        marks = self._ask.byte_marks
        while self._mark < len(marks) and reading.body_bytes >= marks[self._mark]:
            self._recorder.record("client", BodyReached(request=self.request, body_bytes=marks[self._mark]))
            self._mark += 1
        if self._ask.download_s > 0:
            self._pause_reading(reading)

    def writable(self) -> None:
        self._pump()

    def ended(self, how: Ended, reading: Reading, errno: int | None) -> None:
        if reading.body_bytes > self.body_bytes:
            self.grew(reading)
        if how is Ended.WHOLE:
            self.link.answered()
            self._finish(endings.whole(self._ask, reading, self.unsent_bytes))
        else:
            unsent = self.unsent_bytes
            sent = max(0, self._written + len(self._unsent) - unsent)
            self._finish(endings.lost(self._ask, how, reading, errno, sent_bytes=sent, unsent_bytes=unsent))
            if how in (Ended.PARSER, Ended.LIMIT):
                self.link.connection.abort()

    def broke(self, error: Exception) -> None:
        self._finish(error)

    # ---- reading slowly ------------------------------------------------------------------------------------------

    def _step_download(self) -> None:
        """The next share of the answer may come."""
        if self.over or self._step >= DOWNLOAD_STEPS:
            self._read_on()
            return
        self._step += 1
        self._read_timer = _later(self._ask.download_s / DOWNLOAD_STEPS, self._step_download)
        self._read_on()

    def _pause_reading(self, reading: Reading) -> None:
        """Stop where this step's share of a sized body is here; of another body one read is a share."""
        share = (reading.length or 0) * self._step // DOWNLOAD_STEPS if reading.framing == "sized" else 0
        transport = self.link.connection.transport
        if self._step < DOWNLOAD_STEPS and reading.body_bytes >= share and transport is not None and not self._paused:
            self._paused = True
            transport.pause_reading()

    def _read_on(self) -> None:
        transport = self.link.connection.transport
        if self._paused and transport is not None:
            self._paused = False
            transport.resume_reading()

    # ---- the end -------------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """No whole answer by the request's own deadline: hung."""
        if self.over:
            return
        waited_s = self._recorder.now() - self._opened_s
        self._finish(endings.hung(self._ask, self.link.connection.reading(), waited_s))
        self.link.connection.abort()

    def abandon(self) -> None:
        """Whoever asked was cancelled: no fact tells its end."""
        if not self.over:
            self._done = None
            self._stop()
            self.link.connection.abort()

    def _finish(self, end: Ending | Exception) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._stop()
        self._read_on()
        if not isinstance(end, Exception):
            self._recorder.record("client", end)
        done(self, end)

    def _stop(self) -> None:
        for timer in (self._deadline, self._send_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        self._deadline = self._send_timer = self._read_timer = None


def _later(after_s: float, work: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(after_s, work)
