"""`struck`: did the strike hit work that was provably in the system's hands? Without that, a run proves nothing."""

from __future__ import annotations

from chaoskit.checks.account import Account
from chaoskit.checks.fold import account_of
from chaoskit.checks.ledger import Ledger, ledger_of
from chaoskit.checks.verdict import Finding, Verdict, passed, unknown
from chaoskit.checks.words import many, seconds
from chaoskit.history.events import Event, History
from chaoskit.history.facts import HarnessStalled, MomentMissed, WorkInHand

STALL_S = 0.1  # EXPERIENCE, section 10
LONG_STALL_S = 1.0
KNOWN_BY = {
    "gate": "the gate",
    "socket_oracle": "the socket oracle",
    "first_byte": "first response bytes",
    "log_line": "a log line",
    "elapsed": "elapsed time only",
}


def struck(history: History) -> Verdict:
    """Pass when enough work was in hand at the signal, and the harness itself was not in the way."""
    account = account_of(history)
    reason = _not_struck(account)
    if reason is not None:
        return unknown("struck", reason)
    notes = _notes(account)
    if account.plan is not None and account.plan.fault == "at_start":
        return passed("struck", "the signal came during start-up", *notes)
    ledger = ledger_of(history)
    short = _short(account, ledger)
    stalled = disturbances(account)
    reasons = [*([short] if short else []), *([_disturbed(stalled)] if stalled else [])]
    if reasons:
        return unknown("struck", reasons[0], *reasons[1:], *notes)
    return passed("struck", in_hand_words(account, ledger), *notes)


def disturbed(history: History) -> bool:
    """Whether the harness was stalled while it mattered: such a run is worth repeating."""
    return bool(disturbances(account_of(history)))


def disturbances(account: Account) -> list[Event]:
    """The stalls of our own loop that leave a run without proof.

    Any from the moment until the last held request has ended; after that, while the rest of the stop is watched, only
    those that are long enough to change what the system meets.
    """
    if account.signal is None:
        return []
    began_s = min(account.signal_s, account.moment.at_s if account.moment else account.signal_s)
    critical_s = max(account.signal_s + STALL_S, account.held_end_s or 0.0)
    end_s = max(critical_s, account.window_end_s if account.propagates else 0.0, account.exit_s or account.last_s)
    found = []
    for event in account.stalls:
        late_s = event.fact.late_s if isinstance(event.fact, HarnessStalled) else 0.0
        if event.at_s < began_s or late_s <= STALL_S:
            continue
        if event.at_s - late_s <= (end_s if late_s > LONG_STALL_S else critical_s):
            found.append(event)
    return found


def _disturbed(stalled: list[Event]) -> Finding:
    late_s = max(event.fact.late_s for event in stalled if isinstance(event.fact, HarnessStalled))
    return Finding(
        "disturbed",
        f"chaoskit itself was stalled: its loop was late by {seconds(late_s)} while it watched, "
        "so this run proves nothing: run it again, on a machine with less to do",
        events=tuple(event.index for event in stalled[:20]),
    )


def _not_struck(account: Account) -> Finding | None:
    """Why nothing was struck at all, or why the record ends too early."""
    if account.missed is not None and isinstance(account.missed.fact, MomentMissed):
        fact = account.missed.fact
        return Finding("moment_missed", _missed_words(fact), events=(account.missed.index,))
    how = account.ended.how if account.ended else None
    if how == "interrupted":
        return Finding("interrupted", "the run was interrupted before it could be judged")
    if account.signal is None:
        return _no_signal(account)
    if how is None:
        return Finding("cut_short", "the history ends before the run did: what came after is not known")
    return None


def _missed_words(fact: MomentMissed) -> str:
    text = f"the moment {fact.moment} did not come within {seconds(fact.within_s)}, so nothing was struck"
    return f"{text}: {fact.reason}" if fact.reason else text


