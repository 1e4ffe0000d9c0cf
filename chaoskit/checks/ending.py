"""Where a request belongs that ended, or stayed open, after the signal: held, idle, or new; kept whole or counted."""

from __future__ import annotations

from collections import Counter

from chaoskit.checks.account import EARLY_S, Account
from chaoskit.checks.exchange import End, Exchange, end_of
from chaoskit.history import facts

AFTER = ("work", "new", "readiness")
KEPT_AFTER = 10_000  # exchanges of one end that are kept whole; more are only counted
SAMPLE = 1_024
DEADLINE_S = 0.1


class Ending:
    """Puts exchanges where they belong in an account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._kept: Counter[str] = Counter()

    def settle(self, exchange: Exchange) -> None:
        """Put an exchange that ended, or stayed open, after the signal where it belongs."""
        account = self._account
        exchange.how = end_of(exchange, account.rehearsed.get(exchange.route), account.deadline_s)
        if exchange.purpose != "readiness" and isinstance(getattr(exchange.end, "fact", None), facts.ResponseReceived):
            account.last_answer_s = exchange.ended_s
        if exchange.purpose == "idle":
            account.idle.append(exchange)
        elif exchange.purpose not in AFTER:
            return
        elif exchange.sent is not exchange.end and exchange.sent.at_s <= account.signal_s:
            if exchange.purpose == "work":
                self._hold(exchange)
        elif exchange.opened_s >= account.signal_s - 0.05:  # a connect takes no time worth telling on a loopback
            self._after(exchange)

    def _hold(self, exchange: Exchange) -> None:
        account, ended_s = self._account, exchange.ended_s
        account.held.append(exchange)
        if ended_s is not None:
            account.held_end_s = max(ended_s, account.held_end_s or ended_s)
            if exchange.how is End.GOOD:
                account.durations.add(ended_s - exchange.opened_s)

    def _after(self, exchange: Exchange) -> None:
        account = self._account
        limit_s = account.exit_s
        if limit_s is not None:
            limit_s = max(limit_s, account.stop_s + account.propagation_s)
            if exchange.opened_s > limit_s:
                return
        self._at_the_deadline(exchange)
        readiness = exchange.purpose == "readiness"
        whole = isinstance(getattr(exchange.end, "fact", None), facts.ResponseReceived)
        end = End.GOOD if readiness and whole else exchange.how
        account.counts[end] += 1
        if readiness:
            self._probe(exchange)
        else:
            account.answers[end] += 1
            self._count_retry_after(exchange)
            self._note_firsts(exchange)
        if self._may_accuse(exchange, end):
            self._kept[end] += 1
            if self._kept[end] <= KEPT_AFTER:
                account.after.append(exchange)
            else:
                account.only_counted += 1
        elif len(account.passing) < SAMPLE:
            account.passing.append(exchange)

    def _at_the_deadline(self, exchange: Exchange) -> None:
        """The deadline is a new request's time-out and our SIGKILL at once: which of them we see first says nothing.

        Without a byte of an answer it hung; with one it was cut.
        """
        account, fact = self._account, exchange.end.fact if exchange.end else None
        if account.deadline_s is None or exchange.end is None or exchange.end.at_s < account.deadline_s - DEADLINE_S:
            return
        if exchange.how is End.NO_BYTE and isinstance(fact, facts.RequestLost):
            exchange.how = End.HUNG
        elif isinstance(fact, facts.RequestHung) and fact.status is not None and account.exit is None:
            exchange.how = End.CUT

    def _note_firsts(self, exchange: Exchange) -> None:
        account, opened_s = self._account, exchange.opened_s
        if exchange.how is End.CLEAN_503:
            account.first_clean_s = min(opened_s, account.first_clean_s or opened_s)
        if opened_s >= account.signal_s + EARLY_S and account.disposition(exchange) == "reject":
            account.first_late_long_s = min(opened_s, account.first_late_long_s or opened_s)

    def _probe(self, exchange: Exchange) -> None:
        good = exchange.how is End.GOOD
        if len(self._account.probes) < KEPT_AFTER and (not good or len(self._account.probes) < SAMPLE):
            self._account.probes.append(exchange)

    def _count_retry_after(self, exchange: Exchange) -> None:
        fact = getattr(exchange.end, "fact", None)
        if exchange.how not in (End.CLEAN_503, End.UNCLEAN_503) or not isinstance(fact, facts.ResponseReceived):
            return
        if len(self._account.retry_afters) < 100:  # noqa: PLR2004 - a bound; a report shows the first few
            self._account.retry_afters[fact.retry_after or ""] += 1
        self._account.keeps_open += not fact.closes

    def _may_accuse(self, exchange: Exchange, end: End) -> bool:
        if end is End.CLEAN_503:
            return False
        if end is not End.GOOD:
            return True
        late = exchange.opened_s >= self._account.signal_s + EARLY_S
        return exchange.purpose != "readiness" and late and self._account.disposition(exchange) == "reject"
