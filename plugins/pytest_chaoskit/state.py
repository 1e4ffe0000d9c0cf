"""What the plugin remembers about a test and a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chaoskit import Harness


HARNESS: pytest.StashKey[Harness] = pytest.StashKey()
#: which of the runs of a repeated test is under way, counted from 0
ATTEMPT: pytest.StashKey[int] = pytest.StashKey()
#: what `chaos_settings` gave, once the test's fixtures have been made
DEFAULTS: pytest.StashKey[dict[str, Any]] = pytest.StashKey()
#: id of a system -> (the system, the fixture that made it); the system is kept so that its id stays its own
MAKERS: pytest.StashKey[dict[int, tuple[Any, str]]] = pytest.StashKey()
