"""The README's first command works in a fresh copy of the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = (".ci", "chaoskit", "plugins", "targets", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", ".chaos")
    for each in PARTS:
        source = ROOT / each
        if source.is_dir():
            shutil.copytree(source, tmp_path / each, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / each)
    return tmp_path


def bootstrap(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # The Python below ours, if we run in an environment: a fresh machine has no other.
    python = getattr(sys, "_base_executable", sys.executable)
    return subprocess.run(
        [python, ".ci/bootstrap.py", *words], cwd=tree, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize("words", [[], ["tests"], ["--help"]])
def test_a_wrong_call_is_told_what_there_is(tree: Path, words: list[str]) -> None:
    done = bootstrap(tree, *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert "demo | test" in done.stderr
    assert not (tree / ".venv").exists()


@pytest.mark.slow
def test_the_demo_runs_from_a_bare_tree_and_again_at_once(tree: Path) -> None:
    first = bootstrap(tree, "demo")
    assert first.returncode == 0, first.stderr
    assert "FAIL  4 of 4 held requests were severed" in first.stdout
    second = bootstrap(tree, "demo", "--quiet")
    assert second.returncode == 0
    assert "installing" not in second.stderr


@pytest.mark.slow
def test_the_wheel_carries_the_sample_servers(tmp_path: Path) -> None:
    python = sys.executable
    made = subprocess.run(
        [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place), str(wheel)], check=True)
    assert (place / "chaoskit" / "_targets" / "drains.py").is_file()
    assert (place / "pytest_chaoskit" / "py.typed").is_file()
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(
        [python, "-m", "chaoskit", "demo"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
