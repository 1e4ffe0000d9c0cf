"""Every end of the program is one of the documented exit codes, with results and messages where they belong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chaoskit import cli

Chaoskit = Callable[..., "subprocess.CompletedProcess[str]"]


def test_help_lists_the_commands_and_the_exit_codes(chaoskit: Chaoskit) -> None:
    done = chaoskit("--help")
    assert done.returncode == 0
    assert all(f"  {name}" in done.stdout for name in cli.COMMANDS)
    assert "2  unknown" in done.stdout
    assert "130  interrupted" in done.stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_a_first_sentence(chaoskit: Chaoskit, name: str) -> None:
    done = chaoskit(name, "--help")
    assert done.returncode == 0
    assert done.stdout.splitlines()[2].strip()


def test_the_version_is_told(chaoskit: Chaoskit) -> None:
    assert chaoskit("--version").stdout.startswith("chaoskit 0.")


WRONG = [
    ([], "Usage:"),
    (["chekc"], "no command 'chekc' (did you mean 'check'?)"),
    (["--bogus"], "--bogus"),
    (["check", "--bogus"], "--bogus"),
    (["check", "--get", "/"], "no command to strike: end with -- COMMAND"),
    (["check", "--", "true"], "nothing keeps it busy: give --get PATH"),
    (["check", "--get", "/", "--clients", "many", "--", "true"], "many"),
    (["check", "--get", "/", "--clients", "0", "--", "true"], "clients is 0"),
    (["check", "--get", "export", "--", "true", "{port}"], "'GET export' is no target"),
    (["check", "--get", "/", "--profile", "kubernets", "--", "true"], "did you mean 'kubernetes'?"),
    (["check", "--get", "/", "--grace", "0", "--", "true"], "grace_s is 0"),
    (["check", "--get", "/", "--signal", "SIGTREM", "--", "true"], "SIGTERM"),
    (["check", "--get", "/", "--disposition", "requeue", "--", "true"], "requeue"),
    (["check", "--get", "/", "-H", "no colon", "--", "true"], "-H 'no colon': expected 'NAME: VALUE'"),
    (["check", "--get", "/", "--env", "NAME", "--", "true"], "--env 'NAME': expected NAME=VALUE"),
    (["check", "--get", "/", "--data", "x", "--", "true"], "--data FILE is the body of the --post PATH before it"),
    (["check", "--post", "/", "--data", "gone", "--", "true", "{port}"], "--data 'gone' cannot be read"),
    (["check", "--get", "/", "--release", "soon", "--", "true"], "'soon' is neither a number of seconds nor 'never'"),
    (["check", "--get", "/", "--runs", "2", "--allow", "2", "--", "true"], "would allow every run to fail"),
    (["check", "--get", "/", "--upload", "1", "--", "true", "{port}"], "upload_s spreads a body"),
    (["check", "--get", "/", "--", "nobody-has-this", "{port}"], "'nobody-has-this' was not found"),
    (["check", "--get", "/", "--", "true", "{prot}"], "unknown placeholder {prot}"),
    (["check", "--worker", "--", "true"], "--worker: background jobs come with a later release"),
    (["check", "--publish=app:f", "--", "true"], "--publish: background jobs come with a later release"),
    (["check", "--get", "/", "--image", "shop", "--port", "80"], "--image: containers come with a later release"),
    (["check", "--compose", "compose.yaml", "--service", "web"], "--compose: containers come with a later release"),
    (["judge"], "RUN_DIR"),
    (["judge", "nowhere"], "no run at 'nowhere'"),
    (["show", "nowhere"], "no run at 'nowhere'"),
    (["profiles", "kubernets"], "did you mean 'kubernetes'?"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) or "nothing" for words, _ in WRONG])
def test_a_wrong_call_ends_with_3_and_says_what_is_wrong(chaoskit: Chaoskit, words: list[str], said: str) -> None:
    done = chaoskit(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", [["--json", "-"], ["--json=-"]])
def test_a_call_that_cannot_be_parsed_owes_its_caller_json_too(chaoskit: Chaoskit, flag: list[str]) -> None:
    done = chaoskit("check", *flag, "--bogus")
    told = json.loads(done.stdout)
    assert (told["schema"], told["outcome"], told["error"]["kind"]) == (1, "error", "usage")
    assert "--bogus" in told["error"]["message"]


def test_a_json_flag_of_the_struck_command_is_not_ours(chaoskit: Chaoskit) -> None:
    done = chaoskit("check", "--bogus", "--", "tool", "--json", "-")
    assert (done.returncode, done.stdout) == (3, "")


def test_a_bug_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_words: object, **_options: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(cli.program, "main", broken)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["profiles"])
    assert ended.value.code == 3
    assert "this is a bug of chaoskit" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m chaoskit profiles --json - | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True)
    assert (done.stdout.split(), done.stderr) == (["[", "0"], "")
