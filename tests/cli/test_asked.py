"""Flags become the values of the library: same spelling, same meaning."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from chaoskit.cli.asked import Asked, in_order
from chaoskit.errors import UsageError


def asked(**given: object) -> Asked:
    values: dict[str, object] = {
        **dict.fromkeys(Asked.__slots__),
        "command": ("serve", "{port}"),
        "targets": (("GET /slow", None),),
        "header": (),
        "env": (),
        "clients": 4,
        "hold_at_least": 1,
        "idle": 2,
        "silent": 0,
        "upload": 0,
        "download": 0,
        "warm_up": 0,
        "disposition": "drain",
        "ready": "tcp",
        "profile": "process",
        "runs": 1,
        "allow": 0,
        "dir": ".chaos",
        **given,
    }
    return Asked(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        ("--get /a --get=/b", [("GET /a", None), ("GET /b", None)]),
        ("--post /a --data x --get /b", [("POST /a", "x"), ("GET /b", None)]),
        ("--post /a --post /b --data=x", [("POST /a", None), ("POST /b", "x")]),
        ("--clients 3 --post /a --idle 0 --data x", [("POST /a", "x")]),
        ("--get /a -- tool --get /b --data x", [("GET /a", None)]),
    ],
)
def test_a_body_belongs_to_the_post_before_it(words: str, targets: list[tuple[str, str | None]]) -> None:
    assert in_order(words.split()) == targets


@pytest.mark.parametrize("words", ["--data x", "--get /a --data x", "--data x --post /a"])
def test_a_body_without_a_post_is_refused(words: str) -> None:
    with pytest.raises(click.UsageError, match="--data FILE is the body"):
        in_order(words.split())


def test_gets_and_a_post_with_one_body_take_turns_in_one_workload(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("x")
    (work,) = asked(targets=(("GET /a", None), ("POST /b", str(body)), ("GET /c", None))).during()
    assert [str(each) for each in work.targets] == ["GET /a", "POST /b", "GET /c"]
    assert work.body(0) == b"x"


def test_every_further_body_is_a_workload_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text('{"a": 1}')
    second.write_text("plain")
    works = asked(targets=(("POST /a", str(first)), ("POST /b", str(second)))).during()
    assert [work.body(0) for work in works] == [b'{"a": 1}', b"plain"]
    assert dict(works[0].header_pairs(0, body=True)) == {"Content-Type": "application/json"}
    assert dict(works[1].header_pairs(0, body=True)) == {}


def test_a_given_content_type_stays(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("[]")
    (work,) = asked(targets=(("POST /a", str(body)),), header=("content-type: text/x",)).during()
    assert work.header_pairs(0, body=True) == (("content-type", "text/x"),)


def test_a_single_word_is_a_whole_command_line_and_many_are_taken_as_they_are() -> None:
    assert asked(command=("serve --port {port}",)).system().command == "serve --port {port}"
    assert asked(command=("serve", "a b", "{port}")).system().command == ("serve", "a b", "{port}")


def test_platform_flags_change_the_profile_and_leave_the_rest(tmp_path: Path) -> None:
    made = asked(profile="kubernetes", grace=60, pre_stop="sleep 1", signal="int", to="group").platform(tmp_path)
    assert (made.grace_s, made.pre_stop_s, made.signal, made.to, made.propagation_s) == (
        60,
        "sleep 1",
        "SIGINT",
        "group",
        5,
    )


def test_a_profile_of_the_project_is_known(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.chaoskit.profiles.ours]\nbase = "ecs"\ngrace_s = 45\n')
    assert asked(profile="ours").platform(tmp_path).grace_s == 45


def test_a_flag_that_the_library_refuses_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="hold_at_least"):
        asked(hold_at_least=5).during()
