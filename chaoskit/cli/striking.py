"""What `check` and `demo` need around a strike: the run folder, the downstream, the harness, and its end."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from chaoskit.checks.verdict import Verdict, worst
from chaoskit.cli.asked import Asked
from chaoskit.cli.terminal import Terminal
from chaoskit.downstream.server import SinkServer
from chaoskit.errors import StorageError
from chaoskit.history.events import History
from chaoskit.reports.clean import as_ascii
from chaoskit.reports.text import headline, render
from chaoskit.verbs import Harness, Run

OpenHarness = Callable[[float], Harness]

_FILES = {
    ".gitignore": "# Made by chaoskit.\n*\n",
    "CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n# Made by chaoskit; see https://bford.info/cachedir/\n",
    "README.md": "# Run folders of chaoskit\n\nOne folder a run: `chaoskit show FOLDER`. Delete what you no longer need.\n",
}


@contextlib.contextmanager
def striking(run_dir: Path, say: Terminal, again: str | None) -> Iterator[OpenHarness]:
    """Everything that a strike needs; gives what opens a harness. All of it is gone at the end, however that comes."""
    prepare(run_dir)
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(tempfile.TemporaryDirectory(prefix="chaoskit-"))
        sink = SinkServer(Path(records))
        sink.start()
        stack.callback(sink.close)

        def open_harness(close_share: float) -> Harness:
            harness = Harness(
                run_dir=run_dir.absolute(),
                root=Path.cwd(),
                sink_server=sink,
                progress=say.progress,
                again=None if again is None else lambda _folder: again,
                close_share=close_share,
            )
            stack.callback(harness.close)
            return harness

        yield open_harness


def strike_once(harness: Harness, asked: Asked) -> Run:
    """One run of what was asked for; the harness is closed when it is over."""
    try:
        return harness.terminate(asked.system(), during=asked.during(), profile=asked.platform(Path.cwd()))
    finally:
        harness.close()


def headlines(run: Run, say: Terminal) -> str:
    """The outcome in one line."""
    return reading(run.history, run.verdicts, replace(say, quiet=True), again=None, show=None)


def report(run: Run, say: Terminal) -> str:
    """What a person reads of one run: the loss, then what speaks for it."""
    return reading(run.history, run.verdicts, say, again=run.again, show=near_path(run.dir))


def reading(
    history: History, verdicts: tuple[Verdict, ...], say: Terminal, *, again: str | None, show: str | None
) -> str:
    """The report of a history; one line with --quiet."""
    outcome = worst(verdicts)
    first = f"{say.painted(outcome.upper(), outcome)}  {headline(history, verdicts)}"
    if say.quiet:
        return as_ascii(first) if say.ascii_only else first
    text = render(
        history,
        verdicts,
        color=say.painted,
        width=say.width,
        full=say.verbose,
        again=again,
        show=show,
        ascii_only=say.ascii_only,
    )
    return f"{as_ascii(first) if say.ascii_only else first}\n\n{text}"


def near_path(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def prepare(run_dir: Path) -> None:
    """Make the folder of run folders, with what keeps it out of git and of backups.

    Raises:
        StorageError: it cannot be made or written.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        for name, text in _FILES.items():
            _write_once(run_dir / name, text)
    except OSError as error:
        raise StorageError(
            f"the run folder '{run_dir}' cannot be written: {error.strerror}. Choose another with --dir"
        ) from error


def _write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
