"""`rejects_cleanly`, `stops_accepting`, `readiness_first`: what the system says to work that comes after the signal."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.checks import advice
from chaoskit.checks.account import EARLY_S, TOLERANCE_S, Account
from chaoskit.checks.exchange import End, Exchange
from chaoskit.checks.fold import account_of
from chaoskit.checks.ledger import Fate, Held, ledger_of
from chaoskit.checks.losses import LISTENER_RACE_S
from chaoskit.checks.ruling import not_struck, rule
from chaoskit.checks.verdict import Finding, Verdict, passed, unknown
from chaoskit.checks.words import cited, many, new_ones, routes, seconds, was
from chaoskit.history.events import History
from chaoskit.history.facts import ResponseReceived

DOUBTS = ("odd_status", "no_end")
UNASKED_S = 0.25  # a probe that waited this long for an answer was not answered, rather than not in time


def rejects_cleanly(history: History) -> Verdict:
    """What is refused is refused with 503 and a valid Retry-After; nothing hangs; nobody meets an error."""
    account = account_of(history)
    if (missing := not_struck(account, "rejects_cleanly")) is not None:
        return missing
    rows = [each for each in ledger_of(history).rows if account.disposition(each.exchange) == "reject"]
    findings = [*_held(rows), *_new(account), *_before(account)]
    odd = [each.exchange for each in rows if each.fate is Fate.UNPROVEN and each.reason in DOUBTS]
    words = f"{many(len(odd), 'held request')} {was(len(odd))} not proven: a 4xx that was not rehearsed, or an end that says nothing"
    doubts = [Finding("unproven", words, "note", cited(odd))] if odd else []
    return rule("rejects_cleanly", findings, _summary(account), doubts)


def _held(rows: Sequence[Held]) -> list[Finding]:
    findings = []
    for fate, kind, words in (
        (Fate.UNCLEAN_503, "unclean_503", "got 503 without a valid Retry-After"),
        (Fate.ERROR_STATUS, "error_status", "got an error that is no 503"),
    ):
        found = [each.exchange for each in rows if each.fate is fate]
        if found:
            words_ = f"{len(found)} of {many(len(rows), 'held request')} {words}{_detail(found)}"
            findings.append(Finding(kind, words_, "error", cited(found)))
    return findings


def _detail(exchanges: Sequence[Exchange]) -> str:
    """The statuses, or the Retry-After values, in brackets."""
    seen: dict[str, None] = {}
    for each in exchanges:
        fact = each.end.fact if each.end else None
        if not isinstance(fact, ResponseReceived):
            seen["no HTTP"] = None
        elif each.how is End.UNCLEAN_503:
            seen["none" if fact.retry_after is None else f"Retry-After: {fact.retry_after}"] = None
        else:
            seen[str(fact.status)] = None
    return f" ({', '.join(list(seen)[:4])})" if seen else ""


def _new(account: Account) -> list[Finding]:
    """New work inside the window; whole answers of the readiness path are never judged."""
    mine = [each for each in account.after if _mine(account, each) and account.in_window(each)]
    mine += [each for each in account.idle if _is_new_work(account, each)]
    fronts = [each for each in mine if _is_the_fronts(account, each)]
    others = {id(each) for each in fronts}
    mine = [each for each in mine if id(each) not in others]
    findings = []
    for end, kind, words in (
        (End.UNCLEAN_503, "unclean_503", "got 503 without a valid Retry-After"),
        (End.ERROR, "error_status", "got an error that is no 503"),
        (End.HUNG, "hung", "got no answer until the deadline"),
    ):
        found = [each for each in mine if each.how is end]
        if found:
            tail = _detail(found) if end is not End.HUNG else f" ({routes(found)})"
            findings.append(Finding(kind, f"{new_ones(found)} {words}{tail}", "error", cited(found)))
    if fronts:
        words = f"{new_ones(fronts)} got an error from the front once {account.struck} had closed its listener{_detail(fronts)}"
        findings.append(Finding("deployment_loss", words, "warning", cited(fronts)))
    findings += _refused(account, [each for each in mine if each.how is End.REFUSED])
    odd = [each for each in mine if each.how is End.ODD]
    if odd:
        words = f"{new_ones(odd)} got a 4xx that was not rehearsed{_detail(odd)}"
        findings.append(Finding("odd_status", words, "note", cited(odd)))
    if account.keeps_open:
        words = f"{many(account.keeps_open, '503 answer')} without `Connection: close`: clients may send more on a closing server"
        findings.append(Finding("keeps_open", words, "note"))
    return findings


def _mine(account: Account, exchange: Exchange) -> bool:
    """Nobody owns a refused connection; an answer, or none, is its owner's."""
    return exchange.how is End.REFUSED or account.answered_by_struck(exchange)


