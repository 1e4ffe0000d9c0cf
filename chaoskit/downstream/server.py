"""The server that the system calls: one thread, one port for each instance, effects durable before they are answered."""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from chaoskit.address import Address
from chaoskit.downstream.gate import Gate, Hold
from chaoskit.downstream.record import EffectFile
from chaoskit.downstream.served import Served
from chaoskit.downstream.sink import KEY_HEADER, Call, Reply, Sink, digest
from chaoskit.downstream.users import USER_S, UserCode
from chaoskit.errors import ChaoskitError, StorageError
from chaoskit.history.facts import AnyFact, CallArrived, CallReleased, EffectApplied, Noted

HOP_BY_HOP = ("connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "transfer-encoding")
INLINE = 64 << 10  # bytes of a body that is looked into on the loop itself

T = TypeVar("T")


class SinkServer:
    """Start it once a session; `address` is the reference that systems' environments hold."""

    def __init__(self, record_dir: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self.address = Address.new("sink")
        self.sink = Sink()
        self.gate = Gate()
        self.report: Callable[[AnyFact], object] | None = None
        self.connections: set[Served] = set()
        self.record = EffectFile(record_dir)
        self._ports: dict[str, tuple[int, asyncio.Server]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._calls = 0
        self._users = UserCode()
        self._opening = threading.Lock()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def __str__(self) -> str:
        return str(self.address)

    def __truediv__(self, more: str) -> Address:
        return self.address / more

    def start(self) -> SinkServer:
        """Start the thread.

        Raises:
            StorageError: the record of effects cannot be written.
        """
        if self._thread is not None:
            return self
        self.record.open()
        started = threading.Event()

        def body() -> None:
            loop = asyncio.new_event_loop()
            self._loop = loop
            self.gate.attach(loop)
            loop.call_soon(started.set)
            loop.run_forever()
            for connection in tuple(self.connections):
                connection.abort()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

        self._thread = threading.Thread(target=body, name="chaoskit-sink", daemon=True)
        self._thread.start()
        started.wait()
        return self

    def close(self) -> None:
        """Stop listening, end the thread; idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        for name in list(self._ports):
            self.close_port(name)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        self._thread = self._loop = None
        self.record.close()

    def open_port(self, instance: str) -> int:
        """The port of this instance, opened on first use."""
        with self._opening:
            known = self._ports.get(instance)
            return known[0] if known is not None else self._open(instance)

    def _open(self, instance: str) -> int:
        loop = self.start()._loop  # noqa: SLF001 - our own
        if loop is None:
            raise ChaoskitError("the sink server is not running")

        async def listen() -> asyncio.Server:
            return await loop.create_server(lambda: Served(self, instance), self.host, 0, backlog=1024)

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
        port = int(server.sockets[0].getsockname()[1])
        self._ports[instance] = (port, server)
        return port

    def close_port(self, instance: str) -> None:
        """Stop listening for this instance."""
        known = self._ports.pop(instance, None)
        if known is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(known[1].close)

    def referenced(self, system: Any) -> bool:
        """Whether a system was given the sink's address."""
        texts = [*getattr(system, "argv", ()), *(str(value) for value in (getattr(system, "env", None) or {}).values())]
        texts += [text for text in (getattr(system, "files", None) or {}).values() if isinstance(text, str)]
        return any(self.address.token in text or "{sink}" in text for text in texts)

    # ---- one call ------------------------------------------------------------------------------------------------

    def tell(self, fact: AnyFact) -> None:
        """Hand a fact to the run that is under way."""
        if self.report is not None:
            self.report(fact)

    async def handle(self, call: Call, left: asyncio.Event) -> Reply | None:
        """The answer to one call; None when its caller left first."""
        self.sink.arrived(call)
        try:
            is_effect, key = await self._ask(self.sink.route, call)
        except Exception as error:  # noqa: BLE001 - a user's callable may raise anything
            return self._broken("key=", call, error)
        refusal = self.sink.begin(call)
        hold = self.gate.take(call.number) if refusal is None else None
        self.tell(
            CallArrived(
                call=call.number,
                instance=call.instance,
                method=call.method,
                path=call.path,
                key=key,
                held=hold is not None,
            )
        )
        if refusal is not None:
            return refusal
        try:
            if hold is not None and self.gate.when == "before" and not await self._hold(hold, left):
                return None
            reply = await self._take_turn(call, key, is_effect=is_effect)
        finally:
            self.sink.over(call)
        if hold is not None and self.gate.when == "after" and not await self._hold(hold, left):
            return None
        return reply

    async def _take_turn(self, call: Call, key: str | None, *, is_effect: bool) -> Reply:
        """Answer and record; calls with the same idempotency key one after the other, so that the later is a repeat."""
        header = call.headers.get(KEY_HEADER)
        if header is None or not self.sink.idempotent:
            return await self._reply(call, key, is_effect=is_effect)
        turn = self._turns.setdefault(header, asyncio.Lock())
        async with turn:
            return await self._reply(call, key, is_effect=is_effect)

    async def _reply(self, call: Call, key: str | None, *, is_effect: bool) -> Reply:
        reply, repeated = self.sink.stored(call)
        if repeated:
            self.tell(_applied(call, key, repeated=True))
        if reply is not None:
            if not repeated:
                words = f"{call.method} {call.path} came with an Idempotency-Key of an earlier, different request: answered 422"
                self.tell(Noted(kind="key_reused", message=words))
            return reply
        try:
            reply = await self._answer(call)
        except Exception as error:  # noqa: BLE001 - as above
            return self._broken("answer=" if self.sink.forward is None else "forward_to()", call, error)
        if is_effect:
            line = json.dumps([call.number, call.instance, key, digest(call.body)]).encode() + b"\n"
            try:
                await self.record.append(line)
            except StorageError as error:
                self.sink.trouble = self.sink.trouble or error
                return Reply(500, b'{"error": "chaos_sink: see the test"}')
            self.sink.applied(call, key, reply)
            self.tell(_applied(call, key, repeated=False))
        return reply

    async def _hold(self, hold: Hold, left: asyncio.Event) -> bool:
        waits = [asyncio.ensure_future(hold.done.wait()), asyncio.ensure_future(left.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            self.gate.drop(hold)
        gone = left.is_set()
        self.tell(CallReleased(call=hold.call, how="caller_left" if gone else "released"))
        return not gone

    async def _ask(self, work: Callable[[Call], T], call: Call) -> T:
        """What may run a user's code, or take its time over a large body, does not do so on the loop."""
        if self.sink.runs_code(call) or len(call.body) > INLINE:
            return await self._users.run(work, call)
        return work(call)

    async def _answer(self, call: Call) -> Reply:
        if self.sink.forward is not None:
            return await self._users.run(_forwarded, self.sink.forward, call)
        return await self._ask(self.sink.answer, call)

    def _broken(self, what: str, call: Call, error: Exception) -> Reply:
        self.sink.trouble = self.sink.trouble or ChaoskitError(  # the first: others follow from it
            f"chaos_sink: the {what} for {call.method} {call.path} failed: {type(error).__name__}: {error}"
        )
        return Reply(500, b'{"error": "chaos_sink: see the test"}')

    def next_call(self) -> int:
        """A fresh number."""
        self._calls += 1
        return self._calls


def _applied(call: Call, key: str | None, *, repeated: bool) -> EffectApplied:
    payload = digest(call.body)
    return EffectApplied(call=call.number, instance=call.instance, key=key, payload_digest=payload, repeated=repeated)


def _forwarded(base: str, call: Call) -> Reply:
    import requests

    query = f"?{call.query}" if call.query else ""
    headers = {name: value for name, value in call.headers.items() if name not in HOP_BY_HOP}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            call.method,
            f"{base}{call.path}{query}",
            data=call.body,
            headers=headers,
            timeout=USER_S,
            allow_redirects=False,
        )
    kept = tuple((name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP)
    return Reply(answer.status_code, answer.content, kept)
