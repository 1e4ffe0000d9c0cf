"""The server that the system calls: one thread, one port for each instance, effects durable before they are answered."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httptools

from chaoskit.address import Address
from chaoskit.downstream.gate import Gate
from chaoskit.downstream.sink import Call, Reply, Sink
from chaoskit.errors import ChaoskitError, StorageError
from chaoskit.history.facts import AnyFact, CallArrived, CallEnded, CallReleased, EffectApplied

BODY_LIMIT = 16 << 20  # bytes of one call
HEAD_LIMIT = 64 << 10
USER_S = 10.0  # a user's callable, or the server that answers are forwarded to


class SinkServer:
    """Start it once a session; `address` is the reference that systems' environments hold."""

    def __init__(self, record_dir: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self.address = Address.new("sink")
        self.sink = Sink()
        self.gate = Gate()
        self.report: Callable[[AnyFact], object] | None = None
        self._file = record_dir / f"effects-{os.getpid()}-{os.urandom(2).hex()}.jsonl"
        self._ports: dict[str, tuple[int, asyncio.Server]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._calls = 0
        self._users = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="chaoskit-answer")
        self._durable = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="chaoskit-fsync")
        self._descriptor = -1

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
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"the record of effects '{self._file}' cannot be written: {error.strerror}") from error
        started = threading.Event()

        def body() -> None:
            loop = asyncio.new_event_loop()
            self._loop = loop
            self.gate.attach(loop)
            loop.call_soon(started.set)
            loop.run_forever()
            for task in asyncio.all_tasks(loop):
                task.cancel()
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
        self._users.shutdown(wait=False, cancel_futures=True)
        self._durable.shutdown(wait=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        if not self._file.exists() or self._file.stat().st_size == 0:
            self._file.unlink(missing_ok=True)

    def open_port(self, instance: str) -> int:
        """The port of this instance, opened on first use."""
        known = self._ports.get(instance)
        if known is not None:
            return known[0]
        loop = self.start()._loop  # noqa: SLF001 - our own
        if loop is None:
            raise ChaoskitError("the sink server is not running")

        async def listen() -> asyncio.Server:
            return await loop.create_server(lambda: _Served(self, instance), self.host, 0, backlog=1024)

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
        loop = asyncio.get_running_loop()
        self.sink.calls.append(call)
        try:
            is_effect, key = await self._user(self.sink.route, call)
        except Exception as error:  # noqa: BLE001 - a user's callable may raise anything
            return self._broken("key=", call, error)
        hold = self.gate.take(call.number)
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
        if hold is not None and self.gate.when == "before" and not await self._hold(hold, left):
            return None
        reply, repeated = self.sink.before(call)
        try:
            if reply is None:
                reply = await self._answer(call)
                if is_effect:
                    effect = self.sink.applied(call, key, reply)
                    line = json.dumps([call.number, call.instance, key, effect.payload_digest]).encode() + b"\n"
                    await loop.run_in_executor(self._durable, self._write, line)
                    self.tell(_applied(call, key, effect.payload_digest, repeated=False))
            elif repeated:
                self.tell(_applied(call, key, "", repeated=True))
        except Exception as error:  # noqa: BLE001 - as above
            return self._broken("answer=", call, error)
        finally:
            self.sink.over(call)
        if hold is not None and self.gate.when == "after" and not await self._hold(hold, left):
            return None
        return reply

    async def _hold(self, hold: Any, left: asyncio.Event) -> bool:
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

    async def _user(self, work: Callable[..., Any], *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.run_in_executor(self._users, work, *args), USER_S)

    async def _answer(self, call: Call) -> Reply:
        if self.sink.forward is not None:
            return await self._user(_forwarded, self.sink.forward, call)  # type: ignore[no-any-return]
        return await self._user(self.sink.answer, call)  # type: ignore[no-any-return]

    def _broken(self, what: str, call: Call, error: Exception) -> Reply:
        self.sink.trouble = ChaoskitError(
            f"chaos_sink: the {what} for {call.method} {call.path} failed: {type(error).__name__}: {error}"
        )
        return Reply(500, b'{"error": "chaos_sink: see the test"}')

    def _write(self, line: bytes) -> None:
        os.write(self._descriptor, line)
        os.fsync(self._descriptor)

    def next_call(self) -> int:
        """A fresh number."""
        self._calls += 1
        return self._calls


def _applied(call: Call, key: str | None, payload: str, *, repeated: bool) -> EffectApplied:
    return EffectApplied(
        call=call.number, instance=call.instance, key=key, payload_digest=payload, repeated=repeated
    )


def _forwarded(base: str, call: Call) -> Reply:
    import requests

    session = requests.Session()
    session.trust_env = False
    query = f"?{call.query}" if call.query else ""
    kept = {name: value for name, value in call.headers.items() if name not in ("host", "content-length", "connection")}
    answer = session.request(
        call.method, f"{base}{call.path}{query}", data=call.body, headers=kept, timeout=USER_S, allow_redirects=False
    )
    return Reply(answer.status_code, answer.content, (("Content-Type", answer.headers.get("Content-Type", "")),))


class _Served(asyncio.Protocol):
    """One connection of the system's; one call at a time."""

    def __init__(self, server: SinkServer, instance: str) -> None:
        self._server = server
        self._instance = instance
        self._transport: asyncio.Transport | None = None
        self._left = asyncio.Event()
        self._new()

    def _new(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self._left.set()
        self._transport = None

    def eof_received(self) -> bool:
        self._left.set()
        return False

    def data_received(self, data: bytes) -> None:
        if self._task is not None:
            self._waiting += data[: HEAD_LIMIT]
            return
        self._size += len(data)
        try:
            if self._size > BODY_LIMIT:
                raise httptools.HttpParserError("the call is larger than 16 MiB")
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._transport is not None:
                self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        if name.lower() == b"expect" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        call = Call(
            self._server.next_call(),
            self._instance,
            self._parser.get_method().decode().upper(),
            path,
            query,
            self._headers,
            bytes(self._body),
        )
        self._task = asyncio.ensure_future(self._run(call, keep=self._parser.should_keep_alive()))

    async def _run(self, call: Call, *, keep: bool) -> None:
        reply = await self._server.handle(call, self._left)
        transport = self._transport
        if reply is None or transport is None:
            self._server.tell(CallEnded(call=call.number, status=None))
            return
        head = [f"HTTP/1.1 {reply.status} {'OK' if reply.status < 400 else 'Error'}"]  # noqa: PLR2004
        head += [f"{name}: {value}" for name, value in reply.headers if value]
        head += [f"Content-Length: {len(reply.body)}", "Connection: keep-alive" if keep else "Connection: close"]
        body = b"" if call.method == "HEAD" else reply.body
        transport.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
        self._server.tell(CallEnded(call=call.number, status=reply.status))
        if not keep:
            transport.close()
            return
        waiting = bytes(self._waiting)
        self._new()
        if waiting:
            self.data_received(waiting)

