"""`result.json`: one run, or several, as data that other programs read. `docs/result.schema.json` is its schema."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from chaoskit.checks.account import Account
from chaoskit.checks.exchange import End
from chaoskit.checks.fold import account_of
from chaoskit.checks.ledger import Ledger, ledger_of
from chaoskit.checks.verdict import Outcome, Verdict, worst
from chaoskit.errors import ChaoskitError
from chaoskit.history.events import History
from chaoskit.history.facts import LeftBehind, MomentReached

OutcomeWord = Literal["pass", "fail", "unknown"]
Count = Annotated[int, msgspec.Meta(ge=0)]


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """The platform that was played."""

    name: str
    signal: str
    to: str
    grace_s: float
    pre_stop_s: float
    pre_stop_counts: bool
    propagation_s: float


class FindingResult(msgspec.Struct, frozen=True, kw_only=True):
    """One accusation or warning; `key` and `effect` where it is about a job."""

    kind: str
    severity: Literal["error", "warning"]
    message: str
    events: list[Count]
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    effect: str | msgspec.UnsetType | None = msgspec.UNSET


class NoteResult(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the reader should know and that accuses nobody."""

    kind: str
    message: str
    events: list[Count]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check."""

    check: str
    outcome: OutcomeWord
    findings: list[FindingResult]


class HeldResult(msgspec.Struct, frozen=True, kw_only=True):
    """The requests in flight at the signal, by what became of them; they sum to `strike.sent`."""

    complete: Count = 0
    clean_503: Count = 0
    unclean_503: Count = 0
    error_status: Count = 0
    severed: Count = 0
    never_accepted: Count = 0
    hung: Count = 0
    not_held: Count = 0
    unproven: Count = 0


class AfterResult(msgspec.Struct, frozen=True, kw_only=True):
    """New work and readiness probes opened from the signal to the later of exit and end of propagation."""

    complete: Count = 0
    clean_503: Count = 0
    unclean_503: Count = 0
    other_status: Count = 0
    refused: Count = 0
    reset: Count = 0
    severed: Count = 0
    hung: Count = 0


class IdleResult(msgspec.Struct, frozen=True, kw_only=True):
    """Idle kept-alive connections after the signal."""

    answered: Count = 0
    clean_503: Count = 0
    error_status: Count = 0
    closed_before_use: Count = 0
    closed_on_use: Count = 0
    hung: Count = 0


class StrikeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The strike itself; `after_s` counts from the last held request sent."""

    signal: str | None = None
    sent: Count | None = None
    held: Count | None = None
    known_by: str | None = None
    after_s: float | None = None
    late_s: float | None = None


class ExitResult(msgspec.Struct, frozen=True, kw_only=True):
    """The leader's end; `after_s` counts from the stop action."""

    code: int | None = None
    signal: str | None = None
    after_s: float | None = None
    killed_at_deadline: bool | None = None
    left_behind: Count | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    schema: Literal[1] = 1
    outcome: OutcomeWord
    system: str
    profile: ProfileResult | None
    checks: list[CheckResult]
    held: HeldResult | None
    after: AfterResult | None
    idle: IdleResult | None
    jobs: None = None
    strike: StrikeResult
    exit: ExitResult
    notes: list[NoteResult]


class RunsCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One check over several runs: `k` passes of `n` judged."""

    check: str
    outcome: OutcomeWord
    k: Count
    n: Count


class RunsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs of the same case."""

    schema: Literal[1] = 1
    outcome: OutcomeWord
    runs: list[Result]
    checks: list[RunsCheck]


class ErrorWords(msgspec.Struct, frozen=True, kw_only=True):
    """What the harness failed at."""

    kind: str
    message: str


class ErrorResult(msgspec.Struct, frozen=True, kw_only=True):
    """The harness could not do its work, or was called wrongly."""

    schema: Literal[1] = 1
    outcome: Literal["error"] = "error"
    error: ErrorWords


