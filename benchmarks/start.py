"""What does an installed, unused plugin cost at pytest's start? The same empty suite with it and without, in turns."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TEST = "def test_plain():\n    pass\n"


def start_ms(folder: Path, *options: str) -> float:
    """The user and system time of one pytest run: on a busy machine steadier than the wall clock."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_plain.py"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
    subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_plain.py").write_text(TEST)
        with_plugin, without = [], []
        for number in range(rounds + 1):
            one, other = start_ms(folder, "-p", "pytest_chaoskit"), start_ms(folder)
            if number:  # the first fills the caches of compiled modules
                with_plugin.append(one)
                without.append(other)
    # Whatever else runs on the machine only adds: the least of each is the nearest to its own cost.
    least, other = min(with_plugin), min(without)
    typical = statistics.median(one - two for one, two in zip(with_plugin, without, strict=True))
    print(
        f"processor time of a start: {other:.0f} ms without, {least:.0f} ms with; typical difference {typical:.1f} ms"
    )
    figures = {
        "plugin_ms": round(least - other, 2),
        "without_ms": round(other, 2),
        "with_ms": round(least, 2),
        "typical_difference_ms": round(typical, 2),
    }
    print(json.dumps({"bench": "start", "figures": figures, "aims": {"plugin_ms": {"max": 15}}}))


if __name__ == "__main__":
    main()