def _is_the_fronts(account: Account, exchange: Exchange) -> bool:
    """A front's own word for a refused connection, where the struck instance may refuse.

    One that was sent while the listener was still open waited in the backlog: that was the struck instance's to answer.
    """
    closed = account.listener_closed_s
    if not account.through_front or account.propagates or account.disposition(exchange) == "reject" or closed is None:
        return False
    error = exchange.how in (End.ERROR, End.UNCLEAN_503)
    return error and exchange.opened_s >= closed[0] - LISTENER_RACE_S


def _is_new_work(account: Account, exchange: Exchange) -> bool:
    """Whether a request on an idle connection is judged by its status: not on the readiness path, unless it hung."""
    readiness = account.plan is not None and exchange.target == account.plan.readiness
    return (
        account.answered_by_struck(exchange)
        and account.in_window(exchange)
        and (not readiness or exchange.how is End.HUNG)
        and exchange.how in (End.UNCLEAN_503, End.ERROR, End.HUNG)
    )


def _refused(account: Account, refused: Sequence[Exchange]) -> list[Finding]:
    accused = [each for each in refused if account.propagates or account.disposition(each) == "reject"]
    if not accused:
        return []
    why = (
        f"while the platform still sends new work (for {seconds(account.propagation_s)} after the stop action)"
        if account.propagates
        else "although a 503 was promised"
    )
    words = f"{new_ones(accused)} {was(len(accused))} refused {why}: definite, nothing was lost"
    return [Finding("refused", words, "error", cited(accused), advice.closes_at_once(account))]


def _before(account: Account) -> list[Finding]:
    """During pre-stop a new request owes a whole answer."""
    bad = [
        each
        for each in account.before
        if each.ended_s is not None
        and each.ended_s >= account.stop_s
        and (isinstance(each.end and each.end.fact, ResponseReceived) or each.how is End.REFUSED)
    ]
    if not bad:
        return []
    words = f"{many(len(bad), 'request')} {was(len(bad))} turned away before the signal, during pre-stop{_detail(bad)}"
    return [Finding("before_signal", words, "error", cited(bad))]


def _summary(account: Account) -> str:
    answers = account.answers
    total = sum(answers.values())
    if account.window_is_empty:
        return "no new work arrives after the signal under this profile"
    if not total:
        return "no new work came after the signal"
    clean = answers[End.CLEAN_503]
    if clean:
        values = [value for value in account.retry_afters if value]
        tail = f", Retry-After: {values[0]}" if len(values) == 1 else ", Retry-After valid"
        return f"{clean} of {many(total, 'new request')} got 503{tail}"
    good, refused = answers[End.GOOD], answers[End.REFUSED]
    if good == total:
        return f"{good} of {many(total, 'new request')} got a whole answer"
    parts = [f"{good} answered" if good else "", f"{refused} refused" if refused else ""]
    return f"of {many(total, 'new request')}: {', '.join(each for each in parts if each) or 'none answered'}"


# ---- stops_accepting ---------------------------------------------------------------------------------------------


def long_work_asked(account: Account) -> bool:
    """Whether new work of a REJECT kind came late enough, and inside the window, to be judged."""
    first_s = account.first_late_long_s
    return first_s is not None and first_s < account.window_end_s - TOLERANCE_S


