"""One line of a timeline for each fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chaoskit.history import facts
from chaoskit.reports.clean import clean

_LOSSES = {
    "closed_without_byte": "closed without a byte",
    "reset_without_byte": "reset without a byte",
    "cut_in_head": "{} in the head of the answer",
    "cut_in_body": "{} after {}",
    "malformed": "answered with something that is no HTTP",
    "too_large": "answered with a head that has no end",
}


def line_of(fact: Any, routes: Mapping[int, str]) -> str:
    """The fact in words; `routes` gives the target of a request by its number."""
    made = _LINES.get(type(fact))
    if made is not None:
        return clean(made(fact))
    ended = _ENDS.get(type(fact))
    if ended is not None:
        return clean(f"#{fact.request} {routes.get(fact.request, '')}".rstrip() + f"   {ended(fact)}")
    return clean(_plainly(fact))


def _plainly(fact: Any) -> str:
    values = ", ".join(f"{name} {getattr(fact, name)}" for name in fact.__struct_fields__)
    return f"{type(fact).__name__}: {values}"


def _signal(fact: facts.SignalSent) -> str:
    pids = ", ".join(str(pid) for pid in fact.pids[:4]) + (", ..." if len(fact.pids) > 4 else "")  # noqa: PLR2004
    noun = "pid" if len(fact.pids) == 1 else "pids"
    why = {
        "stop": f"{fact.late_s * 1000:.2g} ms after the moment" if fact.late_s >= 0 else "",
        "deadline": "at the deadline",
        "again": "a second time",
        "pause": "to pause",
        "resume": "to resume",
        "start_up": "during start-up",
    }.get(fact.reason, "")
    return f"{fact.signal} to {fact.instance} ({noun} {pids})" + (f", {why}" if why else "")


def _exited(fact: facts.InstanceExited) -> str:
    return f"{fact.instance} exited: " + (f"code {fact.code}" if fact.signal is None else f"ended by {fact.signal}")


def _left(fact: facts.LeftBehind) -> str:
    if not fact.pids and not fact.listeners:
        return f"nothing left of {fact.instance}"
    parts = [f"pid {pid} ({name})" for pid, name in zip(fact.pids[:5], fact.names, strict=False)]
    parts += [f"a listener on port {port}" for port in fact.listeners[:5]]
    return f"still there {fact.after_s:.2g} s after the exit of {fact.instance}: {', '.join(parts)}"


def _hand(fact: facts.WorkInHand) -> str:
    parts = [f"in hand: {len(fact.in_hand) + fact.own}"]
    places = ("unread", "backlog", "elsewhere", "unseen")
    parts += [f"{name}: {len(getattr(fact, name))}" for name in places if getattr(fact, name)]
    return ", ".join(parts) + (f" (known by {fact.known_by.replace('_', ' ')})" if fact.known_by else "")


def _received(fact: facts.ResponseReceived) -> str:
    extra = f", Retry-After: {fact.retry_after}" if fact.retry_after is not None else ""
    return f"{fact.status}, {fact.body_bytes:,} bytes{extra}"


def _lost(fact: facts.RequestLost) -> str:
    verb = {"rst": "reset", "tls": "closed without close_notify"}.get(fact.by, "closed")
    total = f" of {fact.expected_bytes:,}" if fact.expected_bytes is not None else ""
    return _LOSSES.get(fact.loss, fact.loss).format(verb, f"{fact.body_bytes:,}{total} bytes")


def _hung(fact: facts.RequestHung) -> str:
    return f"no whole answer in {fact.waited_s:.3g} s" + (
        f" ({fact.body_bytes:,} bytes came)" if fact.body_bytes else ""
    )


def _failed(fact: facts.ConnectFailed) -> str:
    words = {"refused": "connection refused", "timed_out": "connect timed out", "unreachable": "unreachable"}
    return words.get(fact.loss, f"no connection: {fact.loss}") + (f" ({fact.detail_text})" if fact.detail_text else "")


_LINES: dict[type, Callable[[Any], str]] = {
    facts.RunPlanned: lambda fact: f"planned: {fact.fault} {fact.system} at {fact.moment}: {fact.command}",
    facts.Noted: lambda fact: fact.message,
    facts.InstanceLaunched: lambda fact: (
        f"{fact.instance} launched ({fact.role}, pid {fact.pid}" + (f", {fact.version})" if fact.version else ")")
    ),
    facts.InstanceReady: lambda fact: f"{fact.instance} ready after {fact.after_s:.3g} s ({fact.how})",
    facts.InstanceExited: _exited,
    facts.ListenerClosed: lambda fact: f"{fact.instance} closed its listener on port {fact.port}",
    facts.LeftBehind: _left,
    facts.ChildrenSeen: lambda fact: f"{fact.instance} has {len(fact.pids)} children",
    facts.MomentReached: lambda fact: f"the moment: {fact.moment}",
    facts.MomentMissed: lambda fact: f"the moment {fact.moment} did not come within {fact.within_s:g} s",
    facts.WorkInHand: _hand,
    facts.StopActionTaken: lambda fact: f"the stop of {fact.instance} begins; deadline at {fact.deadline_s:.3f} s",
    facts.PreStopEnded: lambda fact: f"pre-stop over after {fact.after_s:.3g} s",
    facts.SignalSent: _signal,
    facts.GraceExpired: lambda fact: f"the grace of {fact.instance} is over and it is still there",
    facts.BlockEnded: lambda fact: "your block ended" + (f": it raised {fact.raised}" if fact.raised else ""),
    facts.OwnConnectionEnded: lambda fact: f"your client's connection from port {fact.client_port}: {fact.outcome}",
    facts.ConnectionEnded: lambda fact: f"{fact.purpose} connection {fact.connection} closed by {fact.by} ({fact.how})",
    facts.ConnectionOpened: lambda fact: f"{fact.purpose} connection {fact.connection} opened",
    facts.CallArrived: lambda fact: f"the sink is called: {fact.method} {fact.path}" + (" (held)" if fact.held else ""),
    facts.CallReleased: lambda fact: f"held call {fact.call} {fact.how.replace('_', ' ')}",
    facts.CallEnded: lambda fact: (
        f"call {fact.call} ended" + (f": {fact.status}" if fact.status else ": its caller left")
    ),
    facts.EffectApplied: lambda fact: f"effect of call {fact.call}" + (f", key {fact.key}" if fact.key else ""),
    facts.LogMatched: lambda fact: f"log of {fact.instance}: {fact.line}",
    facts.HarnessStalled: lambda fact: f"chaoskit itself was stalled for {fact.late_s:.2g} s",
    facts.RunEnded: lambda fact: f"the run ended: {fact.how}",
    facts.RequestSent: lambda fact: f"#{fact.request} {fact.method} {fact.target}   sent ({fact.purpose})",
}
_ENDS: dict[type, Callable[[Any], str]] = {
    facts.ResponseReceived: _received,
    facts.RequestLost: _lost,
    facts.RequestHung: _hung,
    facts.ConnectFailed: _failed,
    facts.FirstByteReceived: lambda _: "first byte",
    facts.BodyReached: lambda fact: f"{fact.body_bytes:,} bytes so far",
    facts.BodySent: lambda fact: f"body sent, {fact.sent_bytes:,} bytes",
    facts.RequestAccepted: lambda fact: "accepted" + (f" by pid {fact.pid}" if fact.pid else ""),
    facts.RequestRead: lambda _: "read",
}
