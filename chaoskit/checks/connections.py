"""`no_resets` and `drains`: what became of the work that was held, and of connections under it."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.checks import advice
from chaoskit.checks.account import Account
from chaoskit.checks.fold import account_of
from chaoskit.checks.ledger import Fate, Held, Ledger, ledger_of
from chaoskit.checks.losses import idle_losses, losses_before, new_losses
from chaoskit.checks.ruling import not_struck, rule
from chaoskit.checks.verdict import Finding, Verdict, unknown
from chaoskit.checks.words import cited, many, routes, was, ways
from chaoskit.history.events import History
from chaoskit.history.facts import OwnConnectionEnded


def no_resets(history: History) -> Verdict:
    """Nothing that the system had accepted was cut, reset or left hanging."""
    account = account_of(history)
    if (missing := not_struck(account, "no_resets")) is not None:
        return missing
    ledger = ledger_of(history)
    findings = [
        *_held(account, ledger),
        *_own(account),
        *new_losses(account),
        *idle_losses(account),
        *losses_before(account),
        *_behind_front(ledger),
    ]
    doubts = [*_unproven(ledger.rows, ("eof", "no_end", "own_timeout", "gave_up")), *_untold(account)]
    return rule("no_resets", findings, _whole_words(account, ledger), doubts)


def drains(history: History) -> Verdict:
    """Every held request of a DRAIN workload got its whole answer."""
    account = account_of(history)
    if (missing := not_struck(account, "drains")) is not None:
        return missing
    ledger = ledger_of(history)
    rows = [each for each in ledger.rows if account.disposition(each.exchange) == "drain"]
    own = [event for event in account.own_ended if _own_drains(account)]
    findings = [*_drain_findings(account, rows), *(_own(account) if own else [])]
    complete = sum(1 for each in rows if each.fate is Fate.COMPLETE)
    answered = sum(
        1 for event in own if isinstance(event.fact, OwnConnectionEnded) and event.fact.outcome == "answered"
    )
    doubts = [*_unproven(rows, ()), *(_untold(account) if _own_drains(account) else [])]
    through = _own_drains(account) and account.block is not None and account.block.raised is None
    if not findings and not complete + answered and not through and not doubts:
        return unknown("drains", Finding("nothing_held", "no held request that had to be drained"))
    owed = sum(1 for each in rows if each.fate not in (Fate.NEVER_ACCEPTED, Fate.NOT_HELD))
    total = owed + len(own)
    words = (
        f"{complete + answered} of {many(total, 'held request')} got {'its' if total == 1 else 'their'} whole answer"
    )
    if through and not rows:
        words = "your own client's block ended without an exception"
    return rule("drains", findings, words, doubts)


def _whole_words(account: Account, ledger: Ledger) -> str:
    hand = account.hand_fact
    if not ledger.rows and hand is not None and hand.own:
        return f"no connection of your own client was severed ({hand.own} in hand)"
    return f"none of {many(ledger.sent, 'held request')} was cut, and no new one lost"


# ---- held ------------------------------------------------------------------------------------------------------


def _held(account: Account, ledger: Ledger) -> list[Finding]:
    findings = []
    severed = ledger.of(Fate.SEVERED)
    if severed:
        findings.append(_severed(account, ledger, severed))
    hung = ledger.of(Fate.HUNG)
    if hung:
        words = f"{_of(hung, ledger)} {was(len(hung))} left hanging: open and unanswered after the deadline"
        findings.append(_accuse("hung", words, hung))
    unaccepted = ledger.of(Fate.NEVER_ACCEPTED)
    if unaccepted:
        words = (
            f"{_of(unaccepted, ledger, 'request')} {was(len(unaccepted))} never accepted: "
            f"they waited in the backlog of {account.struck} and were lost with it"
        )
        findings.append(_accuse("never_accepted", words, unaccepted, advice.backlog(account)))
    unseen = [each for each in ledger.rows if each.reason == "lost_unseen"]
    if unseen:
        words = (
            f"{_of(unseen, ledger, 'request')} {was(len(unseen))} lost: sent before the signal; "
            "nothing tells whether they had been accepted, and they should not have been lost either way"
        )
        findings.append(_accuse("lost_unseen", words, unseen))
    races = [each for each in ledger.rows if each.reason == "idle_race"]
    if races:
        words = f"{many(len(races), 'kept-alive connection')} {was(len(races))} closed in the same instant as a request on it"
        findings.append(_accuse("idle_race", words, races, severity="warning"))
    return findings


def _severed(account: Account, ledger: Ledger, rows: Sequence[Held]) -> Finding:
    how = ways([each.exchange for each in rows])
    who = f"{account.struck} had {'it' if len(rows) == 1 else 'them'} in hand"
    words = f"{_of(rows, ledger)} {was(len(rows))} severed: {how}; {who} ({routes(each.exchange for each in rows)})"
    return _accuse("severed", words, rows, advice.severed(account, [each.exchange for each in rows]))


def _of(rows: Sequence[Held], ledger: Ledger, noun: str = "held request") -> str:
    return f"{len(rows)} of {many(ledger.sent, noun)}"


def _accuse(kind: str, words: str, rows: Sequence[Held], tip: str | None = None, *, severity: str = "error") -> Finding:
    events = cited(each.exchange for each in rows)
    return Finding(kind, words, "error" if severity == "error" else "warning", events, tip)


def _own(account: Account) -> list[Finding]:
    """Connections of a user's own client, as the struck side's sockets showed them."""
    severed = [
        event
        for event in account.own_ended
        if isinstance(event.fact, OwnConnectionEnded) and event.fact.outcome == "severed"
    ]
    if not severed:
        return []
    total = max(len(account.own_ended), len(severed))
    words = (
        f"{len(severed)} of {many(total, 'connection')} of your own client {was(len(severed))} severed: "
        f"{account.struck} was gone and not one more byte of the answer had been acknowledged"
    )
    return [Finding("severed", words, "error", tuple(event.index for event in severed[:100]))]


def _own_drains(account: Account) -> bool:
    planned = account.plan.workloads if account.plan else ()
    return any(each.kind == "own" and each.disposition == "drain" for each in planned)


def _untold(account: Account) -> list[Finding]:
    """Connections of a user's own client that nothing tells about; its block's own end decides then."""
    hand = account.hand_fact
    told = sum(
        1
        for event in account.own_ended
        if isinstance(event.fact, OwnConnectionEnded) and event.fact.outcome != "untold"
    )
    missing = max(hand.own if hand else 0, len(account.own_ended)) - told
    if missing <= 0 or not account.own_planned() or (account.block is not None and account.block.raised is None):
        return []
    words = (
        f"what became of {many(missing, 'connection')} of your own client cannot be told from the struck side's sockets"
        + (f", and its block raised {account.block.raised}" if account.block else "")
    )
    return [Finding("unproven", words, "note", tuple(event.index for event in account.own_ended[:100]))]


# ---- behind a front -----------------------------------------------------------------------------------------------


def _behind_front(ledger: Ledger) -> list[Finding]:
    lost = [each for each in ledger.of(Fate.NOT_HELD) if each.lost and each.reason != "idle_race"]
    if not lost:
        return []
    words = (
        f"{many(len(lost), 'request')} that the struck instance did not have {was(len(lost))} lost: "
        "a fault of the deployment (front, routing), not of what was struck"
    )
    return [_accuse("deployment_loss", words, lost, severity="warning")]


# ---- drains ------------------------------------------------------------------------------------------------------


def _drain_findings(account: Account, rows: Sequence[Held]) -> list[Finding]:
    total = len(rows)
    findings = []
    for fate, kind, words in (
        (Fate.SEVERED, "severed", "severed"),
        (Fate.HUNG, "hung", "left hanging"),
        (Fate.ERROR_STATUS, "error_status", "answered with an error"),
        (Fate.UNCLEAN_503, "unclean_503", "rejected, and without a valid Retry-After"),
        (Fate.CLEAN_503, "clean_503", "rejected although drained was promised"),
    ):
        found = [each for each in rows if each.fate is fate]
        if found:
            tail = _statuses(found) if fate in (Fate.ERROR_STATUS, Fate.UNCLEAN_503, Fate.CLEAN_503) else ""
            sentence = f"{len(found)} of {many(total, 'held request')} {was(len(found))} {words}{tail}"
            findings.append(_accuse(kind, sentence, found, advice.error_status(account, found) if tail else None))
    return findings


def _statuses(rows: Sequence[Held]) -> str:
    seen = {getattr(each.exchange.end.fact, "status", None) for each in rows if each.exchange.end}
    known = sorted(status for status in seen if status is not None)
    return f": {', '.join(str(status) for status in known)}" if known else ": no HTTP"


def _unproven(rows: Sequence[Held], reasons: tuple[str, ...]) -> list[Finding]:
    """What proves nothing, one finding a reason; an empty `reasons` means all of them."""
    findings = []
    for reason in dict.fromkeys(each.reason for each in rows if each.fate is Fate.UNPROVEN):
        if reasons and reason not in reasons:
            continue
        found = [each for each in rows if each.fate is Fate.UNPROVEN and each.reason == reason]
        words = f"{many(len(found), 'held request')} {was(len(found))} not proven: {_WHY.get(reason, reason)}"
        findings.append(Finding("unproven", words, "note", cited(each.exchange for each in found)))
    return findings


_WHY = {
    "eof": "the body ends with the connection, as it would if the process were killed; name its end with expect=",
    "odd_status": "a 4xx that the rehearsal did not get (or nothing was rehearsed: rehearse=True, --rehearse)",
    "own_timeout": "its time-out ended before the deadline; give it a longer timeout_s=",
    "no_end": "the run ended before it did",
    "gave_up": "the system's client left the held call and the work went on: your client's time-out is shorter than the hold",
    "lost_unseen": "it was lost, and nothing tells whether it had been accepted",
    "backlog_behind_front": "a front answered with an error for a request that may have been in the backlog",
}
