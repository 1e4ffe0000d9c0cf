"""`Run`: what a verb gives: history, verdicts, the tree of `result.json`, and `verify`."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chaoskit.checks import judge
from chaoskit.checks.verdict import Check, Finding, Outcome, Verdict, failed, passed, worst
from chaoskit.errors import Failed, StorageError, Unproven, UsageError, near
from chaoskit.history.events import History
from chaoskit.reports.text import headline, render
from chaoskit.result import Result, result_of, to_json

RESULT = "result.json"
MODES = ("fail", "warn", "skip")  # what an unknown verdict does to a test


class Run:
    """One run: `url` and `dir` at once, the rest when it is over. `outcome` counts every implied check."""

    def __init__(self, directory: Path, name: str, again: str | None = None) -> None:
        self.dir = directory
        self.name = name
        self.url = ""
        self.looked_at = False
        self.unknown: Literal["fail", "warn", "skip"] = "fail"  # what verify does where the call does not say
        self.again = again
        self._history: History | None = None
        self._verdicts: tuple[Verdict, ...] | None = None
        self._result: Result | None = None
        self.raised: BaseException | None = None

    @property
    def over(self) -> bool:
        """Whether there is something to judge."""
        return self._history is not None

    @property
    def history(self) -> History:
        """What was seen."""
        if self._history is None:
            raise UsageError(f"the run of '{self.name}' is not over: its history is there after the with block")
        return self._history

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every check that the plan implies, judged."""
        if self._verdicts is None:
            self._verdicts = judge(self.history)
        return self._verdicts

    @property
    def outcome(self) -> Outcome:
        """pass, fail or unknown over all implied checks."""
        self.looked_at = True
        return worst(self.verdicts)

    @property
    def result(self) -> Result:
        """The tree of `result.json`."""
        if self._result is None:
            self._result = result_of(self.history, self.verdicts)
        return self._result

    def __getattr__(self, name: str) -> Any:
        if name in ("held", "after", "idle", "jobs", "strike", "exit", "profile"):
            self.looked_at = True
            return getattr(self.result, name)
        raise AttributeError(f"'Run' has no attribute {name!r}")

    def judge(self, *checks: Check) -> tuple[Verdict, ...]:
        """The verdicts of these checks (none: all that are implied)."""
        self.looked_at = True
        for each in checks:
            if not callable(each):
                raise UsageError(f"{each!r} is no check: expected functions, such as drains of chaoskit.checks")
        return judge(self.history, checks) if checks else self.verdicts

    def verify(
        self,
        *checks: Check,
        known: Mapping[str, str] | None = None,
        unknown: Literal["fail", "warn", "skip"] | None = None,
    ) -> None:
        """Raise unless every check passes; no checks: all that the dispositions imply.

        Raises:
            Failed: the system broke its promise; the first line names the loss.
            Unproven: the run proved nothing.
        """
        __tracebackhide__ = True
        self.looked_at = True
        mode = unknown or self.unknown
        if mode not in MODES:
            raise UsageError(f"unknown={mode!r}{near(str(mode), MODES)}: expected one of {', '.join(MODES)}")
        verdicts = with_known(self.judge(*checks), known or {})
        outcome = worst(verdicts)
        if outcome is Outcome.PASS:
            return
        text = self.report(verdicts)
        if outcome is Outcome.FAIL:
            raise Failed(f"{headline(self.history, verdicts)}\n\n{text}") from self.raised
        message = f"{headline(self.history, verdicts)}\n\n{text}"
        if mode == "fail":
            raise Unproven(message) from self.raised
        if mode == "skip" and "pytest" in sys.modules:
            sys.modules["pytest"].skip(message.split("\n", 1)[0])
        if mode == "warn":
            warnings.warn(message.split("\n", 1)[0], stacklevel=2)

    def report(self, verdicts: Sequence[Verdict] | None = None, *, full: bool = False) -> str:
        """What a person reads."""
        return render(
            self.history,
            tuple(self.verdicts if verdicts is None else verdicts),
            full=full,
            again=self.again,
            show=_short(self.dir),
        )

    def finished(self, history: History) -> None:
        """The run is over: keep its history, write `result.json`."""
        self._history = history
        try:
            (self.dir / RESULT).write_text(to_json(self.result) + "\n")
        except OSError as error:
            raise StorageError(f"'{self.dir / RESULT}' could not be written: {error.strerror}") from error


def with_known(verdicts: Sequence[Verdict], known: Mapping[str, str]) -> tuple[Verdict, ...]:
    """Known failures pass with a note; a known one that passes fails: the list must not rot."""
    names = {each.check for each in verdicts}
    for name in known:
        if name not in names:
            raise UsageError(f"known={{'{name}': ...}} names no check of this run{near(name, names)}")
    made = []
    for each in verdicts:
        reason = known.get(each.check)
        if reason is None:
            made.append(each)
        elif each.outcome is Outcome.FAIL:
            made.append(passed(each.check, f"KNOWN {reason}", Finding("known", f"KNOWN {reason}", "note")))
        elif each.outcome is Outcome.PASS:
            made.append(
                failed(
                    each.check, Finding("known", f"{each.check} no longer fails, so remove it from known= ({reason})")
                )
            )
        else:
            made.append(each)
    return tuple(made)


def forget_unused(folder: Path) -> None:
    """Remove the folder of a run in which nothing was started: it tells nothing that the error does not."""
    if any(folder.glob("*/output.log")) or (folder / RESULT).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
