"""Set everything up on a fresh machine and run one thing: `python3 .ci/bootstrap.py demo` or `... test`.

Only the standard library, because nothing else is there yet. Makes .venv in the source tree, installs chaoskit into it
and runs the demo, the tests, or whatever command follows `run`. Debian's python3 comes without ensurepip: there are
other ways to a pip, tried one after another; where none leads there, a message says what to type.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "chaoskit-installed"
OLDEST = (3, 11)
USAGE = "usage: python3 .ci/bootstrap.py demo | test [PYTEST OPTIONS] | install [servers] | run COMMAND..."


def main(words: list[str]) -> int:
    """Do what the first word says; the exit code of what was run."""
    if not words or words[0] not in ("demo", "test", "install", "run"):
        print(USAGE, file=sys.stderr)
        return 3
    if sys.version_info < OLDEST:
        print(
            f"chaoskit needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}", file=sys.stderr
        )
        return 3
    verb, rest = words[0], words[1:]
    make_environment()
    install("" if verb == "demo" else "[dev,servers]" if rest[:1] == ["servers"] else "[dev]")
    if verb == "install":
        return 0
    command = {
        "demo": [str(PYTHON), "-m", "chaoskit", "demo", *rest],
        "test": [str(PYTHON), "-m", "pytest", "-q", "-n", "auto", "-m", "not slow and not servers", *rest],
        "run": rest,
    }[verb]
    environment = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def make_environment() -> None:
    """Make .venv with pip in it, unless it is there and works."""
    if PYTHON.exists() and works([str(PYTHON), "-m", "pip", "--version"]):
        return
    say("making .venv")
    for way in (with_ensurepip, with_the_pip_that_is_here, with_debians_package):
        shutil.rmtree(VENV, ignore_errors=True)
        if way() and works([str(PYTHON), "-m", "pip", "--version"]):
            return
    stop()


def with_ensurepip() -> bool:
    """The usual way; Debian's python3 comes without ensurepip."""
    return works([sys.executable, "-c", "import ensurepip"]) and works([sys.executable, "-m", "venv", str(VENV)])


def with_the_pip_that_is_here() -> bool:
    """A pip outside may fill an environment inside."""
    return empty_environment() and works([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "-q", "pip"])


def with_debians_package() -> bool:
    """Install python3-venv, where that may be done without asking: as root, or by sudo without a password."""
    apt, sudo = shutil.which("apt-get"), shutil.which("sudo")
    if apt is None or (os.geteuid() != 0 and not (sudo and works([sudo, "-n", "true"]))):
        return False
    say("installing python3-venv (Debian's python3 comes without it)")
    start = [apt] if os.geteuid() == 0 else [sudo or "sudo", "-n", apt]
    works([*start, "update", "-qq"])
    for name in (f"python{sys.version_info[0]}.{sys.version_info[1]}-venv", "python3-venv"):
        if works(["env", "DEBIAN_FRONTEND=noninteractive", *start, "install", "-y", "-qq", name]):
            return with_ensurepip()
    return False


def empty_environment() -> bool:
    """An environment without pip, which needs no ensurepip."""
    return works([sys.executable, "-m", "venv", "--without-pip", str(VENV)])


def install(extras: str) -> None:
    """Install the source tree, editable, with these extras, unless nothing changed since the last time."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    done = STAMP.read_text(encoding="utf-8").split() if STAMP.exists() else []
    kept = {extra for line in done[1:] for extra in line.strip("[]").split(",") if extra}
    asked = {extra for extra in extras.strip("[]").split(",") if extra}
    if done[:1] == [wanted] and asked <= kept:
        return
    everything = ",".join(sorted(asked | kept))
    say(f"installing chaoskit{f'[{everything}]' if everything else ''}")
    run(
        [
            str(PYTHON),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-e",
            f"{ROOT}[{everything}]" if everything else str(ROOT),
        ]
    )
    STAMP.write_text(f"{wanted} [{everything}]\n", encoding="utf-8")


def run(command: list[str]) -> None:
    """Run a step; its failure ends the program."""
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        print(f"bootstrap: this failed with {code}: {' '.join(command)}", file=sys.stderr)
        sys.exit(3)


def works(command: list[str]) -> bool:
    """Whether a command ends well; says nothing."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def stop() -> None:
    """No way to make an environment: say what to type."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    print(
        f"bootstrap: {sys.executable} cannot make virtual environments. On Debian or Ubuntu:\n"
        f"    sudo apt-get install -y python{version}-venv\n"
        "then run this again.",
        file=sys.stderr,
    )
    sys.exit(3)


def say(text: str) -> None:
    """Progress."""
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
