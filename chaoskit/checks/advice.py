"""'What to look at': said only where the evidence of this very run supports it."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.checks.account import Account
from chaoskit.checks.exchange import Exchange
from chaoskit.checks.words import seconds
from chaoskit.history.facts import ResponseReceived

INSTANT_S = 0.1
HASTY_S = 0.5  # a tree of processes needs some tenths of a second to go; no time-out of anybody's is shorter
AT_ONCE_S = 0.3  # a loop that looks every tenth of a second whether it was told to stop


def severed(account: Account, exchanges: Sequence[Exchange]) -> str | None:
    """Held requests that died with the process, or all at once while it lived."""
    ends = [each.ended_s for each in exchanges if each.ended_s is not None]
    exit_s = account.exit_s
    if not ends or exit_s is None:
        return None
    after_s = exit_s - account.signal_s
    if max(abs(end - exit_s) for end in ends) > INSTANT_S:
        if max(ends) - account.signal_s < INSTANT_S:
            return f"all ended within {seconds(max(ends) - account.signal_s)} of the signal: connections are closed at once."
        return None
    if account.killed_at_deadline:
        return (
            f"they ended when the deadline's SIGKILL came, {seconds(after_s)} after the signal: the work does not fit the "
            "grace period, or the process did not act on the signal."
        )
    if after_s < HASTY_S:
        fact = account.exit_fact
        died = fact is not None and account.signal_fact is not None and fact.signal == account.signal_fact.signal
        return f"the process exited {seconds(after_s)} after the signal" + (
            f", ended by it: there seems to be no handler for {fact.signal}."
            if died and fact
            else ": it does not wait for what it holds."
        )
    return (
        f"the process exits {seconds(after_s)} after the signal, before the deadline: "
        "a time-out of its own is shorter than the requests."
    )


def backlog(account: Account) -> str | None:
    """Requests lost with the accept queue."""
    workers = len(account.children.pids) if account.children else 0
    who = f"{workers} worker processes" if workers > 1 else "it"
    return (
        f"{who} did not accept before the listener closed: accept and answer what waits before closing it, "
        "or let the platform stop sending first (a pre-stop wait)."
    )


def error_status(account: Account, rows: Sequence[object]) -> str | None:
    """Held requests that ended in an error within an instant of the signal."""
    ends = []
    for row in rows:
        exchange = getattr(row, "exchange", None)
        if isinstance(exchange, Exchange) and exchange.end and isinstance(exchange.end.fact, ResponseReceived):
            ends.append(exchange.end.at_s)
    if account.through_front:
        broke = bool(ends) and account.exit_s is not None and max(abs(end - account.exit_s) for end in ends) < INSTANT_S
        return "the front answers with an error because its connections broke as the process exited." if broke else None
    if not ends or max(ends) - account.signal_s > INSTANT_S:
        return None
    return "the answers came in the instant of the signal: the handlers are cancelled, not awaited."


def waited_in_backlog(account: Account, lost: Sequence[Exchange]) -> str | None:
    """New requests that gathered in the backlog of a listener that nobody accepted from."""
    closed = account.listener_closed_s
    waited = [each for each in lost if each.accepted is None and each.ended_s is not None]
    if (
        closed is None
        or not waited
        or max(abs(each.ended_s - closed[1]) for each in waited if each.ended_s) > INSTANT_S
    ):
        return None
    longest_s = max((each.ended_s or 0.0) - each.opened_s for each in waited)
    if longest_s < INSTANT_S:
        return None
    return (
        f"the listener stayed open and nothing was accepted from it for {seconds(longest_s)}: what gathered in its backlog "
        "was reset when it closed. Close it at once, or go on accepting until then."
    )


def closes_at_once(account: Account) -> str | None:
    """A listener that closes with the signal while the platform still sends."""
    closed = account.listener_closed_s
    if closed is None or not account.propagates or closed[0] - account.signal_s > AT_ONCE_S:
        return None
    return (
        f"the listener closes with the signal, and the platform sends new work for {seconds(account.propagation_s)}: "
        "keep accepting for so long, or let a pre-stop wait cover it (pre_stop_s)."
    )
