"""A user's code, run where it can stall nobody: in threads of its own, so many at most, and for so long at most."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 32
USER_S = 10.0


class UserCode:
    """Threads are daemons, for code that never returns must not keep the process from its end."""

    def __init__(self, most: int = MOST, user_s: float = USER_S) -> None:
        self._user_s = user_s
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """What `work` returns, or raises.

        Raises:
            TimeoutError: it took too long. Its thread stays occupied until it is over.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def over(result: T | None, error: BaseException | None) -> None:
            self._free.release()
            if done.done():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]
            else:
                done.set_exception(error)

        def body() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work(*args)
            except StopIteration as stop:  # no future can carry it
                error = RuntimeError(f"StopIteration: {stop}")
            except BaseException as raised:  # noqa: BLE001 - SystemExit too: it is the caller's to tell
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                loop.call_soon_threadsafe(over, result, error)

        try:
            async with asyncio.timeout(self._user_s):
                await self._free.acquire()
                threading.Thread(target=body, name="chaoskit-user", daemon=True).start()
                return await done
        except TimeoutError:
            if done.done() and not done.cancelled() and done.exception() is not None:
                raise  # its own TimeoutError
            raise TimeoutError(f"it took more than {self._user_s:g} s") from None
