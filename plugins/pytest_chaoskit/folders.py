"""The folder of run folders: ignores itself, keeps what failed and the last few."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_chaoskit import options

if TYPE_CHECKING:
    import pytest

MARK = ".chaoskit"  # only folders that hold this file are ever removed
FILES = {
    "README.md": (
        "# Run folders of chaoskit\n\nEach holds one run: `events.jsonl` (what was seen), `result.json` and the logs.\n"
        "`chaoskit show FOLDER` tells it again, `chaoskit judge FOLDER` judges it again. Nothing here belongs in git.\n"
    ),
    ".gitignore": "# Made by chaoskit.\n*\n",
    "CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n# Made by chaoskit; see https://bford.info/cachedir/\n",
}


def prepare(folder: Path) -> Path:
    """Make the folder with the three files that keep it out of git and backups; one that is there stays as it is.

    Raises:
        StorageError: it can neither be made nor used.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f"{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
        ) as made:
            new = Path(made) / "new"
            new.mkdir()
            for name, text in FILES.items():
                (new / name).write_text(text, encoding="utf-8")
            _rename(new, folder)
    except OSError as error:
        from chaoskit.errors import StorageError

        raise StorageError(
            f"the folder of run folders '{folder}' could not be made: {error.strerror}. Choose another with --chaos-dir"
        ) from error
    return folder


def _rename(new: Path, folder: Path) -> None:
    """Move it into place whole: of several xdist workers one wins, and the others use what is there."""
    try:
        new.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def own(config: pytest.Config, test: str) -> Path:
    """A new folder for the files of one test's own."""
    parent = prepare(options.folder(config))
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    name = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in test.rsplit("::", 1)[-1])
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    made = Path(tempfile.mkdtemp(prefix="-".join(filter(None, (stamp, name[:60], worker, "files-"))), dir=parent))
    mark(made, test, failed=True)  # until it is known better
    return made


def mark(folder: Path, test: str, *, failed: bool) -> None:
    """Say in a run folder that it is ours, and whether its test failed."""
    try:
        (folder / MARK).write_text(json.dumps({"test": test, "failed": failed}) + "\n", encoding="utf-8")
    except OSError:
        return  # the disk is full: the folder is then kept


def prune(config: pytest.Config) -> None:
    """Remove run folders beyond `chaos_keep`: never one of a failed test, never one that we did not mark."""
    keep = options.value(config, "keep")
    folder = options.folder(config)
    if keep == "all" or not folder.is_dir():
        return
    passed = sorted(each.parent for each in folder.glob(f"*/{MARK}") if not _failed(each))
    for each in passed[: max(0, len(passed) - (0 if keep == "failed" else int(keep)))]:
        shutil.rmtree(each, ignore_errors=True)


def _failed(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["failed"])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def shown(config: pytest.Config, folder: Path) -> str:
    """The folder as a command typed where pytest was started can name it."""
    try:
        return str(folder.relative_to(config.invocation_params.dir))
    except ValueError:
        return str(folder)
