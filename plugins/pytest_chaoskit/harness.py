"""The harness that a test gets: the library's, with the defaults of `chaos_settings`."""

from __future__ import annotations

from typing import Any

from chaoskit import Harness
from pytest_chaoskit import defaults


class TestHarness(Harness):
    """What the fixture `chaos` gives."""

    __test__ = False

    def __init__(self, *, settings: dict[str, Any], **given: Any) -> None:
        super().__init__(settings=settings, **given)
        self._defaults = settings

    def plan(self, system: Any, during: Any, fault: Any, *, own: bool, **options: Any) -> Any:
        """The library's plan of what the test gave and left out."""
        struck = defaults.system_with(system, self._defaults, self.name_of)
        return super().plan(struck, defaults.work_with(during, self._defaults), fault, own=own, **options)

    def launch(self, system: Any) -> Any:
        """As the library's."""
        return super().launch(defaults.system_with(system, self._defaults, self.name_of))
