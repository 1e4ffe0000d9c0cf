"""The other forms of the verbs: `with`, `async with`, `await`, and what runs beside the struck system."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from chaoskit.address import Address
from chaoskit.checks.verdict import Outcome
from chaoskit.errors import UsageError
from chaoskit.outcomes import Run
from chaoskit.plan import Plan
from chaoskit.run import Conductor

if TYPE_CHECKING:
    from chaoskit.drivers.command import Command
    from chaoskit.verbs import Harness


class RunBlock:
    """The -ing forms: `with` and `async with`; the strike comes from a thread of its own while the block runs."""

    def __init__(self, harness: Harness, plan: Plan) -> None:
        self._harness = harness
        self._plan = plan
        self._conductor: Conductor | None = None
        self._thread: threading.Thread | None = None
        self._trouble: BaseException | None = None
        self._struck = False
        self._stack = contextlib.ExitStack()
        self.entered = False
        self.run = harness.new_run(plan)

    @property
    def verb(self) -> str:
        """`terminating`, `killing`, ..."""
        kind = self._plan.fault.kind
        return f"{kind.removesuffix('e')}ing" if kind in ("terminate", "kill", "pause") else "striking"

    def __enter__(self) -> Run:
        refuse_running_loop(self.verb)
        return self._begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> Run:
        return await asyncio.to_thread(self._begin)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._end, error)

    def _begin(self) -> Run:
        self.entered = True
        self._stack.enter_context(self._harness._slots())  # noqa: SLF001
        try:
            self._conductor = Conductor(self._plan, self._harness._ready_tools())  # noqa: SLF001
            self._conductor.begin()
        except BaseException:
            self.abandon()
            raise
        instance = self._conductor.instance
        self.run.url = instance.url if instance is not None else ""
        self._thread = threading.Thread(target=self._strike, name="chaoskit-strike", daemon=True)
        self._thread.start()
        return self.run

    def _strike(self) -> None:
        conductor = self._conductor
        if conductor is None:
            return
        try:
            self._struck = conductor.strike()
            if self._struck:
                conductor.settle()
        except BaseException as error:  # noqa: BLE001 - raised again in the user's thread
            self._trouble = error

    def _end(self, error: BaseException | None) -> None:
        __tracebackhide__ = True
        conductor, thread = self._conductor, self._thread
        if conductor is None or thread is None:
            return
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.abandon()
            return
        conductor.block_ended(None if error is None else f"{type(error).__name__}: {error}")
        limits = self._plan.limits
        thread.join(limits.moment_s + self._plan.profile.grace_s + 2 * limits.hung_s + 10)
        if self._trouble is not None:
            self.abandon()
            raise self._trouble from error
        try:
            history = conductor.finish("judged" if self._struck else "missed")
        finally:
            self._stack.close()
        self._harness.runs.append(self.run)
        self.run.raised = error
        self.run.finished(history)
        if error is not None and self.run.outcome is Outcome.FAIL:  # else the block's own exception says more
            self.run.verify()

    def abandon(self) -> None:
        """Clean up without judging."""
        if self._conductor is not None:
            self._conductor.abort()
        self._stack.close()


class Beside:
    """A system that runs beside the struck one."""

    def __init__(self, name: str, instance: Any, system: Command) -> None:
        self.name = name
        self.system = system
        self._instance = instance
        self.url: str = instance.url if instance.port is not None else ""
        self.port: int | None = instance.port
        self.dir: Path = instance.dir

    def stop(self) -> None:
        """End it now."""
        self._instance.remove()

    def __str__(self) -> str:
        return str(self.system)

    def __truediv__(self, more: str) -> Address:
        return self.system / more


class Awaitables:
    """`await chaos.aio.terminate(...)`: the plain verbs for tests in an event loop."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def _in_thread(self, verb: str, *args: Any, **options: Any) -> Run:
        return await asyncio.to_thread(getattr(self._harness, verb), *args, **options)

    async def terminate(self, system: Command, during: Any = None, **options: Any) -> Run:
        """As `Harness.terminate`."""
        return await self._in_thread("terminate", system, during, **options)

    async def kill(self, system: Command, during: Any = None, **options: Any) -> Run:
        """As `Harness.kill`."""
        return await self._in_thread("kill", system, during, **options)

    async def pause(self, system: Command, during: Any = None, **options: Any) -> Run:
        """As `Harness.pause`."""
        return await self._in_thread("pause", system, during, **options)

    async def strike(self, system: Command, during: Any = None, **options: Any) -> Run:
        """As `Harness.strike`."""
        return await self._in_thread("strike", system, during, **options)


def refuse_running_loop(verb: str) -> None:
    """A blocking verb in a running event loop would stop the test's own client.

    Raises:
        UsageError: names the awaitable form.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if verb.endswith("ing"):
        raise UsageError(f"'with chaos.{verb}(...)' would block this event loop: write 'async with chaos.{verb}(...)'")
    raise UsageError(f"chaos.{verb}(...) would block this event loop: write 'await chaos.aio.{verb}(...)'")
