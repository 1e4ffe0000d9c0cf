"""A sink server of the test's own, its facts, and calling it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chaoskit.downstream.server import SinkServer
from chaoskit.downstream.sink import Sink
from chaoskit.history.facts import AnyFact

LIMIT_S = 10.0
T = TypeVar("T")


@dataclass
class Reached:
    """What a caller got."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Downstream:
    """The server under test."""

    server: SinkServer
    facts: list[AnyFact] = field(default_factory=list)

    @property
    def sink(self) -> Sink:
        return self.server.sink

    def call(
        self,
        body: Any = b"",
        *,
        method: str = "POST",
        path: str = "/v1/charges",
        key: str | None = None,
        instance: str = "web",
    ) -> Reached:
        """One call on a connection of its own."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Idempotency-Key": key} if key is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.open_port(instance), timeout=LIMIT_S)
        with contextlib.closing(connection):
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return Reached(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})

    def calling(self, **options: Any) -> Callable[[], Reached]:
        """The same in a thread; what is returned waits for it."""
        got: list[Reached] = []
        thread = threading.Thread(target=lambda: got.append(self.call(**options)), daemon=True)
        thread.start()

        def result() -> Reached:
            thread.join(LIMIT_S)
            assert got, "the call was not answered"
            return got[0]

        return result

    def of(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def until(true: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.002)


@pytest.fixture
def downstream(tmp_path: Path) -> Iterator[Downstream]:
    server = SinkServer(tmp_path / "effects")
    made = Downstream(server)
    server.report = made.facts.append
    server.start()
    yield made
    server.close()
