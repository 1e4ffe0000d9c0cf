"""The sink of one test: which calls are effects, what they are answered, and what was recorded."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chaoskit.errors import ChaoskitError, UsageError

SAFE = ("GET", "HEAD", "OPTIONS")
KEPT_CALLS = 100_000
KEPT_BYTES = 64 << 20  # of bodies: calls beyond it are kept without theirs
KEY_HEADER = "idempotency-key"  # draft-ietf-httpapi-idempotency-key-header


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the system. `headers` has lower-case names."""

    number: int
    instance: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def form(self) -> dict[str, str]:
        """The body as a form, the first value of each name."""
        return {name: values[0] for name, values in parse_qs(self.body.decode("utf-8", "replace")).items()}


@dataclass(frozen=True, slots=True)
class Effect:
    """One recorded side effect."""

    call: int
    instance: str
    key: str | None
    payload_digest: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call is answered."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


@dataclass(slots=True)
class _Route:
    method: str
    path: str
    key: Callable[[Call], str | None] | None
    answer: Any
    asked: int = 0


@dataclass(slots=True)
class _Stored:
    fingerprint: str
    reply: Reply


@dataclass(slots=True)
class Sink:
    """Records of one test; `reset` begins the next one. Callables of the user's run off the server's loop."""

    idempotent: bool = True
    require_key: bool = False
    conflict: bool = False
    calls: list[Call] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    trouble: ChaoskitError | None = None
    _routes: list[_Route] = field(default_factory=list)
    _stored: dict[str, _Stored] = field(default_factory=dict)
    _running: Counter[str] = field(default_factory=Counter)
    _forward: str | None = None
    _kept_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def effect(self, route: str, *, key: Callable[[Call], str | None] | None = None, answer: Any = None) -> None:
        """Declare what is an effect: `POST /v1/charges`; from then on other calls are answered but are no effects.

        `answer`: a value (sent as JSON), a list (one after another), or a callable of the call.

        Raises:
            UsageError: the route is no method and path.
        """
        words = route.split()
        if len(words) != 2 or not words[1].startswith("/"):  # noqa: PLR2004 - method and path
            raise UsageError(f"chaos_sink.effect({route!r}): expected a method and a path, such as 'POST /v1/charges'")
        self._routes.append(_Route(words[0].upper(), words[1], key, {} if answer is None else answer))

    def forward_to(self, url: str) -> None:
        """Let a server of the user's answer; holding and recording stay ours."""
        if urlsplit(url).scheme not in ("http", "https"):
            raise UsageError(f"chaos_sink.forward_to({url!r}): expected an http URL")
        self._forward = url.rstrip("/")

    @property
    def forward(self) -> str | None:
        """Where answers come from, if not from here."""
        return self._forward

    def reset(self) -> None:
        """Begin anew, for the next test."""
        with self._lock:
            self.idempotent, self.require_key, self.conflict = True, False, False
            self.calls, self.effects, self.trouble, self._kept_bytes = [], [], None, 0
            self._routes, self._stored, self._running, self._forward = [], {}, Counter(), None

    # ---- for the server ------------------------------------------------------------------------------------------

    def route(self, call: Call) -> tuple[bool, str | None]:
        """Whether a call is an effect, and its key."""
        found = self._find(call)
        if call.method in SAFE and found is None:
            return False, None
        if self._routes and found is None:
            return False, None
        if found is not None and found.key is not None:
            key = found.key(call)
            return key is not None, None if key is None else str(key)
        key = call.headers.get(KEY_HEADER)
        if key is None and isinstance(call.json, dict) and isinstance(call.json.get("key"), str | int):
            key = str(call.json["key"])
        return True, key

    def runs_code(self, call: Call) -> bool:
        """Whether naming or answering this call runs the user's own code."""
        found = self._find(call)
        answers = [] if found is None else found.answer if isinstance(found.answer, list) else [found.answer]
        return found is not None and (found.key is not None or any(callable(each) for each in answers))

    def _find(self, call: Call) -> _Route | None:
        return next((each for each in self._routes if each.method == call.method and each.path == call.path), None)

    def arrived(self, call: Call) -> None:
        """Keep a call, within bounds: a test under load makes very many."""
        with self._lock:
            self._kept_bytes += len(call.body)
            if self._kept_bytes > KEPT_BYTES:
                call = replace(call, body=b"")
            if len(self.calls) < KEPT_CALLS:
                self.calls.append(call)

    def begin(self, call: Call) -> Reply | None:
        """The call begins, and `over` must follow; or it is refused at once: its key is missing, or still running."""
        header = call.headers.get(KEY_HEADER)
        with self._lock:
            if header is None:
                missing = self.require_key and call.method not in SAFE
                return _error(400, "an Idempotency-Key header is required") if missing else None
            if self.conflict and self._running[header]:
                return _error(409, "a request with this Idempotency-Key is still running")
            self._running[header] += 1
        return None

    def stored(self, call: Call) -> tuple[Reply | None, bool]:
        """The answer to a key that was used already (replay, or 422 for another request), and whether it is a replay."""
        header = call.headers.get(KEY_HEADER)
        with self._lock:
            stored = self._stored.get(header) if header is not None and self.idempotent else None
        if stored is None:
            return None, False
        if stored.fingerprint != _fingerprint(call):
            return _error(422, "this Idempotency-Key was used with another payload"), False
        return stored.reply, True

    def applied(self, call: Call, key: str | None, reply: Reply) -> Effect:
        """The effect has taken place."""
        effect = Effect(call.number, call.instance, key, digest(call.body))
        header = call.headers.get(KEY_HEADER)
        with self._lock:
            self.effects.append(effect)
            if header is not None:
                self._stored[header] = _Stored(_fingerprint(call), reply)
        return effect

    def over(self, call: Call) -> None:
        """The call has been answered, or its caller has left."""
        header = call.headers.get(KEY_HEADER)
        if header is not None:
            with self._lock:
                self._running[header] -= 1
                if self._running[header] <= 0:
                    del self._running[header]

    def answer(self, call: Call) -> Reply:
        """What the user scripted, else 200 and an empty object."""
        found = self._find(call)
        value: Any = found.answer if found is not None else {}
        if found is not None and isinstance(value, list) and value:
            value = value[min(found.asked, len(value) - 1)]
            found.asked += 1
        if callable(value):
            value = value(call)
        if isinstance(value, Reply):
            return value
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int):  # noqa: PLR2004 - status, body
            return Reply(value[0], _encoded(value[1]))
        return Reply(200, _encoded(value))


def digest(body: bytes) -> str:
    """The first 16 hex digits of a payload's SHA-256."""
    return hashlib.sha256(body).hexdigest()[:16]


def _fingerprint(call: Call) -> str:
    return f"{call.method} {call.path} {digest(call.body)}"


def _encoded(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _error(status: int, text: str) -> Reply:
    return Reply(status, json.dumps({"error": text}).encode())
