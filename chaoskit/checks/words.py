"""Counts and durations in the sentences of verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaoskit.checks.exchange import End, Exchange
from chaoskit.history.facts import RequestHung, RequestLost


def many(count: int, noun: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def new_ones(exchanges: Sequence[Exchange]) -> str:
    """`5 new requests and 42 readiness probes`."""
    probes = sum(1 for each in exchanges if each.purpose == "readiness")
    parts = [many(len(exchanges) - probes, "new request")] if len(exchanges) > probes or not probes else []
    return " and ".join([*parts, many(probes, "readiness probe")] if probes else parts)


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


def ways(exchanges: Sequence[Exchange]) -> str:
    """In which ways they were cut, in words, the most frequent first."""
    counted: dict[str, int] = {}
    for each in exchanges:
        counted[_way(each)] = counted.get(_way(each), 0) + 1
    parts = sorted(counted.items(), key=lambda item: -item[1])
    if len(parts) == 1:
        return parts[0][0]
    return ", ".join(f"{count} {way}" for way, count in parts)


def _way(exchange: Exchange) -> str:
    fact = exchange.end.fact if exchange.end else None
    if exchange.how is End.SHORT:
        return "ended in order but without what expect= asks for"
    if isinstance(fact, RequestHung):
        return "unfinished at the deadline"
    if not isinstance(fact, RequestLost):
        return "lost"
    verb = "reset" if fact.by == "rst" else "closed"
    where = {
        "cut_in_head": "in the head of its answer",
        "cut_in_body": "in mid-body",
    }.get(fact.loss, "without a byte")
    return f"{verb} {where}"