def stops_accepting(history: History) -> Verdict:
    """No new long request is begun after the signal."""
    account = account_of(history)
    if (missing := not_struck(account, "stops_accepting")) is not None:
        return missing
    if not long_work_asked(account):
        return unknown(
            "stops_accepting", Finding("not_asked", "no new long request came inside the window of new work")
        )
    begun = [
        each
        for each in account.after
        if each.how in (End.GOOD, End.UNPROVEN)
        and each.purpose != "readiness"
        and each.owner != "other"
        and account.disposition(each) == "reject"
        and account.in_window(each)
    ]
    late = [each for each in begun if each.opened_s >= account.signal_s + EARLY_S]
    early = [
        each
        for each in (*account.passing, *begun)
        if each.purpose != "readiness"
        and each.how is End.GOOD
        and account.disposition(each) == "reject"
        and each.opened_s < account.signal_s + EARLY_S
    ]
    untold = [each for each in late if account.untold(each)]
    findings = []
    if early:
        words = f"{many(len(early), 'long request')} opened within {seconds(EARLY_S)} of the signal {was(len(early))} still taken"
        findings.append(Finding("taken_early", words, "note", cited(early)))
    doubted = {id(each) for each in untold}
    accused = [each for each in late if id(each) not in doubted]
    if accused:
        words = (
            f"{many(len(accused), 'new long request')} {was(len(accused))} taken after the signal ({routes(accused)})"
        )
        findings.append(Finding("accepted_new", words, "error", cited(accused)))
    if untold and not accused:
        words = (
            f"{many(len(untold), 'new long request')} {was(len(untold))} answered, and it cannot be told by whom: "
            "more than one process listens"
        )
        return unknown("stops_accepting", Finding("unproven", words, "note", cited(untold)), *findings)
    return rule("stops_accepting", findings, "no new long request was taken")


# ---- readiness_first ---------------------------------------------------------------------------------------------


def readiness_first(history: History) -> Verdict:
    """The readiness path turned before the listener closed; a failure only where the platform sends late."""
    account = account_of(history)
    if (missing := not_struck(account, "readiness_first")) is not None:
        return missing
    closed = account.listener_closed_s
    turned = _turned(account)
    if turned is not None and (closed is None or (turned.ended_s or 0.0) <= closed[1]):
        after_s = max(0.0, (turned.ended_s or 0.0) - account.signal_s)
        before = (
            f", {seconds(max(0.0, closed[1] - (turned.ended_s or 0.0)))} before the listener closed" if closed else ""
        )
        return passed("readiness_first", f"readiness turned {seconds(after_s)} after the signal{before}")
    if closed is None or account.handed_over:
        words = "the port went on being served" if account.handed_over else "the listener was not seen to close"
        return passed("readiness_first", words)
    return _not_turned(account, closed)


def _turned(account: Account) -> Exchange | None:
    """The first answer of the readiness path after the signal that is no longer good."""
    path = account.plan.readiness if account.plan else None
    asked = [*account.probes, *(each for each in account.idle if each.target == path)]
    whole = [
        each
        for each in asked
        if each.owner != "other"
        and each.how in (End.CLEAN_503, End.UNCLEAN_503, End.ERROR, End.ODD)
        and isinstance(each.end and each.end.fact, ResponseReceived)
    ]
    return min(whole, key=lambda each: each.ended_s or 0.0) if whole else None


def _not_turned(account: Account, closed: tuple[float, float]) -> Verdict:
    events = tuple(each.index for each in (account.signal, account.listener) if each is not None)
    if account.propagates and closed[0] >= account.window_end_s:
        words = "readiness did not turn inside the window of new work; the listener closed after it, when nobody is sent any more"
        return passed("readiness_first", words, Finding("readiness_late", words, "warning", events))
    waiting = [
        each
        for each in account.probes
        if each.how not in (End.GOOD, End.REFUSED)
        and each.opened_s < closed[1]
        and (each.ended_s is None or each.ended_s - each.opened_s >= UNASKED_S)
    ]
    if waiting:
        words = "the readiness path gave no answer between the signal and the listener's close: whether it turned is not known"
        if account.propagates:
            return unknown("readiness_first", Finding("unproven", words, "note", cited(waiting)))
        return passed("readiness_first", words, Finding("readiness_unseen", words, "note", cited(waiting)))
    words = f"the listener closed {seconds(max(0.0, closed[1] - account.signal_s))} after the signal, before readiness turned"
    if account.propagates and account.stalled_within(account.signal_s, closed[1]):
        stalled = Finding("unproven", f"{words}; but chaoskit itself was stalled then", "note", events)
        return unknown("readiness_first", stalled)
    severity = "error" if account.propagates else "warning"
    finding = Finding("listener_first", words, "error" if severity == "error" else "warning", events)
    return rule("readiness_first", [finding], words)
