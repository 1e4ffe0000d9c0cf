"""How sure k passes of n make us: the exact (Clopper-Pearson) lower bound of the true share of passes."""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def at_least(passes: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """The share of passes that is true with this confidence, one-sided; 0 where nothing passed.

    It is the p at which `passes` or more of `runs` have the probability 1 - confidence.
    """
    if passes <= 0 or runs <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _tail(passes, runs, middle) > 1 - confidence else (middle, high)
    return low


def _tail(passes: int, runs: int, share: float) -> float:
    """The probability of `passes` or more of `runs`."""
    return math.fsum(math.comb(runs, k) * share**k * (1 - share) ** (runs - k) for k in range(passes, runs + 1))


def in_words(passes: int, runs: int) -> str:
    """`49 of 50 runs passed (95 % sure: at least 90.9 % do)`."""
    share = math.floor(1000 * at_least(passes, runs)) / 10
    return f"{passes} of {runs} runs passed ({CONFIDENCE:.0%} sure: at least {share:g} % do)".replace("95%", "95 %")
