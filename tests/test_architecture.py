"""Who may import whom: the folder list is the architecture, and this holds it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "chaoskit"
PLUGIN = ROOT / "plugins" / "pytest_chaoskit"

# A name with a dot is one module; one without is a module or a whole folder. Everything may use `errors`.
BASES = {"drivers.base", "network.base", "brokers.base", "services.base"}
SEES_ALL = "everything"
ALLOWED: dict[str, set[str] | str] = {
    "errors": set(),
    "signals": set(),
    "address": set(),
    "history": set(),
    "budget": set(),
    "profiles": {"budget", "signals"},
    "moments": {"history"},
    "drivers": {"address", "signals"},
    "services": {"address"},
    "brokers": set(),
    "network": set(),
    "downstream": {"history", "address"},
    "workloads": {"history", "budget", "moments", "brokers.base", "address"},
    "faults": {"history", "budget", "moments", "profiles", "signals", "drivers.base", "network.base"},
    "plan": {
        "history",
        "budget",
        "profiles",
        "moments",
        "downstream",
        "faults.base",
        "workloads.requests",
        "signals",
        *BASES,
    },
    "watch": {"history", "drivers.sockets", "workloads"},
    "inhand": {"history", "drivers", "workloads", "watch", "run"},  # one half of `run`, in a file of its own
    # what the conductor is made of, one idea a file: the first fact, starting, striking
    "planned": {"plan", "history", "drivers"},
    "beside": {"drivers", "starting"},  # what `starting` and `launch` share
    "starting": {"beside", "plan", "planned", "history", "drivers", "downstream", "workloads"},
    "striking": {"plan", "history", "profiles", "signals", "drivers"},
    "run": {
        *("planned", "starting", "striking"),
        *("plan", "history", "inhand", "watch", "moments", "profiles", "address", "signals"),
        *("drivers", "downstream", "workloads", "faults", "services", "brokers", "network"),
    },
    "checks": {"history", "budget", "profiles"},
    "result": {"history", "checks"},
    "reports": {"history", "checks"},
    "testing": {"history", "checks.verdict", *BASES},
    # what users hold in their hands
    "outcomes": {"history", "checks", "result", "reports"},
    "blocks": {"address", "checks.verdict", "outcomes", "plan", "run", "drivers.command", "verbs"},
    "verbs": SEES_ALL,
    "cli": SEES_ALL,
    "__init__": SEES_ALL,
    "__main__": {"cli"},
}


def modules(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*.py") if "_targets" not in each.parts)


def name_of(path: Path) -> str:
    """`drivers.sockets` for chaoskit/drivers/sockets.py, `history` for chaoskit/history/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((each.name, node.lineno) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides what is used"
            module = node.module or ""
            for each in node.names:
                inner = PACKAGE.parent / Path(*module.split("."), f"{each.name}.py")
                yield (f"{module}.{each.name}" if inner.is_file() else module), node.lineno


def ours(path: Path) -> Iterator[tuple[str, int]]:
    for module, line in imports(path):
        if module == "chaoskit":
            yield "__init__", line
        elif module.startswith("chaoskit."):
            yield module.removeprefix("chaoskit."), line


def allowed(user: str, used: str) -> bool:
    top = user.split(".", 1)[0]
    if used == "errors" or used.split(".", 1)[0] == top:
        return True
    granted = ALLOWED[top]
    if isinstance(granted, str):
        return used.split(".", 1)[0] != "cli" or top == "cli"
    # `checks` grants checks.verdict too; `checks.verdict` does not grant `checks`.
    return used in granted or used.split(".", 1)[0] in granted


@pytest.mark.parametrize("path", modules(PACKAGE), ids=name_of)
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    user = name_of(path)
    assert user.split(".", 1)[0] in ALLOWED, f"{user}: a new place needs its line in ALLOWED"
    wrong = [f"{path}:{line} imports {used}" for used, line in ours(path) if not allowed(user, used)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", modules(PACKAGE), ids=name_of)
def test_the_library_does_not_import_its_plugin_nor_pytest(path: Path) -> None:
    wrong = [
        module for module, _ in imports(path) if module.split(".", 1)[0] in ("pytest", "_pytest", "pytest_chaoskit")
    ]
    assert not wrong


@pytest.mark.parametrize("path", modules(PLUGIN), ids=lambda path: path.stem)
def test_the_plugin_uses_the_front_of_the_library_only(path: Path) -> None:
    behind = ("run", "plan", "inhand", "watch", "faults", "workloads.client", "workloads.connection", "cli")
    wrong = [f"{path}:{line} imports {used}" for used, line in ours(path) if used.startswith(behind)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sorted((ROOT / "targets").glob("*.py")), ids=lambda path: path.stem)
def test_a_target_is_a_program_of_its_own(path: Path) -> None:
    beside = {each.stem for each in (ROOT / "targets").glob("*.py")}
    known = set(sys.stdlib_module_names) | beside
    assert {module.split(".", 1)[0] for module, _ in imports(path)} <= known


@pytest.mark.parametrize("path", [*modules(PACKAGE), *modules(PLUGIN)], ids=str)
def test_a_module_begins_with_a_sentence_that_says_its_idea(path: Path) -> None:
    document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert document, f"{path} has no docstring"
    first = document.splitlines()[0]
    assert first.rstrip(")")[-1] in ".?:", f"{path}: '{first}' is no sentence"


def loaded(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {name.split(".", 1)[0] for name in done.stdout.split()}


@pytest.mark.parametrize("statement", ["import chaoskit", "import chaoskit.cli", "import chaoskit.profiles"])
def test_importing_the_front_pulls_in_nothing_heavy(statement: str) -> None:
    assert not loaded(statement) & {"pytest", "docker", "requests", "httptools", "uvloop", "psutil", "toxiproxy"}


def test_the_plugin_costs_nothing_until_a_chaos_test_runs() -> None:
    heavy = {"docker", "requests", "httptools", "uvloop", "psutil", "toxiproxy", "click", "msgspec"}
    assert not loaded("import pytest, pytest_chaoskit") & heavy
