"""A command becomes a launch: words, references, files, environment, program and folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from chaoskit.drivers import ports
from chaoskit.drivers.base import Launch
from chaoskit.drivers.command import Command
from chaoskit.drivers.placeholders import mentions, needs_port, resolve, shown
from chaoskit.errors import LaunchError, StorageError, UsageError


class Resolve(Protocol):
    def __call__(self, command: str | list[str], **options: Any) -> Launch: ...


WORDS = {"redis.port": "6390", "redis.url": "redis://127.0.0.1:6390"}


@pytest.fixture
def resolved(tmp_path: Path) -> Iterator[Resolve]:
    picked: list[int | None] = []

    def run(command: str | list[str], **options: Any) -> Launch:
        words = options.pop("words", WORDS)
        addresses = options.pop("addresses", {})
        extra_env = options.pop("extra_env", {})
        launch = resolve(
            Command(command, **options),
            name="web",
            root=tmp_path,
            run_dir=tmp_path / "runs",
            addresses=addresses,
            words=words,
            extra_env=extra_env,
        )
        picked.append(launch.port)
        return launch

    yield run
    for port in filter(None, picked):
        ports.release(port)


def test_every_word_is_filled_in_commands_environment_and_files(resolved: Resolve) -> None:
    text = "{host}:{port} {dir} {python} {redis.port}"
    launch = resolved(["{python}", text], env={"ALL": text}, files={"conf/app.conf": text})
    expected = f"127.0.0.1:{launch.port} {launch.dir} {sys.executable} 6390"
    assert launch.argv == (sys.executable, expected)
    assert launch.env["ALL"] == expected
    assert (launch.dir / "conf" / "app.conf").read_text() == expected


def test_only_a_command_that_asks_for_a_port_gets_one(resolved: Resolve, tmp_path: Path) -> None:
    assert resolved("sleep 1").port is None
    assert resolved("sleep 1", port=8123).port == 8123
    assert resolved("echo {port}", port=8123).argv[1:] == ("8123",)
    assert resolved("sleep 1", env={"PORT": "{port}"}).port is not None
    (tmp_path / "app.conf").write_text("listen {port};")
    launch = resolved("sleep 1", files={"app.conf": Path("app.conf")})
    assert (launch.dir / "app.conf").read_text() == f"listen {launch.port};"
    assert not needs_port(Command("echo {{port}} ${port}"))


@pytest.mark.parametrize(
    ("written", "near"), [("{prot}", "port"), ("{PORT}", "port"), ("{hots}", "host"), ("{redis.prot}", "redis.port")]
)
def test_a_near_miss_is_an_error_that_offers_the_word(resolved: Resolve, written: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"'web': its command has the unknown placeholder {written} .*'{near}'"):
        resolved(f"echo {written}")
    with pytest.raises(UsageError, match="its environment variable HERE has the unknown"):
        resolved("echo", env={"HERE": written})
    with pytest.raises(UsageError, match=r"its file a\.conf has the unknown"):
        resolved("echo", files={"a.conf": written})


@pytest.mark.parametrize(
    "written",
    ['{"retries": 3}', "{}", "{0}", "{ port }", "${HOME}", "${port}", "{{ name }}", "{{customer}}", "{x}", "{"],
)
def test_every_other_brace_stays_as_it_is(resolved: Resolve, written: str) -> None:
    assert resolved(["echo", written]).argv[1] == written


def test_doubled_braces_are_a_literal(resolved: Resolve) -> None:
    launch = resolved(["echo", "{{port}} {port} {{redis.port}} {{part}}"])
    assert launch.argv[1] == f"{{port}} {launch.port} {{redis.port}} {{part}}"


def test_a_sink_that_does_not_run_is_told(resolved: Resolve) -> None:
    with pytest.raises(UsageError, match=r"asks for {sink}, but no sink server runs here"):
        resolved("echo {sink}")
    launch = resolved("echo {sink}", words={"sink": "http://127.0.0.1:9"})
    assert launch.argv[1] == launch.env["CHAOSKIT_SINK"] == "http://127.0.0.1:9"


@pytest.mark.parametrize("name", ["other", "Ünïcode_näme", "a b"])
def test_a_reference_is_replaced_wherever_it_occurs(resolved: Resolve, name: str) -> None:
    other = Command("serve", name=name)
    addresses = {other.address.token: "http://127.0.0.1:5555"}
    launch = resolved(
        ["echo", f"up={other}"],
        env={"API": other / "v1", "B": f"<{other}>"},
        files={"c": f"{other};"},
        addresses=addresses,
    )
    assert launch.argv[1] == "up=http://127.0.0.1:5555"
    assert launch.env["API"] == "http://127.0.0.1:5555/v1"
    assert launch.env["B"] == "<http://127.0.0.1:5555>"
    assert (launch.dir / "c").read_text() == "http://127.0.0.1:5555;"
    assert mentions(Command(f"echo {other}/x"), other.address)
    assert not mentions(Command("echo"), other.address)


def test_a_reference_to_what_does_not_run_is_an_error(resolved: Resolve) -> None:
    with pytest.raises(UsageError, match=r"refers to a system that does not run .*chaos\.launch"):
        resolved(["echo", str(Command("serve"))])


def test_the_environment_is_inherited_extended_and_none_removes(
    resolved: Resolve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("REMOVED", "1")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    env = resolved("echo", env={"REMOVED": None, "NEVER": None, "NUMBER": 5}, extra_env={"MORE": "2"}).env
    assert (env["KEPT"], env["NUMBER"], env["MORE"], env["CHAOSKIT_INSTANCE"]) == ("1", "5", "2", "web")
    assert env["PYTHONUNBUFFERED"] == "1"
    assert not {"REMOVED", "NEVER", "CHAOSKIT_SINK"} & set(env)
    assert "PYTHONUNBUFFERED" not in resolved("echo", env={"PYTHONUNBUFFERED": None}).env
    monkeypatch.setenv("PYTHONUNBUFFERED", "")
    assert resolved("echo").env["PYTHONUNBUFFERED"] == ""


@pytest.mark.parametrize("outside", ["../escape", "/etc/escape", "a/../../escape"])
def test_a_file_outside_the_instances_folder_is_refused(resolved: Resolve, tmp_path: Path, outside: str) -> None:
    with pytest.raises(UsageError, match=f"'{outside}'.*outside"):
        resolved("echo", files={outside: "x"})
    assert list(tmp_path.rglob("escape")) == []


def test_a_binary_file_is_copied_and_a_missing_one_is_told(resolved: Resolve, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xff\x00{port}")
    assert (resolved("echo", files={"raw": Path("raw")}).dir / "raw").read_bytes() == b"\xff\x00{port}"
    with pytest.raises(UsageError, match=r"files=\{'a': \.\.\.\} could not be written: .*nowhere"):
        resolved("echo", files={"a": Path("nowhere")})


def test_a_program_is_looked_up_beside_this_python_first_then_in_path(resolved: Resolve, tmp_path: Path) -> None:
    mine = tmp_path / "bin"
    mine.mkdir()
    for name in ("python", "only-here"):
        (mine / name).write_text("#!/bin/sh\n")
        (mine / name).chmod(0o755)
    path = {"PATH": str(mine)}
    beside = Path(sys.executable).parent / "python"
    if beside.exists():
        assert resolved("python x.py", env=path).argv[0] == str(beside)
    assert resolved("only-here", env=path).argv[0] == str(mine / "only-here")
    with pytest.raises(LaunchError, match=r"command 'only-here' was not found beside .* nor in PATH"):
        resolved("only-here", env={"PATH": None})
    assert resolved("bin/only-here").argv[0] == str(mine / "only-here")


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("cd app && serve", r"'cd' is a shell's own word, and no shell runs the command: use cwd="),
        ("PORT=1 serve", r"A variable is set with env="),
        ("not-a-program", "Install it into this environment"),
    ],
)
def test_a_program_that_is_not_found_comes_with_what_to_do(resolved: Resolve, command: str, advice: str) -> None:
    with pytest.raises(LaunchError, match=advice):
        resolved(command)


def test_a_path_that_is_no_file_or_not_executable_is_told(resolved: Resolve, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(LaunchError, match=r"'web' could not be started: there is no file '.*/away'"):
        resolved("./away")
    with pytest.raises(LaunchError, match=r"'.*/plain' is not executable \(chmod \+x"):
        resolved("./plain")


def test_a_working_directory_is_relative_to_the_root_and_must_be_there(resolved: Resolve, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert resolved("echo", cwd="src").cwd == tmp_path / "src"
    assert resolved("echo", cwd=tmp_path / "src").cwd == tmp_path / "src"
    with pytest.raises(UsageError, match=r"'web': its working directory '.*/away' is not there \(cwd='away'\)"):
        resolved("echo", cwd="away")


def test_a_launch_that_fails_gives_its_port_back(resolved: Resolve) -> None:
    before = set(ports._held)
    with pytest.raises(LaunchError):
        resolved("not-a-program {port}")
    assert set(ports._held) == before


def test_instances_of_one_name_get_folders_of_their_own(resolved: Resolve) -> None:
    first, second = resolved("echo"), resolved("echo")
    assert (first.dir.name, second.dir.name) == ("web", "web-2")
    assert second.log == second.dir / "output.log"


def test_a_long_name_makes_a_short_folder(tmp_path: Path) -> None:
    launch = resolve(
        Command("echo"), name="x" * 300, root=tmp_path, run_dir=tmp_path, addresses={}, words={}, extra_env={}
    )
    assert len(launch.dir.name) <= 80


def test_a_run_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"the folder '.*' could not be made: Not a directory"):
        resolve(
            Command("echo"),
            name="../w e b",
            root=tmp_path,
            run_dir=tmp_path / "file",
            addresses={},
            words={},
            extra_env={},
        )


def test_a_command_is_shown_as_one_would_type_it() -> None:
    assert shown(("serve", "--name", "a b")) == "serve --name 'a b'"
    assert os.sep not in shown(("serve",))
