"""`Requests`: one kind of HTTP work and what its owner promises for it; a value that starts nothing."""

from __future__ import annotations

import json as json_codec
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from chaoskit.budget import DRAIN, REJECT, Disposition
from chaoskit.errors import UsageError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")  # RFC 9110, section 9.2.2


@dataclass(frozen=True, slots=True)
class Target:
    """A method and a path with its query."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def parse_target(text: str) -> Target:
    """`GET /export` or `/export` as a target.

    Raises:
        UsageError: it is neither.
    """
    words = text.split()
    if len(words) == 1 and words[0].startswith("/"):
        return Target("GET", words[0])
    if len(words) == 2 and words[0].isalpha() and words[1].startswith("/"):  # noqa: PLR2004 - method and path
        return Target(words[0].upper(), words[1])
    raise UsageError(f"'{text}' is no target: expected a method and a path, such as 'GET /export'")


Payload = Any  # JSON value, bytes, str, Path or mapping; or a callable of the request's number giving one


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Requests:
    """HTTP work of one kind. See `docs/tests.md` for every argument; times are seconds.

    Raises:
        UsageError: an argument is out of range; the message names it.
    """

    targets: tuple[Target, ...]
    clients: int
    hold_at_least: int
    rate: float | None
    disposition: Disposition
    headers: Any
    json: Payload
    data: Payload
    expect: str | None
    new: Target | None
    idle: int
    silent: int
    upload_s: float
    download_s: float
    rehearse: bool | None
    release_s: float | Literal["never"] | None
    timeout_s: float | None
    via: Any = field(default=None)

    def __init__(  # noqa: PLR0913 - the user's one call: every argument is a keyword
        self,
        *targets: str,
        clients: int = 4,
        hold_at_least: int = 1,
        rate: float | None = None,
        disposition: Disposition = DRAIN,
        headers: Mapping[str, str] | Callable[[int], Mapping[str, str]] | None = None,
        json: Payload = None,
        data: Payload = None,
        expect: str | None = None,
        new: str | None = None,
        idle: int = 2,
        silent: int = 0,
        upload_s: float = 0,
        download_s: float = 0,
        rehearse: bool | None = None,
        release_s: float | Literal["never"] | None = None,
        timeout_s: float | None = None,
        via: Any = None,
    ) -> None:
        if not targets:
            raise UsageError("Requests: expected at least one target, such as Requests('GET /export')")
        if json is not None and data is not None:
            raise UsageError("Requests: json= and data= were both given; a request has one body")
        values = {
            "targets": tuple(parse_target(each) for each in targets),
            "clients": _at_least("clients", clients, 1),
            "hold_at_least": _at_least("hold_at_least", hold_at_least, 1),
            "rate": rate,
            "disposition": _disposition(disposition),
            "headers": headers,
            "json": json,
            "data": data,
            "expect": expect,
            "new": None if new is None else parse_target(new),
            "idle": _at_least("idle", idle, 0),
            "silent": _at_least("silent", silent, 0),
            "upload_s": _at_least("upload_s", upload_s, 0),
            "download_s": _at_least("download_s", download_s, 0),
            "rehearse": rehearse,
            "release_s": _release(release_s),
            "timeout_s": timeout_s,
            "via": _via(via),
        }
        _above_zero("rate", rate, "requests a second")
        _above_zero("timeout_s", timeout_s, "seconds")
        if rate is None and hold_at_least > clients:
            raise UsageError(
                f"Requests: hold_at_least is {hold_at_least} but only {clients} clients send: raise clients or lower it"
            )
        if upload_s and json is None and data is None:
            raise UsageError("Requests: upload_s spreads a body over time, but there is none: give data= or json=")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def target(self, number: int) -> Target:
        """The target of the workload's request `number` (0, 1, ...): they take turns."""
        return self.targets[number % len(self.targets)]

    def header_pairs(self, number: int, *, body: bool) -> tuple[tuple[str, str], ...]:
        """The user's headers for one request, with a content type where the body implies one."""
        given = self.headers(number) if callable(self.headers) else self.headers
        pairs = [(str(name), str(value)) for name, value in (given or {}).items()]
        for name, value in pairs:
            if "\n" in value or "\r" in value or "\n" in name or ":" in name.lstrip(":"):
                raise UsageError(f"Requests: header '{name}' has a line break or a colon in it")
        if body and not any(name.lower() == "content-type" for name, _ in pairs):
            kind = self._content_type(number)
            if kind:
                pairs.append(("Content-Type", kind))
        return tuple(pairs)

    def _content_type(self, number: int) -> str | None:
        if self.json is not None:
            return "application/json"
        data = self.data(number) if callable(self.data) else self.data
        return "application/x-www-form-urlencoded" if isinstance(data, Mapping) else None

    def body(self, number: int) -> bytes:
        """The body of one request: JSON encoded, a mapping as a form, a path as the file's bytes."""
        if self.json is not None:
            value = self.json(number) if callable(self.json) else self.json
            return json_codec.dumps(value).encode()
        data = self.data(number) if callable(self.data) else self.data
        if data is None:
            return b""
        if isinstance(data, Path):
            try:
                return data.read_bytes()
            except OSError as error:
                raise UsageError(f"Requests: data='{data}' cannot be read: {error.strerror}") from error
        if isinstance(data, Mapping):
            return urlencode(data).encode()
        if isinstance(data, str):
            return data.encode()
        if isinstance(data, bytes):
            return data
        raise UsageError(f"Requests: data is a {type(data).__name__}; expected bytes, text, a mapping or a Path")


def _at_least(name: str, value: float, least: float) -> Any:
    kinds = (int, float) if name.endswith("_s") else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < math.inf:
        raise UsageError(f"Requests: {name} is {value!r}; expected a number of at least {least:g}")
    return value


def _above_zero(name: str, value: Any, unit: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"Requests: {name} is {value}; expected {unit}, above 0")


def _via(value: Any) -> Any:
    """A front: an http(s) URL, a system, or what `chaos.launch` gave."""
    if value is None or hasattr(getattr(value, "system", value), "address"):
        return value
    try:
        parts = urlsplit(str(value))
        fine = isinstance(value, str) and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        fine = False
    if not fine:
        raise UsageError(
            f"Requests: via is {value!r}; expected a URL such as 'http://127.0.0.1:8080', or a launched system"
        )
    if parts.path.strip("/") or parts.query:
        raise UsageError(f"Requests: via is {value!r}; the path belongs into the target, not into the front's URL")
    return value


def _release(value: float | str | None) -> float | str | None:
    if value is None or value == "never" or (isinstance(value, int | float) and 0 <= value < math.inf):
        return value
    raise UsageError(f"Requests: release_s is {value!r}; expected seconds after the signal, or 'never'")


def _disposition(value: object) -> Disposition:
    try:
        made = Disposition(str(value).lower())
    except ValueError:
        made = None
    if made in (DRAIN, REJECT):
        return Disposition(made)
    raise UsageError(f"Requests: disposition is {value!r}; requests either DRAIN or REJECT")
