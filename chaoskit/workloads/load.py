"""Load: open loop at a rate, without coordinated omission. (The closed loop is the drive's own: one client, one request.)"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from chaoskit.workloads.client import Ask, Client, Endpoint, Link

MOST_OPEN = 10_000  # requests; beyond it the system is given no more, and the history shows the gap
SLEEP_LEAST_S = 0.0005


async def open_loop(
    client: Client,
    endpoint_of: Callable[[], Endpoint],
    make_ask: Callable[[int], Ask],
    rate: float,
    stop: asyncio.Event,
) -> None:
    """Begin `rate` requests a second until `stop`; each counts from the instant at which it was due.

    Connections are kept alive and reused. Requests that are open when it stops go on to their end.
    """
    loop = asyncio.get_running_loop()
    pool: deque[Link] = deque()
    open_tasks: set[asyncio.Task[None]] = set()
    began = loop.time()
    clock = client.clock()
    number = 0
    while not stop.is_set():
        due = began + number / rate
        wait_s = due - loop.time()
        if wait_s > SLEEP_LEAST_S:
            await asyncio.sleep(wait_s)
            continue
        if len(open_tasks) < MOST_OPEN:
            ask = make_ask(number)
            task = loop.create_task(_one(client, endpoint_of(), ask, pool, clock() - max(0.0, loop.time() - due)))
            open_tasks.add(task)
            task.add_done_callback(open_tasks.discard)
        number += 1
        if number % 100 == 0:
            await asyncio.sleep(0)
    while pool:
        pool.pop().close()
    if open_tasks:
        await asyncio.gather(*open_tasks, return_exceptions=True)


async def _one(client: Client, endpoint: Endpoint, ask: Ask, pool: deque[Link], due_s: float) -> None:
    link: Link | None = None
    while pool and link is None:
        link = pool.pop()
        if link.closed:
            link = None
    answer = await client.ask(endpoint, _due(ask, due_s), link)
    if answer.connection is not None:
        pool.append(answer.connection)


def _due(ask: Ask, due_s: float) -> Ask:
    object.__setattr__(ask, "due_s", due_s)  # made for this one request a moment ago, and nobody else's
    return ask
