"""What the plugin remembers about a test and a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from chaoskit import Harness


class Attempt(NamedTuple):
    """Which of the runs of a repeated test is under way, counted from 0; a test that is not repeated is 0 of 1."""

    number: int
    runs: int


HARNESS: pytest.StashKey[Harness] = pytest.StashKey()
ATTEMPT: pytest.StashKey[Attempt] = pytest.StashKey()
#: id of a system -> (the system, the fixture that made it); the system is kept so that its id stays its own
MAKERS: pytest.StashKey[dict[int, tuple[Any, str]]] = pytest.StashKey()
