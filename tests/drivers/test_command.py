"""`Command` is a value: making one starts nothing, and what is no other process is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from chaoskit.drivers.command import Command, refuse_in_process
from chaoskit.errors import UsageError


class Flask:
    """Like Flask's application: callable, with `import_name`."""

    import_name = "shop"

    def __call__(self, environ: object, start_response: object) -> object:
        raise AssertionError(environ, start_response)


class TestClient:
    """Like Starlette's: it holds the application."""

    __test__ = False

    def __init__(self) -> None:
        self.app = Flask()


class LiveServer:
    """Like pytest-django's: it has an address, in this very process."""

    url = "http://localhost:8081"


async def asgi(scope: object, receive: object, send: object) -> None:
    raise AssertionError(scope, receive, send)


@pytest.mark.parametrize(
    ("given", "module"),
    [(Flask(), "shop"), (TestClient(), "shop"), (asgi, "your_module"), (LiveServer(), "your_module")],
)
def test_what_lives_in_this_process_is_refused_with_the_line_to_write(given: Any, module: str) -> None:
    line = re.escape(f"Command('uvicorn {module}:app --host {{host}} --port {{port}}')")
    with pytest.raises(UsageError, match=line):
        Command(given)
    with pytest.raises(UsageError, match="lives in this very process"):
        refuse_in_process(given)


@pytest.mark.parametrize("given", [None, 5, b"serve", ["serve", 5]])
def test_what_is_no_command_at_all_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match=r"is no system: expected Command\('program --port \{port\}'\)"):
        Command(given)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"command": ""}, "the command is empty"),
        ({"command": []}, "the command is empty"),
        ({"command": "serve 'open"}, "cannot be split into words"),
        ({"command": "serve", "ready": "healthz"}, "expected a path such as '/healthz'"),
        ({"command": "serve", "ready": "log:"}, "expected a path"),
        ({"command": "serve", "port": 0}, "expected 1 to 65535"),
        ({"command": "serve", "port": 65536}, "expected 1 to 65535"),
        ({"command": "serve", "warm_up_s": -1}, "expected seconds >= 0"),
    ],
)
def test_a_wrong_value_is_told_when_it_is_made(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Command(**options)


def test_words_are_split_like_a_shells_and_a_list_is_taken_as_it_is() -> None:
    assert Command("serve --name 'a b' \"c\"").argv == ("serve", "--name", "a b", "c")
    assert Command(["serve", "a b", Path("x")]).argv == ("serve", "a b", "x")  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("gunicorn app:app", "gunicorn"),
        ("/usr/bin/node server.js", "node"),
        ("{python} -m celery worker", "celery"),
        ("python3 tools/serve.py --port 1", "serve"),
        ("./serve.py", "serve"),
        ("python", "python"),
    ],
)
def test_a_command_is_named_for_its_program(command: str, name: str) -> None:
    assert Command(command).program == name


def test_two_equal_commands_are_two_systems_with_references_of_their_own() -> None:
    one, two = Command("serve"), Command("serve")
    assert one != two
    assert str(one) != str(two)
    assert f"{one}" == str(one.address)
    assert str(one / "v1" / "/items") == f"{one}/v1/items"