def result_of(history: History, verdicts: Iterable[Verdict]) -> Result:
    """One run as a tree."""
    account, ledger, made = account_of(history), ledger_of(history), tuple(verdicts)
    at_start = account.plan is not None and account.plan.fault == "at_start"
    worked = account.signal is not None and account.requests_planned() and not at_start
    return Result(
        outcome=_word(worst(made)),
        system=account.plan.system if account.plan else account.struck,
        profile=_profile(account),
        checks=[_check(each) for each in made],
        held=_held(ledger) if worked else None,
        after=_after(account.counts) if worked else None,
        idle=_idle(account) if worked and (account.idle_open or account.idle or account.idle_closed) else None,
        strike=_strike(account, ledger),
        exit=_exit(account),
        notes=_notes(made),
    )


def _word(outcome: Outcome) -> OutcomeWord:
    return outcome.value


def _profile(account: Account) -> ProfileResult | None:
    if account.plan is None:
        return None
    made = account.plan.profile
    return ProfileResult(**{name: getattr(made, name) for name in ProfileResult.__struct_fields__})


def _check(verdict: Verdict) -> CheckResult:
    # What makes a verdict unknown is told in `findings`, as a warning; other notes are listed by themselves.
    findings = [
        FindingResult(
            kind=each.kind,
            severity="error" if each.severity == "error" and verdict.outcome is Outcome.FAIL else "warning",
            message=each.message,
            events=list(each.events),
        )
        for each in verdict.findings
        if _is_finding(verdict, each.severity, each.kind)
    ]
    return CheckResult(check=verdict.check, outcome=_word(verdict.outcome), findings=findings)


def _is_finding(verdict: Verdict, severity: str, kind: str) -> bool:
    if severity != "note":
        return True
    return (
        verdict.outcome is Outcome.UNKNOWN and bool(verdict.findings) and kind in ("unproven", verdict.findings[0].kind)
    )


def _notes(verdicts: Sequence[Verdict]) -> list[NoteResult]:
    seen: dict[tuple[str, str], NoteResult] = {}
    for verdict in verdicts:
        for each in verdict.findings:
            if not _is_finding(verdict, each.severity, each.kind):
                note = NoteResult(kind=each.kind, message=each.message, events=list(each.events))
                seen.setdefault((each.kind, each.message), note)
    return list(seen.values())


def _held(ledger: Ledger) -> HeldResult:
    return HeldResult(**ledger.counts())


def _after(counts: Counter[str]) -> AfterResult:
    return AfterResult(
        complete=counts[End.GOOD] + counts[End.UNPROVEN],
        clean_503=counts[End.CLEAN_503],
        unclean_503=counts[End.UNCLEAN_503],
        other_status=counts[End.ERROR] + counts[End.ODD],
        refused=counts[End.REFUSED],
        reset=counts[End.NO_BYTE],
        severed=counts[End.CUT] + counts[End.SHORT],
        hung=counts[End.HUNG] + counts[End.GIVEN_UP] + counts[End.OPEN],
    )


def _idle(account: Account) -> IdleResult:
    ends = Counter(each.how for each in account.idle)
    return IdleResult(
        answered=ends[End.GOOD] + ends[End.ODD] + ends[End.UNPROVEN],
        clean_503=ends[End.CLEAN_503],
        error_status=ends[End.ERROR] + ends[End.UNCLEAN_503],
        closed_before_use=len(account.idle_closed),
        closed_on_use=ends[End.NO_BYTE] + ends[End.CUT] + ends[End.SHORT],
        hung=ends[End.HUNG] + ends[End.GIVEN_UP] + ends[End.OPEN],
    )


