"""Load: open loop at a rate, without coordinated omission. (The closed loop is the drive's own: one client, one request.)"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from chaoskit.workloads.client import Answer, Ask, Client, Endpoint, Link

MOST_OPEN = 10_000  # requests; beyond it the system is given no more, and the history shows the gap
TICK_S = 0.001  # requests that are due within it begin together: one turn of the loop for all of them
BURST = 50  # requests begun before the loop reads answers again


async def open_loop(
    client: Client,
    endpoint_of: Callable[[], Endpoint],
    make_ask: Callable[[int], Ask],
    rate: float,
    stop: asyncio.Event,
) -> None:
    """Begin `rate` requests a second until `stop`; each counts from the instant at which it was due.

    Connections are kept alive and reused. Requests that are open when it stops go on to their end.

    Raises:
        ChaoskitError: the harness itself could not go on (no descriptor is left, say).
    """
    load = _Load(client)
    clock = client.clock()
    began_s = clock()  # not the loop's time: uvloop's is a millisecond coarse, and as old as the turn of the loop
    number = 0
    try:
        while not stop.is_set() and load.trouble is None:
            due_s = began_s + number / rate
            late_s = clock() - due_s
            if late_s < 0:
                await asyncio.sleep(max(TICK_S, -late_s))
                continue
            if load.open < MOST_OPEN:
                load.begin(endpoint_of(), _due(make_ask(number), due_s))
            number += 1
            if number % BURST == 0:
                await asyncio.sleep(0)
        await load.over()
    finally:
        load.close()


class _Load:
    """The requests that are open, and the connections between two of them."""

    def __init__(self, client: Client) -> None:
        self.open = 0
        self.trouble: Exception | None = None
        self._client = client
        self._pool: deque[tuple[Endpoint, Link]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._all_ended = asyncio.Event()
        self._stopped = False

    def begin(self, endpoint: Endpoint, ask: Ask) -> None:
        """Ask on a kept connection, without a task; else on a fresh one."""
        self.open += 1
        while self._pool:
            where, link = self._pool.pop()
            if where != endpoint:  # the system is served elsewhere by now
                link.close()
            elif not link.closed:
                self._client.send(endpoint, ask, link, lambda end: self._told(endpoint, end))
                return
        task = asyncio.get_running_loop().create_task(self._connect(endpoint, ask))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def over(self) -> None:
        """Wait until every request has ended."""
        self._stopped = True
        self.close()
        while self.open and self.trouble is None:
            self._all_ended.clear()
            await self._all_ended.wait()
        if self.trouble is not None:
            raise self.trouble

    def close(self) -> None:
        """Close what is kept; a request that is still connecting is given up."""
        while self._pool:
            self._pool.pop()[1].close()
        if not self._stopped:
            for task in self._connecting:
                task.cancel()

    async def _connect(self, endpoint: Endpoint, ask: Ask) -> None:
        end: Answer | Exception
        try:
            end = await self._client.ask(endpoint, ask)
        except Exception as error:  # noqa: BLE001 - told to whoever drives the load
            end = error
        self._told(endpoint, end)

    def _told(self, endpoint: Endpoint, end: Answer | Exception) -> None:
        self.open -= 1
        if isinstance(end, Exception):
            self.trouble = self.trouble or end
        elif end.connection is not None and self._stopped:
            end.connection.close()
        elif end.connection is not None:
            self._pool.append((endpoint, end.connection))
        if not self.open or self.trouble is not None:
            self._all_ended.set()


def _due(ask: Ask, due_s: float) -> Ask:
    object.__setattr__(ask, "due_s", due_s)  # made for this one request a moment ago, and nobody else's
    return ask
