"""Asks one request on one connection and records what became of it: exactly one ending fact for each."""

from __future__ import annotations

import asyncio
import contextlib
import errno as errnos
from collections.abc import Callable, Mapping

from chaoskit.errors import ChaoskitError
from chaoskit.history.facts import ConnectFailed, ConnectionOpened, ResponseReceived
from chaoskit.history.recorder import Recorder
from chaoskit.workloads.asks import Answer, Ask, Ending, Endpoint, Pending
from chaoskit.workloads.link import Link, TlsFailed, connect
from chaoskit.workloads.running import Running

__all__ = ["Answer", "Ask", "Client", "Ending", "Endpoint", "Link", "Pending"]

CONNECT_S = 10.0  # for a connection without a request; a request's own limit bounds its connect

Told = Callable[[Answer | Exception], None]


class _Connecting(Pending):
    """A request that has no connection yet."""

    __slots__ = ("_limit",)

    def __init__(self, ask: Ask, limit: asyncio.Timeout) -> None:
        super().__init__(ask.request, ask.purpose, ask.workload)
        self._limit = limit

    def give_up(self) -> None:
        """Its time is over now."""
        self._limit.reschedule(asyncio.get_running_loop().time())


class Client:
    """Asks and records; lives on the loop. Numbers of requests and connections begin at 1.

    `open_requests`, `open_count` and `work_open_since` may be called from any thread.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._requests = 0
        self._links = 0
        self._open: dict[int, Running | _Connecting] = {}

    def next_request(self) -> int:
        """A fresh request number."""
        self._requests += 1
        return self._requests

    def clock(self) -> Callable[[], float]:
        """The run's clock."""
        return self._recorder.now

    # ---- what is open --------------------------------------------------------------------------------------------

    def open_requests(self) -> Mapping[int, Pending]:
        """Open requests by number: a copy (made in one step, the interpreter's lock held)."""
        return dict(self._open)

    def open_count(self) -> int:
        """How many requests are open."""
        return len(self._open)

    def work_open_since(self, signal_s: float) -> bool:
        """Whether a request of the workload that was sent by this instant is still open; cheap with thousands open."""
        for _ in range(100):
            with contextlib.suppress(RuntimeError):  # it changed while we looked
                return any(
                    each.purpose == "work" and each.sent_s is not None and each.sent_s <= signal_s
                    for each in self._open.values()
                )
        return True

    def give_up(self, request: int) -> None:
        """End a request now: as hung, or as a connect that timed out."""
        running = self._open.get(request)
        if running is not None:
            running.give_up()

    # ---- connections without a request ---------------------------------------------------------------------------

    async def open(self, endpoint: Endpoint, purpose: str) -> Link:
        """A connection without a request.

        Raises:
            ChaoskitError: it could not be made.
        """
        link = self._link(purpose)
        try:
            async with asyncio.timeout(CONNECT_S):
                await connect(link, endpoint, slow_reader=False)
        except OSError as error:
            why = str(error) or f"no answer in {CONNECT_S:g} s"
            raise ChaoskitError(f"no {purpose} connection to {endpoint.authority} could be opened: {why}") from error
        self.rest(link, purpose)
        return link

    def rest(self, link: Link, purpose: str) -> None:
        """From now on the connection is kept open without a request."""
        link.rest(purpose)
        fact = ConnectionOpened(connection=link.number, purpose=purpose, client_port=link.client_port)
        self._recorder.record("client", fact)
        if link.connection.ended is not None:
            link.record_end("server", link.connection.ended, after_answer=True)

    # ---- asking --------------------------------------------------------------------------------------------------

    async def ask(self, endpoint: Endpoint, ask: Ask, link: Link | None = None) -> Answer:
        """Ask, wait for the end, record it.

        A `link` that the server has closed is left alone and a fresh connection made: nothing was sent on it, so
        nothing was lost. A cancelled ask aborts its connection and records no end.

        Raises:
            ChaoskitError: the harness itself cannot go on (no descriptor is left, say).
        """
        began_s = self._recorder.now()
        opened_s = began_s if ask.due_s is None else ask.due_s
        reused = link is not None and not link.closed
        if link is None or not reused:
            try:
                link = await self._connect_for(endpoint, ask)
            except OSError as error:
                return self._failed(ask, opened_s, error)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        running = self._running(ask, link, opened_s, _into(future), reused=reused)
        try:
            running.begin(endpoint, limit_s=max(0.0, ask.timeout_s - (self._recorder.now() - began_s)))
            return await future
        finally:
            running.abandon()
            self._open.pop(ask.request, None)

    def send(self, endpoint: Endpoint, ask: Ask, link: Link, told: Told) -> None:
        """Ask on a kept-alive connection without waiting; `told` gets the answer, on the loop."""
        opened_s = self._recorder.now() if ask.due_s is None else ask.due_s
        self._running(ask, link, opened_s, told, reused=True).begin(endpoint, limit_s=ask.timeout_s)

    def _running(self, ask: Ask, link: Link, opened_s: float, told: Told, *, reused: bool) -> Running:
        def done(ended: Running, end: Ending | Exception) -> None:
            self._open.pop(ended.request, None)
            told(self._answer(ended, end, keep_alive=ask.keep_alive) if not isinstance(end, Exception) else end)

        running = Running(self._recorder, ask, link, opened_s=opened_s, reused=reused, done=done)
        self._open[ask.request] = running
        return running

    def _answer(self, running: Running, end: Ending, *, keep_alive: bool) -> Answer:
        """The connection goes back to whoever asked where it can carry another request; else it is closed in order."""
        link = running.link
        whole = isinstance(end, ResponseReceived)
        kept = isinstance(end, ResponseReceived) and keep_alive and not end.closes and not end.body_unsent
        kept = kept and link.connection.usable
        if not kept and whole:
            link.connection.close_soon()
        elif not kept:
            link.connection.close()
        return Answer(running.request, end, running.opened_s, self._recorder.now(), link if kept else None)

    def _link(self, purpose: str) -> Link:
        self._links += 1
        return Link(self._recorder, self._links, purpose)

    async def _connect_for(self, endpoint: Endpoint, ask: Ask) -> Link:
        link = self._link(ask.purpose)
        async with asyncio.timeout(ask.timeout_s) as limit:
            self._open[ask.request] = _Connecting(ask, limit)
            try:
                await connect(link, endpoint, slow_reader=ask.download_s > 0)
            finally:
                self._open.pop(ask.request, None)
        return link

    def _failed(self, ask: Ask, opened_s: float, error: Exception) -> Answer:
        fact = ConnectFailed(
            request=ask.request,
            purpose=ask.purpose,
            workload=ask.workload,
            method=ask.method,
            target=ask.target,
            opened_s=round(opened_s, 6),
            loss=_why(error),
            errno=getattr(error, "errno", None),
            detail_text=str(error)[:200],
        )
        self._recorder.record("client", fact)
        return Answer(ask.request, fact, opened_s, self._recorder.now(), None)


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError | ConnectionResetError):
        return "refused"  # a reset before the handshake was over: nothing was sent
    if isinstance(error, TimeoutError) or getattr(error, "errno", None) == errnos.ETIMEDOUT:
        return "timed_out"
    return "tls" if isinstance(error, TlsFailed) else "unreachable"


def _into(future: asyncio.Future[Answer]) -> Told:
    def told(result: Answer | Exception) -> None:
        if future.done():
            return
        if isinstance(result, Exception):
            trouble = ChaoskitError(f"the HTTP engine failed: {result!r}")
            trouble.__cause__ = result
            future.set_exception(trouble)
        else:
            future.set_result(result)

    return told
