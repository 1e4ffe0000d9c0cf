"""What real servers do with the work in flight when they are told to stop: `python tests/servers/scorecard.py --write`.

Strikes every server of the roster and prints the table; `--write` makes `docs/scorecard.md` of it. Names on the command
line choose rows. Every cell comes from the runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, it finds its neighbours

from chaoskit.checks.exchange import End
from chaoskit.checks.fold import account_of
from chaoskit.checks.words import many
from chaoskit.result import HeldResult, Result
from chaoskit.verbs import Harness, Run
from tests.servers.roster import BY_ID, GRACE_S, HERE, SLOW_S, Server

AT_ONCE_S = 0.5
PAGE = HERE.parents[1] / "docs" / "scorecard.md"
HEAD = f"""# Scorecard

What servers that we did not write do with the work in flight when they are told to stop, each as its package ships it.
4 clients (1 where one worker shall be idle) ask for a path that takes {SLOW_S:g} s, two idle kept-alive connections are open
beside, the leader gets SIGTERM where the row does not say another signal, the grace is {GRACE_S:g} s, and new requests follow
until the last held one has ended. No load balancer stops sending first: that is the question.

    python tests/servers/scorecard.py --write

made this page; `tests/servers/test_servers.py` holds every verdict, and has a second observer, plain blocking sockets without
any of our code, say whether it saw the same. A verdict is about a default under this one question, not about a server's worth.

| server | version | verdict | what it does |
|---|---|---|---|
"""


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"rows: {', '.join(BY_ID)}")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--report", action="store_true", help="print what chaoskit says of each")
    given = parser.parse_args(argv)
    unknown = [name for name in given.names if name not in BY_ID]
    if unknown or (given.write and given.names):
        parser.error(f"no such row: {', '.join(unknown)}" if unknown else "--write makes the whole page: name no rows")
    rows = [BY_ID[name] for name in given.names or BY_ID]
    missing = [f"{row.id}: {program} is not installed" for row in rows if (program := row.missing())]
    if missing:
        parser.error("; ".join(missing))
    lines = []
    for row in rows:
        lines.append(line_of(row, report=given.report))
        sys.stdout.write(f"{lines[-1]}\n")
        sys.stdout.flush()
    if given.write:
        PAGE.write_text(HEAD + "\n".join(lines) + "\n")
    return 0


def line_of(row: Server, *, report: bool = False) -> str:
    """Strike one server; its line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(run_dir=Path(folder), root=HERE)
        try:
            run = row.strike(harness)
            if report:
                sys.stdout.write(run.report() + "\n")
            return f"| {row.says} | {row.version()} | {verdict(run.result)} | {sentence(run)} |"
        finally:
            harness.close()


def verdict(result: Result) -> str:
    """`pass`, or `fail: no_resets (new_lost)`."""
    failing = [
        f"`{check.check}` ({', '.join(dict.fromkeys(each.kind for each in check.findings if each.severity == 'error'))})"
        for check in result.checks
        if check.outcome == "fail"
    ]
    return f"**{result.outcome}** {', '.join(failing)}".strip()


def sentence(run: Run) -> str:
    """What it did, in words made of the facts."""
    if run.result.held is None:
        return "was not struck."
    return f"{'; '.join((_held(run.result), _later(run), _exit(run)))}."


def _held(result: Result) -> str:
    held = result.held or HeldResult()
    words = [
        (held.complete, "answered whole"),
        (held.severed, "severed"),
        (held.never_accepted, "lost in its backlog"),
        (held.hung, "left hanging"),
        (held.error_status, "answered with an error"),
        (held.clean_503 + held.unclean_503, "answered 503"),
        (held.not_held, "never reached it"),
        (held.unproven, "of unknown end"),
    ]
    told = [f"{count} {what}" for count, what in words if count]
    return f"of {many(result.strike.sent or 0, 'slow request')} {', '.join(told)}"


def _later(run: Run) -> str:
    """New work: readiness probes, of which there are many, would hide it."""
    later = [each for each in account_of(run.history).after if each.purpose in ("work", "new")]
    words = {
        End.GOOD: "answered",
        End.CLEAN_503: "answered 503",
        End.UNCLEAN_503: "answered 503",
        End.ERROR: "got an error",
        End.REFUSED: "refused",
        End.NO_BYTE: "reset",
        End.CUT: "severed",
        End.HUNG: "left hanging",
    }
    counts = Counter(words.get(each.how, str(each.how)) for each in later)
    if not later:
        return "gone before a later one came"
    return f"later ones {', '.join(what if len(counts) == 1 else f'{count} {what}' for what, count in counts.items())}"


def _exit(run: Run) -> str:
    ended, account = run.result.exit, account_of(run.history)
    if ended.killed_at_deadline:
        return f"still there at the deadline of {GRACE_S:g} s, and killed"
    how = f"ended by {ended.signal}" if ended.signal else f"exit code {ended.code}"
    after_s = ended.after_s or 0.0
    answers = [each.ended_s for each in account.held if each.how is End.GOOD and each.ended_s is not None]
    if not answers or after_s < AT_ONCE_S:
        return f"{how} {'at once' if after_s < AT_ONCE_S else f'after {after_s:.0f} s'}"
    wait_s = account.stop_s + after_s - max(answers)
    return (
        f"{how} right after the last answer" if wait_s < AT_ONCE_S else f"{how}, {wait_s:.0f} s after the last answer"
    )


if __name__ == "__main__":
    sys.exit(main())
