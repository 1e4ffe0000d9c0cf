"""What was lost beside held work: new requests after the signal, idle connections, and what came before the signal."""

from __future__ import annotations

from collections.abc import Sequence

from chaoskit.checks import advice
from chaoskit.checks.account import Account
from chaoskit.checks.exchange import End, Exchange
from chaoskit.checks.ledger import SAME_INSTANT_S
from chaoskit.checks.verdict import Finding
from chaoskit.checks.words import cited, many, new_ones, routes, seconds, was, ways
from chaoskit.history.facts import RequestLost

LISTENER_RACE_S = 0.1
LISTENER_RACES = 2  # one or two are the race that every server has which closes its listener
UNSAFE = ("POST", "PATCH")  # not idempotent: a client may not simply send it again (RFC 9110, section 9.2.2)


def new_losses(account: Account) -> list[Finding]:
    """New requests that were cut, or lost without a byte."""
    mine = [each for each in account.after if account.accuses(each)]
    cut = [each for each in mine if each.how in (End.CUT, End.SHORT)]
    findings = []
    if cut:
        words = f"{new_ones(cut)} {was(len(cut))} severed: accepted after the signal, then {ways(cut)}"
        findings.append(Finding("severed_new", words, "error", cited(cut)))
    silent = [each for each in mine if each.how is End.NO_BYTE]
    reused = [each for each in silent if each.reused]
    findings += _reused(account, reused, "kept-alive connection")
    lost = [each for each in silent if not each.reused and (each.accepted is not None or account.in_window(each, 0.0))]
    findings += _lost_or_race(account, lost)
    return findings


def _lost_or_race(account: Account, lost: Sequence[Exchange]) -> list[Finding]:
    """Closed or reset without a byte: the race of a closing listener, or a loss."""
    races = [each for each in lost if each.accepted is None and _near_listener_close(account, each)]
    counted = [each for each in races if each.purpose != "readiness"]
    excused = not account.propagates and len(counted) <= LISTENER_RACES
    findings = []
    if races and excused:
        words = (
            f"{new_ones(races)} met the listener as it closed and got no answer: "
            "every server that closes its listener has this race"
        )
        findings.append(Finding("listener_race", words, "warning", cited(races)))
    raced = {id(each) for each in races} if excused else set()
    accused = [each for each in lost if id(each) not in raced]
    if accused:
        words = f"{new_ones(accused)} {was(len(accused))} lost: {ways(accused)} after the signal"
        if account.propagates:
            words += f", while the platform still sends new work (for {seconds(account.propagation_s)})"
        tip = advice.waited_in_backlog(account, accused)
        findings.append(Finding("new_lost", words, "error", cited(accused), tip))
    return findings


def _near_listener_close(account: Account, exchange: Exchange) -> bool:
    """Whether it came as the listener closed. What had waited in the backlog for longer was lost, in no race."""
    closed = account.listener_closed_s
    if closed is None or exchange.ended_s is None:
        return False
    return exchange.opened_s >= closed[0] - LISTENER_RACE_S and exchange.ended_s <= closed[1] + LISTENER_RACE_S


def idle_losses(account: Account) -> list[Finding]:
    """Requests on kept-alive connections that were idle at the signal."""
    mine = [each for each in account.idle if account.accuses(each)]
    cut = [each for each in mine if each.how in (End.CUT, End.SHORT)]
    findings = []
    if cut:
        words = f"{many(len(cut), 'request')} on a kept-alive connection {was(len(cut))} severed: {ways(cut)}"
        findings.append(Finding("severed_new", words, "error", cited(cut)))
    findings += _reused(account, [each for each in mine if each.how is End.NO_BYTE], "idle connection")
    return findings


def _reused(account: Account, lost: Sequence[Exchange], noun: str) -> list[Finding]:
    """A kept-alive connection that ended under our request: a race, unless the server had the request."""
    guilty: list[Exchange] = []
    races: list[Exchange] = []
    for each in lost:
        waited_s = (each.ended_s or each.sent.at_s) - each.sent.at_s
        long = waited_s >= SAME_INSTANT_S and not account.stalled_within(each.sent.at_s, each.ended_s or each.sent.at_s)
        post = each.method in UNSAFE and (each.read is not None or long)
        (guilty if post or (each.read is not None and long) else races).append(each)
    findings = []
    if guilty:
        words = (
            f"{many(len(guilty), 'request')} on a kept-alive connection {was(len(guilty))} lost: {account.struck} closed it "
            f"with the request in it ({routes(guilty)})"
        )
        findings.append(Finding("idle_lost", words, "error", cited(guilty)))
    if races:
        words = f"{many(len(races), noun)} {was(len(races))} closed in the same instant as our request on it"
        findings.append(Finding("idle_race", words, "warning", cited(races)))
    return findings


def losses_before(account: Account) -> list[Finding]:
    """Losses before the signal: until then a new request owes a whole answer."""
    lost = [each for each in account.before if isinstance(each.end and each.end.fact, RequestLost) and not each.reused]
    during = [each for each in lost if each.ended_s is not None and each.ended_s >= account.stop_s]
    earlier = [each for each in lost if each.ended_s is not None and each.ended_s < account.stop_s]
    findings = []
    if during:
        words = (
            f"{many(len(during), 'request')} {was(len(during))} lost before the signal: {ways(during)} during pre-stop"
        )
        findings.append(Finding("lost_before_signal", words, "error", cited(during)))
    if earlier:
        words = f"{many(len(earlier), 'request')} {was(len(earlier))} lost before the strike: {ways(earlier)}; not its doing"
        findings.append(Finding("lost_before_strike", words, "warning", cited(earlier)))
    return findings
