"""What the harness itself can fail at: never the fault of the system under test."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ChaoskitError(Exception):
    """Base of everything that chaoskit raises when it cannot do its work; `kind` is the word that JSON carries."""

    kind = "harness"


class UsageError(ChaoskitError):
    """A value that the user gave is wrong: the message names it, what was expected and what to do."""

    kind = "usage"


class LaunchError(ChaoskitError):
    """The system could not be started, or ended before it was ready."""

    kind = "launch"


class NotReady(ChaoskitError):
    """The system runs but did not become ready in time."""

    kind = "not_ready"


class RehearsalError(ChaoskitError):
    """The system fails a request although nothing was struck."""

    kind = "rehearsal"


class StorageError(ChaoskitError):
    """The run folder could not be written or read."""

    kind = "storage"


class DriverError(ChaoskitError):
    """The launcher, or whatever runs the system, failed under us."""

    kind = "driver"


class Failed(AssertionError):
    """The system broke its promise; the first line names the loss."""


class Unproven(AssertionError):
    """The run proved nothing; the first line begins with `unknown:`."""


def near(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` where a known word is near, else nothing; for the end of an error's first sentence."""
    words = list(known)
    begun = [each for each in words if len(word) > 2 and each.startswith(word) and each != word]  # noqa: PLR2004
    matches = list(dict.fromkeys(begun + difflib.get_close_matches(word, words, n=3, cutoff=0.6)))[:3]
    return f" (did you mean {' or '.join(repr(match) for match in matches)}?)" if matches else ""
