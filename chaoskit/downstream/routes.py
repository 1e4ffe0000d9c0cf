"""What a test declares about the sink's paths: which calls are effects, how they are named, what they are answered."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

from chaoskit.downstream.calls import Call, Reply
from chaoskit.errors import UsageError

Key = Callable[[Call], str | int | None]


class Route:
    """One declared effect. `named` and `reply` may run a user's code: not on a loop that must not wait."""

    def __init__(self, route: str, key: Key | None, answer: Any) -> None:
        words = route.split()
        if len(words) != 2 or not words[1].startswith("/"):  # noqa: PLR2004 - method and path
            raise UsageError(f"chaos_sink.effect({route!r}): expected a method and a path, such as 'POST /v1/charges'")
        self.method, self.path = words[0].upper(), words[1]
        self.key = key
        self._answers = answer if isinstance(answer, list) else [{} if answer is None else answer]
        self._asked = 0
        self._lock = threading.Lock()
        self._validate(route)

    def _validate(self, route: str) -> None:
        if not self._answers:
            raise UsageError(
                f"chaos_sink.effect({route!r}): answer=[] is empty; expected the answers one after another"
            )
        for what, given in (("key", self.key), *(("answer", each) for each in self._answers)):
            if inspect.iscoroutinefunction(given):
                raise UsageError(f"chaos_sink.effect({route!r}): {what}= is an async function; expected a plain one")
            if what == "key" and given is not None and not callable(given):
                raise UsageError(
                    f"chaos_sink.effect({route!r}): key={given!r}; expected a callable that is given the call"
                )
            if what == "answer" and not callable(given):
                try:
                    Reply.of(given)
                except (TypeError, ValueError) as error:
                    raise UsageError(f"chaos_sink.effect({route!r}): answer={given!r} is no JSON: {error}") from error

    @property
    def runs_code(self) -> bool:
        """Whether an answer is the user's code."""
        return any(callable(each) for each in self._answers)

    def matches(self, call: Call) -> bool:
        """Whether this declaration speaks of the call; its query does not count."""
        return call.method == self.method and call.path == self.path

    def named(self, call: Call) -> str | None:
        """The key of the call's effect; None: it has none.

        Raises:
            TypeError: the user's callable returned something else than a key.
        """
        if self.key is None:
            return call.key
        key = self.key(call)
        if key is not None and (not isinstance(key, str | int) or isinstance(key, bool)):
            raise TypeError(f"it returned {key!r}; expected a string, or None for no effect")
        return None if key is None else str(key)

    def reply(self, call: Call) -> Reply:
        """The next answer; the last one is given again and again."""
        with self._lock:
            answer = self._answers[min(self._asked, len(self._answers) - 1)]
            self._asked += 1
        return Reply.of(answer(call) if callable(answer) else answer)
