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
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
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
    plugin_ms = statistics.median(one - other for one, other in zip(with_plugin, without, strict=True))
    print(
        f"without {statistics.median(without):.0f} ms, with {statistics.median(with_plugin):.0f} ms of processor time"
    )
    figures = {
        "plugin_ms": round(plugin_ms, 2),
        "without_ms": round(statistics.median(without), 2),
        "with_ms": round(statistics.median(with_plugin), 2),
    }
    print(json.dumps({"bench": "start", "figures": figures, "aims": {"plugin_ms": {"max": 15}}}))


if __name__ == "__main__":
    main()
