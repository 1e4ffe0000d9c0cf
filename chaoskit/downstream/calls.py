"""What a system asks of the sink, what it is answered, and what that did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

SAFE = ("GET", "HEAD", "OPTIONS")  # these never have an effect, unless the user declares one
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

    @property
    def key(self) -> str | None:
        """Its own name for its effect: the Idempotency-Key header, else the field `key` of a JSON body."""
        header = self.headers.get(KEY_HEADER)
        if header is not None or not self.body.lstrip()[:1] == b"{":
            return header
        found = self.json
        field = found.get("key") if isinstance(found, dict) else None
        return str(field) if isinstance(field, str | int) and not isinstance(field, bool) else None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Effect:
    """One recorded side effect."""

    call: int
    instance: str
    key: str | None
    payload_digest: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call is answered. With a status of 400 and above the call was refused: it had no effect."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    @property
    def refuses(self) -> bool:
        """Whether nothing was done for the caller."""
        return self.status >= 400  # noqa: PLR2004 - RFC 9110, 15.5

    @classmethod
    def of(cls, value: object) -> Reply:
        """A reply from what a user gave: a Reply, a pair (status, body), bytes as they are, or a value sent as JSON.

        Raises:
            TypeError, ValueError: JSON cannot carry it.
        """
        if isinstance(value, Reply):
            return value
        if isinstance(value, tuple) and len(value) == 2 and type(value[0]) is int:  # noqa: PLR2004 - status, body
            return cls(value[0], _encoded(value[1]))
        return cls(200, _encoded(value))

    @classmethod
    def error(cls, status: int, text: str) -> Reply:
        """A refusal in words."""
        return cls(status, _encoded({"error": text}))


def digest(body: bytes) -> str:
    """The first 16 hex digits of a payload's SHA-256."""
    return hashlib.sha256(body).hexdigest()[:16]


def _encoded(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
