"""Literal histories for tests of checks: one small function a fact, times in seconds on the run's clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaoskit.checks.verdict import Verdict
from chaoskit.history import facts
from chaoskit.history.events import History

SIGNAL_S = 1.0
At = tuple[float, facts.AnyFact]


def workload(index: int = 0, **changes: Any) -> facts.WorkloadPlanned:
    values: dict[str, Any] = {
        "index": index,
        "kind": "requests",
        "targets": ("GET /export",),
        "disposition": "drain",
        "clients": 1,
        "hold_at_least": 1,
    }
    return facts.WorkloadPlanned(**{**values, **changes})


def profile(**changes: Any) -> facts.ProfilePlanned:
    values: dict[str, Any] = {
        "name": "process",
        "signal": "SIGTERM",
        "to": "leader",
        "grace_s": 10.0,
        "pre_stop_s": 0.0,
        "pre_stop_counts": True,
        "propagation_s": 0.0,
    }
    return facts.ProfilePlanned(**{**values, **changes})


def planned(*workloads: facts.WorkloadPlanned, platform: facts.ProfilePlanned | None = None, **changes: Any) -> At:
    values: dict[str, Any] = {
        "run": "run",
        "system": "shop",
        "command": "shop --serve",
        "fault": "terminate",
        "profile": platform or profile(),
        "workloads": workloads or (workload(),),
        "moment": "held()",
        "readiness": None,
    }
    return 0.0, facts.RunPlanned(**{**values, **changes})


def launched(**changes: Any) -> At:
    values: dict[str, Any] = {
        "instance": "shop",
        "role": "struck",
        "pid": 41,
        "command": "shop",
        "host": "127.0.0.1",
        "port": 80,
    }
    return 0.1, facts.InstanceLaunched(**{**values, **changes})


def sent(request: int, at_s: float = 0.5, purpose: str = "work", **changes: Any) -> At:
    values: dict[str, Any] = {
        "request": request,
        "purpose": purpose,
        "workload": -1 if purpose == "readiness" else 0,
        "method": "GET",
        "target": "/healthz" if purpose == "readiness" else "/export",
        "connection": request,
        "client_port": 40_000 + request,
        "opened_s": at_s,
        "reused": purpose == "idle",
    }
    return at_s, facts.RequestSent(**{**values, **changes})


def answered(request: int, at_s: float = 2.0, status: int = 200, **changes: Any) -> At:
    values: dict[str, Any] = {
        "framing": "sized",
        "body_bytes": 10,
        "body_digest": "00",
        "retry_after": None,
        "closes": True,
        "first_byte_s": at_s,
    }
    return at_s, facts.ResponseReceived(request=request, status=status, **{**values, **changes})


def lost(request: int, at_s: float = 2.0, loss: str = "cut_in_body", by: str = "rst", **changes: Any) -> At:
    values: dict[str, Any] = {
        "errno": 104 if by == "rst" else None,
        "status": 200 if loss == "cut_in_body" else None,
        "framing": "sized" if loss == "cut_in_body" else None,
        "body_bytes": 4 if loss == "cut_in_body" else 0,
        "expected_bytes": 10 if loss == "cut_in_body" else None,
        "sent_bytes": 100,
    }
    return at_s, facts.RequestLost(request=request, loss=loss, by=by, **{**values, **changes})


def hung(request: int, at_s: float = 13.0, **changes: Any) -> At:
    values: dict[str, Any] = {"status": None, "body_bytes": 0, "waited_s": 12.0}
    return at_s, facts.RequestHung(request=request, **{**values, **changes})


def refused(request: int, at_s: float, purpose: str = "new", loss: str = "refused", **changes: Any) -> At:
    values: dict[str, Any] = {
        "purpose": purpose,
        "workload": -1 if purpose == "readiness" else 0,
        "method": "GET",
        "target": "/healthz" if purpose == "readiness" else "/export",
        "opened_s": at_s,
        "errno": 111,
    }
    return at_s, facts.ConnectFailed(request=request, loss=loss, **{**values, **changes})


def hand(in_hand: Sequence[int] = (), at_s: float = 0.99, **changes: Any) -> At:
    values: dict[str, Any] = {
        "unread": (),
        "backlog": (),
        "elsewhere": (),
        "unseen": (),
        "known_by": "socket_oracle",
        "gate_calls": 0,
    }
    return at_s, facts.WorkInHand(in_hand=tuple(in_hand), **{**values, **changes})


def stop(at_s: float = SIGNAL_S, grace_s: float = 10.0) -> At:
    return at_s, facts.StopActionTaken(instance="shop", deadline_s=at_s + grace_s)


def signal(at_s: float = SIGNAL_S, reason: str = "stop", name: str = "SIGTERM", **changes: Any) -> At:
    values: dict[str, Any] = {
        "instance": "shop",
        "to": "leader",
        "pids": (41,),
        "planned_s": at_s,
        "sent_s": at_s,
        "late_s": 0.0,
        "path": "pidfd",
    }
    return at_s, facts.SignalSent(signal=name, reason=reason, **{**values, **changes})


def exited(at_s: float = 2.5, code: int | None = 0, name: str | None = None) -> At:
    return at_s, facts.InstanceExited(instance="shop", code=code if name is None else None, signal=name, exited_s=at_s)


def left(at_s: float = 2.5, pids: tuple[int, ...] = (), after_s: float = 0.0, **changes: Any) -> At:
    values: dict[str, Any] = {"names": ("worker",) * len(pids), "listeners": (), "final": True}
    return at_s, facts.LeftBehind(instance="shop", pids=pids, after_s=after_s, **{**values, **changes})


def listener(at_s: float, last_seen_s: float | None = None) -> At:
    seen_s = at_s - 0.005 if last_seen_s is None else last_seen_s
    return at_s, facts.ListenerClosed(instance="shop", port=80, last_seen_s=seen_s, known_by="socket_oracle")


def accepted(request: int, at_s: float, owner: str = "struck") -> At:
    return at_s, facts.RequestAccepted(request=request, pid=41, owner=owner)


def read(request: int, at_s: float) -> At:
    return at_s, facts.RequestRead(request=request)


def ended(at_s: float = 14.0, how: str = "judged") -> At:
    return at_s, facts.RunEnded(how=how)


def history(*items: At) -> History:
    """The items in order of time, so that a test may write what it is about first."""
    return History.of(*sorted(items, key=lambda item: item[0]))


def stopped(*items: At, plan: At | None = None, in_hand: Sequence[int] = (1,), ends: At | None = None) -> History:
    """A whole stop at 1.0 s: request 1 held, exit 0 at 2.5 s, nothing left; with further items.

    Request 1 has no end of its own: give one. `ends` replaces the exit.
    """
    out = ends or exited()
    return history(
        plan or planned(),
        launched(),
        sent(1),
        hand(in_hand),
        stop(),
        signal(),
        *items,
        out,
        left(out[0]),
        ended(max(14.0, out[0])),
    )


def kinds(verdict: Verdict, severity: str = "error") -> list[str]:
    return [each.kind for each in verdict.findings if each.severity == severity]
