"""demo, profiles, doctor, judge and show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chaoskit.profiles import all_profiles

Chaoskit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in which everything held was severed."""
    folder = tmp_path_factory.mktemp("saved")
    target = Path(__file__).resolve().parents[2] / "targets" / "severs_at_once.py"
    words = ("check", "--ready", "/healthz", "--no-rehearsal", "--get", "/slow", "--grace", "5", "-q", "--")
    command = (sys.executable, str(target), "--port", "{port}", "--work", "5")
    done = subprocess.run(
        [sys.executable, "-m", "chaoskit", *words, *command], cwd=folder, timeout=60, check=False, capture_output=True
    )
    assert done.returncode == 1, done.stderr
    (run,) = (each for each in (folder / ".chaos").iterdir() if each.is_dir())
    return run


def test_the_demo_strikes_one_good_and_two_guilty_servers(chaoskit: Chaoskit) -> None:
    done = chaoskit("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    words = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL", "UNKNOWN"))]
    assert words == ["PASS", "FAIL", "FAIL"]
    assert "SIGTERM to resets_in_body" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("Your turn:    chaoskit check --get")


def test_profiles_lists_every_platform(chaoskit: Chaoskit) -> None:
    done = chaoskit("profiles")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [each.name for each in all_profiles()]


def test_a_profile_is_told_with_its_source(chaoskit: Chaoskit) -> None:
    assert "https://kubernetes.io/" in chaoskit("profiles", "kubernetes").stdout


def test_profiles_of_the_project_are_listed_too(chaoskit: Chaoskit, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.chaoskit.profiles.ours]\nbase = "kubernetes"\ngrace_s = 61\n')
    told = json.loads(chaoskit("profiles", "--json", "-").stdout)
    assert (told[-1]["name"], told[-1]["grace_s"], told[-1]["propagation_s"]) == ("ours", 61, 5)


def test_doctor_says_what_this_machine_can_do(chaoskit: Chaoskit) -> None:
    done = chaoskit("doctor", "--json", "-", env={"CHAOSKIT_PROFILE": "ecs"})
    told = {each["what"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0
    assert told["packages"]["state"] == "ok"
    assert told["environment"]["text"] == "CHAOSKIT_PROFILE=ecs"


def test_judge_gives_the_verdict_of_the_run_again(chaoskit: Chaoskit, saved: Path) -> None:
    done = chaoskit("judge", str(saved), "--json", "-")
    assert done.returncode == 1
    assert json.loads(done.stdout) == json.loads((saved / "result.json").read_text())


def test_judge_takes_one_check_by_name(chaoskit: Chaoskit, saved: Path) -> None:
    assert chaoskit("judge", str(saved), "--check", "exit_code", "-q").returncode in (0, 1)
    wrong = chaoskit("judge", str(saved), "--check", "no_reset")
    assert (wrong.returncode, "did you mean 'no_resets'?" in wrong.stderr) == (3, True)


def test_judge_reads_a_run_from_a_pipe(chaoskit: Chaoskit, saved: Path) -> None:
    done = chaoskit("judge", "-", "-q", input=(saved / "events.jsonl").read_text())
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  4 of 4 held requests were severed")


def test_show_ends_with_0_and_has_the_whole_timeline(chaoskit: Chaoskit, saved: Path) -> None:
    done = chaoskit("show", str(saved))
    assert done.returncode == 0
    events = len((saved / "events.jsonl").read_text().splitlines()) - 1
    assert len(done.stdout.splitlines()) > events


@pytest.mark.parametrize("name", ["events.jsonl", "nothing"])
def test_a_damaged_run_is_named(chaoskit: Chaoskit, saved: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    (copy / "events.jsonl").write_text("garbage\n") if name == "events.jsonl" else (copy / "events.jsonl").unlink()
    done = chaoskit("judge", str(copy))
    assert done.returncode == 3
    assert "copy" in done.stderr
    assert "Traceback" not in done.stderr
