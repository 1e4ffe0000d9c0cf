"""What the commands print, where and in which colours: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import click

from chaoskit.errors import StorageError

ColorChoice = Literal["auto", "always", "never"]
COLORS = {"pass": "green", "fail": "red", "unknown": "yellow", "warning": "yellow"}
STANDARD = "-"  # a file name that means standard input or output


@dataclass(frozen=True, slots=True)
class Terminal:
    """How much is said, and whether in colour."""

    color: ColorChoice = "auto"
    quiet: bool = False
    verbose: bool = False
    results_to_stderr: bool = False  # stdout carries JSON and nothing else

    def result(self, text: str) -> None:
        """A result: what the command was called for."""
        click.echo(text, file=self._results, color=self._colors(self._results))

    def note(self, text: str) -> None:
        """Something beside the result; silent with --quiet."""
        if not self.quiet:
            click.echo(text, err=True, color=self._colors(sys.stderr))

    def progress(self, text: str) -> None:
        """What is going on right now: only for a person who watches."""
        if not self.quiet and sys.stderr.isatty():
            click.echo(self.style(text, "dim", sys.stderr), err=True, color=self._colors(sys.stderr))

    def painted(self, text: str, style: str) -> str:
        """Text of a result in a style: pass, fail, unknown, warning, bold or dim."""
        return self.style(text, style, self._results)

    def style(self, text: str, style: str, stream: IO[str]) -> str:
        """Text for a stream in a style, plain where that stream has no colours."""
        if not self._colors(stream):
            return text
        if style in ("bold", "dim"):
            return click.style(text, bold=style == "bold", dim=style == "dim")
        return click.style(text, fg=COLORS[style])

    @property
    def width(self) -> int:
        """Columns for a result; 100 where it does not go to a terminal."""
        return shutil.get_terminal_size().columns if self._results.isatty() else 100

    @property
    def ascii_only(self) -> bool:
        """Whether a result goes to a stream that cannot take more than ASCII."""
        return not str(getattr(self._results, "encoding", None) or "ascii").lower().startswith("utf")

    @property
    def _results(self) -> IO[str]:
        return sys.stderr if self.results_to_stderr else sys.stdout

    def _colors(self, stream: IO[str]) -> bool:
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("PY_COLORS") in ("0", "1"):
            return os.environ["PY_COLORS"] == "1"
        if os.environ.get("NO_COLOR"):
            return False
        return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def write_json(target: str, text: str) -> None:
    """Write one JSON document to a file, whole or not at all, or to standard output.

    Raises:
        StorageError: the file cannot be written.
    """
    text = text.rstrip("\n")
    if target == STANDARD:
        click.echo(text)
        return
    path = Path(target)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():  # /dev/stderr and pipes cannot be replaced
            path.write_text(f"{text}\n", encoding="utf-8")
            return
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"the JSON could not be written: '{path}': {error.strerror}") from error


def must_be_writable(target: str) -> None:
    """Refuse a JSON target before a long run, not after it.

    Raises:
        StorageError: its folder is missing, or nothing can be written there.
    """
    if target == STANDARD:
        return
    path = Path(target)
    if path.is_dir():
        raise StorageError(
            f"the JSON cannot be written: '{path}' is a folder; expected a file, or - for standard output"
        )
    if not path.absolute().parent.is_dir():
        raise StorageError(f"the JSON cannot be written: there is no folder '{path.absolute().parent}'")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise StorageError(f"the JSON cannot be written: no permission for '{path}'")
