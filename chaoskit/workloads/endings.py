"""The ending fact of a request, from what was read of its answer."""

from __future__ import annotations

from chaoskit.history.facts import RequestHung, RequestLost, ResponseReceived
from chaoskit.workloads.asks import Ask
from chaoskit.workloads.reading import Ended, Reading


def whole(ask: Ask, reading: Reading, unsent_bytes: int) -> ResponseReceived:
    """The answer is whole. `unsent_bytes`: request bytes that the kernel has not taken."""
    return ResponseReceived(
        request=ask.request,
        status=reading.status or 0,
        framing=reading.framing,
        body_bytes=reading.body_bytes,
        body_digest=reading.digest,
        retry_after=reading.retry_after,
        closes=reading.closes,
        first_byte_s=reading.first_byte_at or 0.0,
        expected=None if ask.expect is None else reading.ends_with(ask.expect),
        body_unsent=unsent_bytes,
    )


def lost(
    ask: Ask, how: Ended, reading: Reading, errno: int | None, *, sent_bytes: int, unsent_bytes: int
) -> RequestLost:
    """It never will be. `sent_bytes`: request bytes, head included, that the kernel has taken."""
    return RequestLost(
        request=ask.request,
        loss=_loss(how, reading),
        by=how.value,
        errno=errno,
        status=reading.status if reading.head_done else None,
        framing=reading.framing if reading.head_done else None,
        body_bytes=reading.body_bytes,
        expected_bytes=reading.length if reading.head_done else None,
        sent_bytes=sent_bytes,
        detail_text=reading.trouble,
        body_unsent=min(unsent_bytes, len(ask.body)),
    )


def hung(ask: Ask, reading: Reading | None, waited_s: float) -> RequestHung:
    """We gave it up, with this much of the answer here."""
    begun = reading is not None and reading.head_done
    return RequestHung(
        request=ask.request,
        status=reading.status if reading is not None and begun else None,
        body_bytes=reading.body_bytes if reading is not None else 0,
        waited_s=round(waited_s, 6),
    )


def _loss(how: Ended, reading: Reading) -> str:
    if how is Ended.PARSER:
        return "malformed"
    if how is Ended.LIMIT:
        return "too_large"
    if reading.head_done:
        return "cut_in_body"
    if reading.any_byte:
        return "cut_in_head"
    return "reset_without_byte" if how is Ended.RST else "closed_without_byte"
