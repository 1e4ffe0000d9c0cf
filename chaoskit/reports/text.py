"""The text report: what was lost, the verdicts, the timeline around the evidence, where to look."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

from chaoskit.checks.verdict import Finding, Outcome, Verdict, worst
from chaoskit.history import facts
from chaoskit.history.events import Event, History
from chaoskit.reports.clean import as_ascii, clean
from chaoskit.reports.lines import line_of

Color = Callable[[str, str], str]  # (text, style) with style pass, fail, unknown, warning, dim or bold

WORDS = {Outcome.PASS: "PASS", Outcome.FAIL: "FAIL", Outcome.UNKNOWN: "UNKNOWN"}
LOSSES = ("severed", "hung", "never_accepted", "lost_unseen", "severed_new", "new_lost", "idle_lost")
KEY_FACTS = (
    facts.SignalSent,
    facts.GraceExpired,
    facts.InstanceExited,
    facts.ListenerClosed,
    facts.MomentMissed,
    facts.LeftBehind,
)
LINES = 24
CITED = 8  # lines of one finding, 3 of a warning; the others are counted


def headline(history: History, verdicts: Iterable[Verdict]) -> str:  # noqa: ARG001 - a port: a custom report may need it
    """The first line: the loss in words, `unknown: ...`, or that nothing was lost."""
    made = tuple(verdicts)
    outcome = worst(made)
    if outcome is Outcome.FAIL:
        return clean(_first_clause(_gravest(made)))
    if outcome is Outcome.UNKNOWN:
        first = next(each for each in made if each.outcome is Outcome.UNKNOWN)
        reason = first.findings[0].message if first.findings else first.summary or first.check
        return clean(f"unknown: {reason}")
    lines = {each.check: each.summary for each in made}
    told = next((lines[name] for name in ("drains", "no_resets") if lines.get(name)), "")
    if told:
        return clean(f"nothing was lost: {told}")
    return clean(next((f"{name}: {words}" for name, words in lines.items() if words), "passed"))


def _gravest(verdicts: Sequence[Verdict]) -> str:
    errors = [
        each
        for verdict in verdicts
        if verdict.outcome is Outcome.FAIL
        for each in verdict.findings
        if each.severity == "error"
    ]
    for kind in LOSSES:
        for each in errors:
            if each.kind == kind:
                return each.message
    if errors:
        return errors[0].message
    return next(each.summary or each.check for each in verdicts if each.outcome is Outcome.FAIL)


def _first_clause(message: str) -> str:
    for mark in (": ", "; "):
        message = message.split(mark, 1)[0]
    return message


def render(  # noqa: PLR0913 - one call with a keyword for each choice of its reader
    history: History,
    verdicts: Iterable[Verdict],
    *,
    color: Color | None = None,
    width: int = 100,
    full: bool = False,
    again: str | None = None,
    show: str | None = None,
    known: Mapping[str, str] | None = None,
    ascii_only: bool = False,
) -> str:
    """The report below its headline, without one, ending without a line break.

    `full` shows every note and every event. `known` gives the reason of each check that is known to fail.
    """
    made = tuple(verdicts)
    paint = color or (lambda text, _: text)
    evidence = _evidence(history, made)
    blocks = [
        _opening(evidence.values()),
        _verdict_lines(made, paint, width=width, full=full, known=known or {}),
        _timeline_block(history, made, evidence, paint, full=full),
        _advice(made, width),
        _commands(again, show),
    ]
    text = "\n\n".join("\n".join(f"  {line}".rstrip() for line in block) for block in blocks if block)
    return as_ascii(text) if ascii_only else text


# ---- what was struck ---------------------------------------------------------------------------------------------


def _evidence(history: History, verdicts: Sequence[Verdict]) -> dict[int, Event]:
    """The events that a report may show, by index: as the checks left them, else by one pass."""
    wanted = {index for verdict in verdicts for finding in verdict.findings for index in finding.events}
    left = history.notes.get("evidence")
    found: dict[int, Event] = dict(left) if isinstance(left, dict) else {}
    if found and wanted <= found.keys():
        return found
    keys = (facts.RunPlanned, facts.InstanceLaunched, facts.WorkInHand, *KEY_FACTS)
    for event in history:
        if event.index in wanted or (not left and isinstance(event.fact, keys)):
            found[event.index] = event
    return found


def _opening(evidence: Iterable[Event]) -> list[str]:
    """Who was told to stop, when, with how much in hand; and the platform in one line."""
    plan: facts.RunPlanned | None = None
    hand: facts.WorkInHand | None = None
    signal: facts.SignalSent | None = None
    version = ""
    for event in sorted(evidence, key=lambda each: each.index):
        fact = event.fact
        if isinstance(fact, facts.RunPlanned):
            plan = fact
        elif isinstance(fact, facts.WorkInHand) and signal is None:
            hand = fact
        elif isinstance(fact, facts.SignalSent) and signal is None:
            signal = fact
        elif isinstance(fact, facts.InstanceLaunched) and fact.role == "struck" and fact.version:
            version = f" ({fact.version})"
    if plan is None:
        return []
    if signal is None:
        return [clean(f"{plan.system}{version} was not struck"), clean(_platform(plan))]
    verb = {"kill": "was killed", "pause": "was paused"}.get(signal.reason, "was told to stop")
    line = f"{plan.system}{version} {verb} at {signal.sent_s:.3f} s{_with(hand)}"
    fault = f"{signal.signal} to {_to(signal.to)}"
    return [clean(line), clean(_platform(plan) if signal.reason == "stop" else fault)]


def _to(to: str) -> str:
    return {"leader": "the leader", "group": "its process group", "all": "all its processes"}.get(to, to)


def _with(hand: facts.WorkInHand | None) -> str:
    if hand is None:
        return ""
    places = [("in the backlog", hand.backlog), ("accepted but not read", hand.unread)]
    places += [("at the front only", hand.elsewhere), ("sent, whereabouts unknown", hand.unseen)]
    rest = [f"{len(requests)} {where}" for where, requests in places if requests]
    count = len(hand.in_hand) + hand.own
    total = count + sum(len(requests) for _, requests in places)
    noun = "request" if total == 1 else "requests"
    have = f"{count} of {total} {noun}" if rest else f"{count} {noun}"
    by = f" (known by the {hand.known_by.replace('_', ' ')})" if hand.known_by else ""
    return f" with {have} in its hands" + "".join(f", {each}" for each in rest) + by


def _platform(plan: facts.RunPlanned) -> str:
    profile = plan.profile
    parts = [f"{profile.name}: {profile.signal} to {_to(profile.to)}", f"grace {profile.grace_s:g} s"]
    if profile.pre_stop_s or profile.pre_stop_command:
        counts = "counts into it" if profile.pre_stop_counts else "does not count"
        what = f"'{profile.pre_stop_command}'" if profile.pre_stop_command else f"{profile.pre_stop_s:g} s"
        parts.append(f"pre-stop {what} ({counts})")
    left_s = profile.propagation_s - profile.pre_stop_s
    if profile.propagation_s and left_s > 0:
        parts.append(f"new work may arrive for another {left_s:g} s")
    return ", ".join(parts)


# ---- verdicts ----------------------------------------------------------------------------------------------------


def _verdict_lines(
    verdicts: Sequence[Verdict], paint: Color, *, width: int, full: bool, known: Mapping[str, str]
) -> list[str]:
    order = {Outcome.FAIL: 0, Outcome.UNKNOWN: 1, Outcome.PASS: 2}
    longest = max((len(each.check) for each in verdicts), default=0)
    words = {each.check: "KNOWN" if each.check in known else WORDS[each.outcome] for each in verdicts}
    column = max((len(each) for each in words.values()), default=0)
    lines: list[str] = []
    for verdict in sorted(verdicts, key=lambda each: order[each.outcome]):
        word = words[verdict.check]
        head = f"{paint(f'{word:<{column}}', str(verdict.outcome))}  {verdict.check:<{longest}}  "
        indent = column + longest + 4
        text, *more = _sentences(verdict, known.get(verdict.check), full=full)
        wrapped = _wrap(text, width - indent - 2)
        lines.append(head + wrapped[0])
        lines += [" " * indent + line for line in wrapped[1:]]
        for each in more:
            lines += [" " * indent + line for line in _wrap(each, width - indent - 2)]
    return lines


def _sentences(verdict: Verdict, known: str | None, *, full: bool) -> list[str]:
    """The line of a check, then one for each further finding that a reader should see."""
    told = [each for each in verdict.findings if each.severity != "note" or full or verdict.outcome is Outcome.UNKNOWN]
    rest = [f"{_label(each, verdict)}{each.message}" for each in told if each.message != verdict.summary]
    first = verdict.summary or (rest.pop(0) if rest else "")
    if any(each.severity == "warning" and each.message == verdict.summary for each in told):
        first = f"warning: {first}"
    return [f"{known}: {first}" if known else first, *rest]


def _label(finding: Finding, verdict: Verdict) -> str:
    if finding.severity == "error" or verdict.outcome is Outcome.UNKNOWN:
        return ""
    return f"{finding.severity}: "


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text, 2_000), max(30, width), break_long_words=False, break_on_hyphens=False) or [""]


# ---- timeline ----------------------------------------------------------------------------------------------------


def timeline(
    history: History,
    *,
    around: Iterable[int] | None = None,
    limit: int | None = LINES,
    marks: Mapping[int, str] | None = None,
) -> list[str]:
    """One line an event: those of the indices `around`, or all; at most `limit`, the middle left out."""
    wanted = None if around is None else set(around)
    routes: dict[int, str] = {}
    lines: list[str] = []
    for event in history:
        if isinstance(event.fact, facts.RequestSent | facts.ConnectFailed):
            routes[event.fact.request] = f"{event.fact.method} {event.fact.target}"
        if wanted is None or event.index in wanted:
            lines.append(_line(event, routes, (marks or {}).get(event.index)))
    return _shortened(lines, limit)


def _shortened(lines: list[str], limit: int | None) -> list[str]:
    if limit is None or len(lines) <= limit:
        return lines
    head = (limit - 1) * 2 // 3
    tail = limit - 1 - head
    return [*lines[:head], f"{'...':>10}  {len(lines) - head - tail:,} more", *lines[len(lines) - tail :]]


def _when(event: Event) -> float:
    """A signal is recorded a little after it was sent."""
    return event.fact.sent_s if isinstance(event.fact, facts.SignalSent) else event.at_s


def _line(event: Event, routes: Mapping[int, str], mark: str | None) -> str:
    text = f"{_when(event):10.4f}  {line_of(event.fact, routes)}"
    return f"{text:<70}  <- {mark}" if mark else text


def _timeline_block(
    history: History, verdicts: Sequence[Verdict], evidence: Mapping[int, Event], paint: Color, *, full: bool
) -> list[str]:
    marks = _marks(verdicts)
    if full:
        return timeline(history, limit=None, marks=marks)
    if worst(verdicts) is Outcome.PASS:
        return []
    routes = {
        event.fact.request: f"{event.fact.method} {event.fact.target}"
        for event in evidence.values()
        if isinstance(event.fact, facts.RequestSent | facts.ConnectFailed)
    }
    keys = {index for index, event in evidence.items() if isinstance(event.fact, KEY_FACTS)}
    shown = [index for index in keys | _cited(verdicts, evidence) if index in evidence]
    shown.sort(key=lambda index: (_when(evidence[index]), index))
    lines = [
        paint(_line(evidence[index], routes, marks.get(index)), "fail" if index in marks else "dim") for index in shown
    ]
    return _shortened(lines, LINES)


def _marks(verdicts: Sequence[Verdict]) -> dict[int, str]:
    """Which check accuses an event; the first one where several do."""
    marks: dict[int, str] = {}
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.severity == "error":
                for index in finding.events:
                    marks.setdefault(index, verdict.check)
    return marks


def _cited(verdicts: Sequence[Verdict], evidence: Mapping[int, Event]) -> set[int]:
    """The ends of what is accused, or its beginning where there is no end; a few of each finding."""
    shown: set[int] = set()
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.severity == "note" and verdict.outcome is Outcome.PASS:
                continue
            known = [index for index in finding.events if index in evidence]
            ends = [index for index in known if not isinstance(evidence[index].fact, facts.RequestSent)]
            shown.update((ends or known)[: 3 if finding.severity == "warning" else CITED])
    return shown


# ---- the end -----------------------------------------------------------------------------------------------------


def _advice(verdicts: Sequence[Verdict], width: int) -> list[str]:
    tips = dict.fromkeys(
        each.advice
        for verdict in verdicts
        if verdict.outcome is Outcome.FAIL
        for each in verdict.findings
        if each.advice is not None and each.severity == "error"
    )
    lines: list[str] = []
    for place, tip in enumerate(list(tips)[:2]):
        label = "What to look at: " if place == 0 else " " * len("What to look at: ")
        first, *more = _wrap(tip or "", width - len(label) - 2)
        lines += [label + first, *(" " * len(label) + each for each in more)]
    return lines


def _commands(again: str | None, show: str | None) -> list[str]:
    lines = []
    if show:
        lines.append(f"See it:    chaoskit show {show}")
    if again:
        lines.append(f"Again:     {again}")
    return lines
