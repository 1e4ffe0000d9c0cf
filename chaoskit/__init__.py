"""chaoskit: what happens to the work in flight when your service is told to stop?

The public names, imported when they are first used: `import chaoskit` pulls in neither pytest nor docker.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaoskit.budget import CHECKPOINT as CHECKPOINT
    from chaoskit.budget import DRAIN as DRAIN
    from chaoskit.budget import FINISH as FINISH
    from chaoskit.budget import REJECT as REJECT
    from chaoskit.budget import REQUEUE as REQUEUE
    from chaoskit.budget import Budget as Budget
    from chaoskit.budget import Disposition as Disposition
    from chaoskit.checks.verdict import Finding as Finding
    from chaoskit.checks.verdict import Outcome as Outcome
    from chaoskit.checks.verdict import Verdict as Verdict
    from chaoskit.drivers.command import Command as Command
    from chaoskit.errors import ChaoskitError as ChaoskitError
    from chaoskit.errors import Failed as Failed
    from chaoskit.errors import Unproven as Unproven
    from chaoskit.errors import UsageError as UsageError
    from chaoskit.history.events import Event as Event
    from chaoskit.history.events import History as History
    from chaoskit.history.journal import load as load
    from chaoskit.profiles import Profile as Profile
    from chaoskit.verbs import Harness as Harness
    from chaoskit.verbs import Run as Run
    from chaoskit.verbs import can as can
    from chaoskit.workloads.requests import Requests as Requests

_HOMES = {
    "Budget": "chaoskit.budget",
    "CHECKPOINT": "chaoskit.budget",
    "ChaoskitError": "chaoskit.errors",
    "Command": "chaoskit.drivers.command",
    "DRAIN": "chaoskit.budget",
    "Disposition": "chaoskit.budget",
    "Event": "chaoskit.history.events",
    "FINISH": "chaoskit.budget",
    "Failed": "chaoskit.errors",
    "Finding": "chaoskit.checks.verdict",
    "Harness": "chaoskit.verbs",
    "History": "chaoskit.history.events",
    "Outcome": "chaoskit.checks.verdict",
    "Profile": "chaoskit.profiles",
    "REJECT": "chaoskit.budget",
    "REQUEUE": "chaoskit.budget",
    "Requests": "chaoskit.workloads.requests",
    "Run": "chaoskit.verbs",
    "Unproven": "chaoskit.errors",
    "UsageError": "chaoskit.errors",
    "Verdict": "chaoskit.checks.verdict",
    "can": "chaoskit.verbs",
    "load": "chaoskit.history.journal",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one table, not two


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'chaoskit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
