"""A run on disk: one JSON line an event, written while the run goes on, read lazily as often as asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from chaoskit.errors import StorageError
from chaoskit.history.events import Event, History

JOURNAL = "events.jsonl"
FORMAT = {"chaoskit": "journal", "schema": 1}


class Journal:
    """Writes events to one file; buffered, flushed by `flush` and `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoder = msgspec.json.Encoder()
        try:
            self._file: BinaryIO = path.open("wb", buffering=1 << 16)
            self._file.write(self._encoder.encode(FORMAT) + b"\n")
        except OSError as error:
            raise _cannot("written", path, error) from error

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            StorageError: the disk took no more; what was written before stays readable.
        """
        try:
            self._file.write(self._encoder.encode(event) + b"\n")
        except OSError as error:
            raise _cannot("written", self.path, error) from error

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        try:
            self._file.flush()
        except OSError as error:
            raise _cannot("written", self.path, error) from error

    def close(self) -> None:
        """Flush and close."""
        try:
            self._file.close()
        except OSError as error:
            raise _cannot("written", self.path, error) from error


def load(path: Path) -> History:
    """The history saved at `path` (a journal or the run folder that holds it).

    A last line that was cut (the harness was killed) is left out.

    Raises:
        StorageError: no journal there, another format, or a damaged line in the middle.
    """
    journal = path / JOURNAL if path.is_dir() else path
    if not journal.is_file():
        raise StorageError(f"no run at '{path}': expected a run folder with {JOURNAL} in it (look in .chaos/)")
    with journal.open("rb") as file:
        head = file.readline()
    try:
        found = msgspec.json.decode(head)
    except msgspec.DecodeError as error:
        raise StorageError(f"'{journal}' is not a chaoskit journal: its first line is not JSON") from error
    if not isinstance(found, dict) or found.get("chaoskit") != "journal":
        raise StorageError(f"'{journal}' is not a chaoskit journal: its first line does not say so")
    if found.get("schema") != FORMAT["schema"]:
        raise StorageError(
            f"'{journal}' has schema {found.get('schema')}; this chaoskit reads {FORMAT['schema']}: "
            "judge it with the version that wrote it"
        )
    return History(lambda: _events(journal))


def _events(journal: Path) -> Iterator[Event]:
    decode = msgspec.json.Decoder(Event).decode
    with journal.open("rb", buffering=1 << 20) as file:
        file.readline()
        for number, line in enumerate(file, start=2):
            try:
                yield decode(line)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                if not line.endswith(b"\n"):
                    return
                raise StorageError(f"'{journal}', line {number}, is damaged: {error}") from error


def _cannot(what: str, path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the run folder could not be {what}: '{path}': {error.strerror}. "
        "Free some space or choose another folder with --dir (pytest: --chaos-dir)"
    )
