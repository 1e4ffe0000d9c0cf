"""The value that says what work there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaoskit.budget import FINISH, REJECT
from chaoskit.errors import UsageError
from chaoskit.workloads.requests import Requests, Target


def test_a_bare_path_is_a_get() -> None:
    assert Requests("/export").targets == (Target("GET", "/export"),)


def test_targets_take_turns() -> None:
    work = Requests("GET /a", "post /b", data=b"x")
    assert [str(work.target(number)) for number in range(3)] == ["GET /a", "POST /b", "GET /a"]


def test_a_json_body_gets_its_content_type_and_a_mapping_becomes_a_form(tmp_path: Path) -> None:
    assert Requests("POST /a", json={"n": 1}).body(0) == b'{"n": 1}'
    assert ("Content-Type", "application/json") in Requests("POST /a", json={}).header_pairs(0, body=True)
    form = Requests("POST /a", data={"a": "b c"})
    assert form.body(0) == b"a=b+c"
    assert form.header_pairs(0, body=True) == (("Content-Type", "application/x-www-form-urlencoded"),)
    file = tmp_path / "body.bin"
    file.write_bytes(b"12345")
    assert Requests("PUT /a", data=file).body(0) == b"12345"


def test_callables_get_the_number_of_the_request() -> None:
    work = Requests(
        "POST /a", json=lambda number: {"n": number}, headers=lambda number: {"Idempotency-Key": f"k{number}"}
    )
    assert work.body(7) == b'{"n": 7}'
    assert ("Idempotency-Key", "k7") in work.header_pairs(7, body=True)


@pytest.mark.parametrize(
    ("targets", "options", "names"),
    [
        ((), {}, "at least one target"),
        (("export",), {}, "'export' is no target"),
        (("/a",), {"clients": 0}, "clients"),
        (("/a",), {"clients": 2, "hold_at_least": 3}, "hold_at_least"),
        (("/a",), {"rate": 0}, "rate"),
        (("/a",), {"disposition": FINISH}, "disposition"),
        (("/a",), {"upload_s": 1}, "upload_s"),
        (("/a",), {"release_s": "soon"}, "release_s"),
        (("/a",), {"json": 1, "data": b"1"}, "one body"),
    ],
)
def test_a_wrong_argument_is_named(targets: tuple[str, ...], options: dict[str, Any], names: str) -> None:
    with pytest.raises(UsageError, match=names):
        Requests(*targets, **options)


def test_a_header_cannot_smuggle_a_second_one() -> None:
    with pytest.raises(UsageError, match="line break"):
        Requests("/a", headers={"X": "1\r\nY: 2"}).header_pairs(0, body=False)


def test_dispositions_may_be_words() -> None:
    assert Requests("/a", disposition="reject").disposition is REJECT  # type: ignore[arg-type]
