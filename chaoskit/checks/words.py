"""Counts and durations in the sentences of verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from chaoskit.checks.exchange import Exchange


def many(count: int, noun: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def was(count: int) -> str:
    """The verb that fits the count."""
    return "was" if count == 1 else "were"


def seconds(value: float) -> str:
    """`6.1 s`, `0.25 s`, `30 s`: as exact as a reader needs."""
    text = f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.4f}"  # noqa: PLR2004
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} s"


def cited(exchanges: Iterable[Exchange], most: int = 1_000) -> tuple[int, ...]:
    """The events of several exchanges, in order, bounded."""
    found: list[int] = []
    for each in exchanges:
        found.extend(each.cites())
        if len(found) >= most:
            break
    return tuple(sorted(set(found)))


def routes(exchanges: Iterable[Exchange]) -> str:
    """The targets, each once: `GET /export and POST /orders`."""
    names = list(dict.fromkeys(each.route for each in exchanges))
    if len(names) > 3:  # noqa: PLR2004 - a sentence, not a list
        return f"{', '.join(names[:3])} and {len(names) - 3} more targets"
    return " and ".join(names)
