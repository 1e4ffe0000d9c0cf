"""How long requests took: exact up to some thousands, then an even sample of all."""

from __future__ import annotations

import random

KEPT = 4096


class Durations:
    """A bounded sample of durations in seconds (reservoir sampling; the seed is fixed, so a run judges the same twice)."""

    __slots__ = ("_kept", "_random", "count")

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[float] = []
        self._random = random.Random(0)  # noqa: S311 - a sample, not a secret

    def add(self, seconds: float) -> None:
        """Take one more."""
        self.count += 1
        if len(self._kept) < KEPT:
            self._kept.append(seconds)
            return
        place = int(self._random.random() * self.count)
        if place < KEPT:
            self._kept[place] = seconds

    def share_within(self, seconds: float) -> float | None:
        """The share, 0 to 1, that took at most `seconds`; None when none was seen."""
        if not self._kept:
            return None
        return sum(1 for each in self._kept if each <= seconds) / len(self._kept)

    def quantile(self, share: float) -> float | None:
        """The duration that this share of all did not exceed; None when none was seen."""
        if not self._kept:
            return None
        return sorted(self._kept)[min(len(self._kept) - 1, int(share * len(self._kept)))]