def _strike(account: Account, ledger: Ledger) -> StrikeResult:
    fact, hand = account.signal_fact, account.hand_fact
    if fact is None:
        return StrikeResult()
    moment = account.moment.fact if account.moment else None
    own = hand.own if hand else 0
    return StrikeResult(
        signal=fact.signal,
        sent=ledger.sent if account.requests_planned() else None,
        held=(sum(ledger.in_hand.values()) + own) if hand else None,
        known_by=hand.known_by if hand else None,
        after_s=round(moment.after_s, 6) if isinstance(moment, MomentReached) else None,
        late_s=round(fact.late_s, 6),
    )


def _exit(account: Account) -> ExitResult:
    fact = account.exit_fact
    if fact is None:
        return ExitResult(killed_at_deadline=True if account.killed_at_deadline else None)
    last = account.left[-1].fact if account.left else None
    left = len(last.pids) or len(last.listeners) if isinstance(last, LeftBehind) else None
    return ExitResult(
        code=fact.code if fact.signal is None else None,
        signal=fact.signal,
        after_s=round(fact.exited_s - account.stop_s, 6) if account.signal is not None else None,
        killed_at_deadline=account.killed_at_deadline,
        left_behind=left,
    )


def runs_result(results: Sequence[Result], allow: int = 0, wanted: int | None = None) -> RunsResult:
    """Several runs: fail when more than `allow` failed, else unknown when fewer than `wanted` could be judged."""
    need = len(results) if wanted is None else wanted
    names = list(dict.fromkeys(check.check for each in results for check in each.checks))
    checks = [_over_runs(name, results, allow, need) for name in names]
    failed = sum(1 for each in results if each.outcome == "fail")
    judged = sum(1 for each in results if each.outcome != "unknown")
    outcome: OutcomeWord = "fail" if failed > allow else "unknown" if judged < need else "pass"
    if outcome != "fail" and any(check.outcome == "fail" and _always_idle(results, check.check) for check in checks):
        outcome = "fail"
    return RunsResult(outcome=outcome, runs=list(results), checks=checks)


def _over_runs(name: str, results: Sequence[Result], allow: int, need: int) -> RunsCheck:
    outcomes = [check.outcome for each in results for check in each.checks if check.check == name]
    judged = [each for each in outcomes if each != "unknown"]
    failed = judged.count("fail")
    word: OutcomeWord = "fail" if failed > allow else "unknown" if len(judged) < min(need, len(outcomes)) else "pass"
    if word == "pass" and _always_idle(results, name):
        word = "fail"
    return RunsCheck(check=name, outcome=word, k=judged.count("pass"), n=len(judged))


def _always_idle(results: Sequence[Result], name: str) -> bool:
    """Whether the exit followed our closing of idle connections in two runs in a row, which close at other instants."""
    if name != "exits_in_time":
        return False
    waits = [
        any(each.kind == "waits_for_idle" for check in result.checks for each in check.findings) for result in results
    ]
    return any(first and second for first, second in itertools.pairwise(waits))


def to_json(result: Result | RunsResult | ErrorResult, *, indent: int = 2) -> str:
    """The text of `result.json`, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(result), indent=indent).decode() + "\n"


def runs_json(results: Sequence[Result], allow: int = 0, wanted: int | None = None) -> str:
    """Several runs as text."""
    return to_json(runs_result(results, allow, wanted))


def error_json(error: ChaoskitError) -> str:
    """A harness error as text."""
    return to_json(ErrorResult(error=ErrorWords(kind=error.kind, message=str(error))))


def schema() -> dict[str, Any]:
    """The JSON schema of everything that `--json` writes."""
    roots, parts = msgspec.json.schema_components((Result, RunsResult, ErrorResult))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What chaoskit writes with --json and into result.json",
        "anyOf": list(roots),
        "$defs": _required(parts),
    }


def _required(parts: dict[str, Any]) -> dict[str, Any]:
    """Every key is always written, defaults too, except the two that only findings about jobs have."""
    for part in parts.values():
        part["required"] = [name for name in part.get("properties", {}) if name not in ("key", "effect")]
        part["additionalProperties"] = False
    return parts