def _no_signal(account: Account) -> Finding:
    if account.exit is not None and account.exit_fact is not None:
        killed = account.exit_fact.signal == "SIGKILL" and account.expired is not None
        if killed and account.stop is not None:
            return Finding(
                "gone_before",
                f"pre-stop outlasted the grace: SIGKILL ended {account.struck} before it ever got its signal, "
                "and whatever it held with it. Raise grace_s, or make pre-stop shorter",
                events=(account.exit.index,),
            )
        during = " during pre-stop" if account.stop is not None and account.exit.at_s >= account.stop.at_s else ""
        return Finding(
            "gone_before",
            f"{account.struck} was gone{during} before the signal ({exit_words(account)}): there was nobody to strike",
            events=(account.exit.index,),
        )
    return Finding("not_struck", "no signal was sent: nothing was struck")


def exit_words(account: Account) -> str:
    """`exit code 0`, `killed by SIGTERM`."""
    fact = account.exit_fact
    if fact is None:
        return "its exit was not seen"
    return f"exit code {fact.code}" if fact.signal is None else f"ended by {fact.signal}"


def _short(account: Account, ledger: Ledger) -> Finding | None:
    hand = account.hand_fact
    lacking = []
    for workload in account.plan.workloads if account.plan else ():
        have = (hand.own if hand else 0) if workload.kind == "own" else ledger.in_hand.get(workload.index, 0)
        if have < workload.hold_at_least:
            lacking.append((have, workload.hold_at_least))
    if account.plan is not None and account.plan.workloads and not lacking:
        return None
    if account.plan is not None and not account.plan.workloads and hand is not None and (hand.in_hand or hand.own):
        return None
    events = tuple(each.index for each in (account.hand, account.signal) if each is not None)
    need = max((need for _, need in lacking), default=1)
    words = f"{in_hand_words(account, ledger)}; expected at least {need} in hand at the signal"
    return Finding("too_few_held", f"{words}. {_help(account, ledger)}", events=events)


def _help(account: Account, ledger: Ledger) -> str:
    hand = account.hand_fact
    if hand is not None and ledger.sent and (hand.backlog or hand.unread):
        return "The system takes fewer at a time: lower hold_at_least, or give it more workers"
    return (
        "Name a path that takes longer, let its handler call the sink (the gate then holds it), "
        "or hold it with upload_s= or download_s="
    )


def in_hand_words(account: Account, ledger: Ledger) -> str:
    """`1 of 4 in hand, 3 in the backlog (known by the socket oracle)`."""
    hand = account.hand_fact
    if hand is None:
        return "nothing tells what was in hand"
    if hand.own and not ledger.sent:
        return f"{many(hand.own, 'connection')} of your own client in hand{known_words(hand)}"
    held = {each.exchange.request for each in ledger.rows}
    parts = [f"{sum(ledger.in_hand.values())} of {ledger.sent} in hand"]
    for requests, where in (
        (hand.backlog, "in the backlog"),
        (hand.unread, "accepted but not read"),
        (hand.elsewhere, "at the front only"),
        (hand.unseen, "sent, whereabouts unknown"),
    ):
        count = len(held.intersection(requests))
        if count:
            parts.append(f"{count} {where}")
    if hand.own:
        parts.append(f"{hand.own} of your own client")
    return ", ".join(parts) + known_words(hand)


def known_words(hand: WorkInHand) -> str:
    """How it is known, in brackets."""
    return f" (known by {KNOWN_BY.get(hand.known_by, hand.known_by)})" if hand.known_by else ""


def _notes(account: Account) -> list[Finding]:
    notes = [
        Finding(str(event.fact.kind), str(event.fact.message), "note", (event.index,))  # type: ignore[union-attr]
        for event in account.noted[:50]
    ]
    if account.only_counted:
        words = f"{account.only_counted:,} more requests after the signal are in the counts, but no finding names them"
        notes.append(Finding("only_counted", words, "note"))
    if account.own_planned():
        notes.append(
            Finding(
                "own_client",
                "your own client kept the system busy: it is judged by the sockets of the struck side, the gate, the exit "
                "and our own probes only",
                "note",
            )
        )
    if account.window_is_empty and account.plan is not None:
        notes.append(
            Finding(
                "no_new_work",
                f"no new work arrives after the signal under this profile ({account.plan.profile.name}: "
                f"pre-stop {seconds(account.plan.profile.pre_stop_s)}, propagation {seconds(account.propagation_s)})",
                "note",
            )
        )
    return notes
