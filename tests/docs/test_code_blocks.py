"""Every Python, shell, TOML and JSON block of README and docs is run, in order, in one folder a page.

A block that begins with `# NAME.py` is a file of that name. A comment before a block changes what is done with it:
`<!-- not run: REASON -->`, or `<!-- exit: CODE -->` for a shell block that does not end with 0.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FILE = re.compile(r"# (?P<name>[\w/.]+\.py)\n")
LONGEST_S = 120


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    text: str
    note: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        yield Block(line, found["language"], found["text"], found["note"] or "")


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CHAOSKIT_", "COV_"))}
    return {**own, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}


def run(command: list[str], folder: Path, expected: int, where: str) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    told = f"{where} ended with {done.returncode}, expected {expected}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == expected, told


def run_block(block: Block, page: Path, folder: Path) -> None:
    where = f"{page.name}:{block.line}"
    named = FILE.match(block.text)
    if block.language == "python" and named is not None:
        (folder / named["name"]).write_text(block.text, encoding="utf-8")
    elif block.language == "python":
        run([sys.executable, "-c", block.text], folder, 0, where)
    elif block.language == "sh":
        expected = re.fullmatch(r"exit: (\d+)", block.note)
        run(["bash", "-euc", block.text], folder, int(expected[1]) if expected else 0, where)
    elif block.language == "toml":
        tomllib.loads(block.text)
    elif block.language == "json":
        json.loads(block.text)
    else:
        pytest.fail(f"{where}: nobody runs blocks of {block.language}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly\n", encoding="utf-8")
    for block in blocks(page):
        if not block.note.startswith("not run: "):
            run_block(block, page, tmp_path)


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert [each for each in links(page) if not (page.parent / each).exists()] == []


def test_every_fence_is_seen() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("\n```") == 2 * len(list(blocks(page))), f"{page.name}: a fence without a language"


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = set(links(ROOT / "README.md"))
    assert {f"docs/{each.name}" for each in (ROOT / "docs").glob("*.md")} <= linked
