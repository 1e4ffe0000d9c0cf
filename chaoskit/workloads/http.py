"""Everything of one run that speaks HTTP: rehearsal, held work, idle connections, readiness and new work.

Lives on the engine's loop; the conductor calls it from its own thread through `LoopThread.run` and `call_soon`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chaoskit.errors import RehearsalError
from chaoskit.history.facts import ConnectFailed, RequestHung, ResponseReceived
from chaoskit.workloads.client import Answer, Ask, Client, Endpoint, Link
from chaoskit.workloads.load import open_loop
from chaoskit.workloads.requests import IDEMPOTENT, Requests, Target

NEW_FIRST_S = 0.25  # EXPERIENCE, section 5: the first new request after the signal
NEW_EVERY_S = 0.5
READINESS_EVERY_S = 0.05
IDLE_REUSE_S = 0.2
RESEND_S = 0.01  # after a whole answer
PACE_S = 0.1  # after a refusal or a loss: unpaced clients write thousands of them in a fraction of a second
REHEARSAL_S = 20.0
WARM_S = 2.0
FOREVER_S = 3600.0  # the conductor gives work requests up at their own deadline

Note = Callable[[str, str], None]


class HttpDrive:
    """Drives the workloads of one run against one endpoint."""

    def __init__(
        self,
        client: Client,
        workloads: Sequence[Requests],
        endpoint: Endpoint,
        *,
        readiness: str | None,
        now: Callable[[], float],
        note: Note,
        byte_marks: tuple[int, ...] = (),
    ) -> None:
        self._client = client
        self._workloads = tuple(workloads)
        self.endpoint = endpoint
        self._readiness = readiness
        self._now = now
        self._note = note
        self._byte_marks = byte_marks
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle: list[Link] = []
        self._silent: list[Link] = []
        self._answered: list[Link] = []
        self._numbers = [0] * len(self._workloads)
        self._durations: dict[Target, float] = {}
        self._new_until_s: float | None = None  # None: the window is open without a known end
        self._signalled = False
        self._closed = False
        self._rate_stop = asyncio.Event()
        self._deadline_s = FOREVER_S

    # ---- before the strike -----------------------------------------------------------------------------------

    async def rehearse(self) -> None:
        """Ask each held GET (and whatever else was asked for) and the `new` path once.

        Raises:
            RehearsalError: an answer says that the system is broken without any strike.
        """
        seen: set[Target] = set()
        for index, workload in enumerate(self._workloads):
            for number, target in enumerate([*workload.targets, *([workload.new] if workload.new else [])]):
                wanted = workload.rehearse is True or (workload.rehearse is None and target.method == "GET")
                if not wanted or target in seen:
                    continue
                seen.add(target)
                kind = self._ask(index, target, "rehearsal", number, timeout_s=REHEARSAL_S)
                self._judge_rehearsal(target, await self._ask_once(kind))

    def _judge_rehearsal(self, target: Target, answer: Answer) -> None:
        fact = answer.fact
        self._durations[target] = answer.ended_s - answer.opened_s
        if isinstance(fact, ResponseReceived) and fact.status < 500:  # noqa: PLR2004 - RFC 9110: 5xx is the server's fault
            if fact.status >= 400:  # noqa: PLR2004
                self._note(
                    "rehearsed_status",
                    f"{target} answers {fact.status} without any strike: that status counts as whole",
                )
            return
        if isinstance(fact, RequestHung) and fact.status is not None:
            self._note("endless_answer", f"{target} had not ended its answer after {REHEARSAL_S:g} s of rehearsal")
            return
        if isinstance(fact, ResponseReceived):
            what = f"answers {fact.status} without any strike"
        elif isinstance(fact, RequestHung):
            what = f"gave no answer in {REHEARSAL_S:g} s without any strike (skip the rehearsal: rehearse=False, --no-rehearsal)"
        elif isinstance(fact, ConnectFailed):
            what = f"could not be connected to without any strike ({fact.loss} {fact.detail_text})".replace(" )", ")")
        else:
            what = f"was cut without any strike: {fact.loss} by {fact.by} after {fact.body_bytes} bytes of body"
        raise RehearsalError(f"{target} {what}: put the system right first, or name another path")

    def warm_target(self) -> Target | None:
        """What opens and reuses an idle connection: the readiness path, else the `new` path, else the first GET."""
        if self._readiness is not None:
            return Target("GET", self._readiness)
        news = [each.new for each in self._workloads if each.new is not None and each.new.method == "GET"]
        gets = [target for each in self._workloads for target in each.targets if target.method == "GET"]
        return next(iter([*news, *gets]), None)

    async def open_idle(self) -> None:
        """Open the idle kept-alive connections and the silent ones."""
        target = self.warm_target()
        idle = max((each.idle for each in self._workloads), default=0)
        if target is not None:
            limit_s = WARM_S + 3 * self._durations.get(target, 0.0)
            asks = [self._ask(0, target, "warm", 0, timeout_s=limit_s) for _ in range(idle)]
            for answer in await asyncio.gather(*(self._ask_once(each) for each in asks)):
                if answer.connection is not None:
                    self._client.rest(answer.connection, "idle")
                    self._idle.append(answer.connection)
                if isinstance(answer.fact, RequestHung):
                    self.give_up_idle()
                    break
        for _ in range(max((each.silent for each in self._workloads), default=0)):
            self._silent.append(await self._client.open(self.endpoint, "silent"))

    def give_up_idle(self) -> bool:
        """Close idle and silent connections where they keep a one-at-a-time server from serving anybody else."""
        links = [each for each in (*self._idle, *self._silent) if not each.closed]
        self._idle.clear()
        self._silent.clear()
        if not links:
            return False
        for link in links:
            link.close()
        self._note(
            "idle_given_up",
            f"{len(links)} idle connections were closed before the strike: "
            "while they were open the system served nobody else (it takes one connection at a time)",
        )
        return True

    def start(self) -> None:
        """Begin to send work and to ask for readiness."""
        for index, workload in enumerate(self._workloads):
            if workload.rate is not None:
                self._spawn(
                    open_loop(
                        self._client,
                        lambda: self.endpoint,
                        lambda number, index=index: self._work(index, number),  # type: ignore[misc]
                        workload.rate,
                        self._rate_stop,
                    )
                )
                continue
            for _ in range(workload.clients):
                self._spawn(self._closed_client(index))
        if self._readiness is not None:
            self._spawn(self._probe_readiness(Target("GET", self._readiness)))

    def _work(self, index: int, number: int) -> Ask:
        workload = self._workloads[index]
        return self._ask(index, workload.target(number), "work", number, timeout_s=workload.timeout_s or FOREVER_S)

    async def _closed_client(self, index: int) -> None:
        link: Link | None = None
        while not self._signalled and not self._closed:
            number = self._numbers[index]
            self._numbers[index] += 1
            if link is not None and link.closed:
                link = None
            answer = await self._client.ask(self.endpoint, self._work(index, number), link)
            self._keep(answer)
            link = answer.connection
            whole = isinstance(answer.fact, ResponseReceived) and answer.fact.status < 500  # noqa: PLR2004
            await asyncio.sleep(RESEND_S if whole else PACE_S)

    # ---- after the signal ------------------------------------------------------------------------------------

    def signalled(self, signal_s: float, deadline_s: float, window_end_s: float | None, close_idle_s: float) -> None:
        """The signal is out. `window_end_s`: when the last new work may be opened; None: until `window_over`."""
        self._signalled = True
        self._deadline_s = deadline_s
        self._new_until_s = window_end_s
        for index, workload in enumerate(self._workloads):
            if workload.new is not None:
                self._spawn(self._new_work(index, (workload.new,), signal_s))
            if workload.rate is None:
                self._spawn(self._new_work(index, workload.targets, signal_s))
        self._spawn(self._reuse_idle(signal_s))
        self._spawn(self._close_later(close_idle_s))
        if window_end_s is not None:
            self._spawn(self._end_window(window_end_s))

    async def _end_window(self, at_s: float) -> None:
        await self._sleep_until(at_s)
        self.window_over()

    def window_over(self) -> None:
        """Open no new work any more."""
        self._new_until_s = min(self._now(), self._new_until_s or FOREVER_S)
        self._rate_stop.set()

    def _open(self) -> bool:
        return not self._closed and (self._new_until_s is None or self._now() < self._new_until_s)

    async def _new_work(self, index: int, targets: Sequence[Target], signal_s: float) -> None:
        number = 0
        while True:
            await self._sleep_until(signal_s + NEW_FIRST_S + number * NEW_EVERY_S)
            if not self._open():
                return
            ask = self._ask(index, targets[number % len(targets)], "new", number, timeout_s=self._until_deadline())
            self._spawn(self._ask_and_keep(ask))
            number += 1

    async def _probe_readiness(self, target: Target) -> None:
        while self._open():
            began_s = self._now()
            answer = await self._client.ask(
                self.endpoint, self._ask(-1, target, "readiness", 0, timeout_s=self._until_deadline(), keep_alive=False)
            )
            if answer.connection is not None:
                answer.connection.close()
            await self._sleep_until(began_s + READINESS_EVERY_S)

    async def _reuse_idle(self, signal_s: float) -> None:
        target = self.warm_target()
        await self._sleep_until(signal_s + IDLE_REUSE_S)
        posts = [
            (index, each)
            for index, workload in enumerate(self._workloads)
            for each in workload.targets
            if each.method not in IDEMPOTENT
        ]
        wanted = [(0, target), *posts[:1]]
        for link, (index, each) in zip(self._idle, wanted, strict=False):
            if each is not None and not link.closed:
                ask = self._ask(index, each, "idle", 0, timeout_s=self._until_deadline())
                self._spawn(self._ask_and_keep(ask, link))

    async def _close_later(self, at_s: float) -> None:
        await self._sleep_until(at_s)
        for link in (*self._idle, *self._silent, *self._answered):
            if not link.closed and not link.busy:
                link.close(tell=True)

    async def stop(self) -> None:
        """End every task, close every connection."""
        self._closed = True
        self._rate_stop.set()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in (*self._idle, *self._silent, *self._answered):
            link.close()

    # ---- pieces ----------------------------------------------------------------------------------------------

    def _ask(
        self, index: int, target: Target, purpose: str, number: int, *, timeout_s: float, keep_alive: bool = True
    ) -> Ask:
        held_kind = 0 <= index < len(self._workloads) and target in self._workloads[index].targets
        workload = self._workloads[index] if 0 <= index < len(self._workloads) else None
        body = (
            workload.body(number)
            if workload is not None and held_kind and target.method not in ("GET", "HEAD")
            else b""
        )
        work = purpose == "work"
        return Ask(
            request=self._client.next_request(),
            purpose=purpose,
            workload=index if purpose != "readiness" else -1,
            method=target.method,
            target=target.path,
            headers=workload.header_pairs(number, body=bool(body)) if workload is not None else (),
            body=body,
            upload_s=workload.upload_s if workload is not None and held_kind and purpose in ("work", "new") else 0,
            download_s=workload.download_s if workload is not None and work else 0,
            expect=workload.expect.encode()
            if workload is not None and held_kind and workload.expect is not None
            else None,
            keep_alive=keep_alive,
            timeout_s=timeout_s,
            byte_marks=self._byte_marks if work else (),
        )

    async def _ask_once(self, ask: Ask) -> Answer:
        answer = await self._client.ask(self.endpoint, ask)
        if ask.purpose == "rehearsal" and answer.connection is not None:
            answer.connection.close()
        return answer

    async def _ask_and_keep(self, ask: Ask, link: Link | None = None) -> None:
        self._keep(await self._client.ask(self.endpoint, ask, link))

    def _keep(self, answer: Answer) -> None:
        if answer.connection is not None:
            self._answered.append(answer.connection)

    def _until_deadline(self) -> float:
        return max(0.5, self._deadline_s - self._now()) if self._signalled else FOREVER_S

    async def _sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now()))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
