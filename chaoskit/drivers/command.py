"""`Command`: a system as a value. Making one starts nothing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaoskit.address import Address
from chaoskit.errors import UsageError

Ready = str | Callable[[str], bool] | None


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """A program that is run as it stands, without a shell, in a session of its own.

    See `docs/tests.md` for every argument. `str(command)` and `command / "path"` are references that other systems'
    environments, commands and files may hold; they become an address that the reader can reach.

    Raises:
        UsageError: what was given is no command.
    """

    command: str | Sequence[str]
    name: str | None = None
    ready: Ready = "tcp"
    warm_up_s: float = 0
    env: Mapping[str, Any] | None = None
    cwd: str | Path | None = None
    files: Mapping[str, str | Path] | None = None
    port: int | None = None
    image: str | None = None
    address: Address = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be started as a process of its own."""
        refuse_in_process(self.command)
        if not self.argv:
            raise UsageError("Command: the command is empty; expected a program and its arguments")
        if isinstance(self.ready, str) and not self._known_ready(self.ready):
            raise UsageError(
                f"Command: ready={self.ready!r}; expected a path such as '/healthz', 'tcp', 'log:TEXT', a callable or None"
            )
        if self.port is not None and not 0 < self.port < 65536:  # noqa: PLR2004 - TCP ports
            raise UsageError(f"Command: port is {self.port}; expected 1 to 65535")
        if self.warm_up_s < 0:
            raise UsageError(f"Command: warm_up_s is {self.warm_up_s}; expected seconds >= 0")
        object.__setattr__(self, "address", Address.new(self.name or self.program))

    @staticmethod
    def _known_ready(ready: str) -> bool:
        return ready == "tcp" or ready.startswith("/") or (ready.startswith("log:") and len(ready) > len("log:"))

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of the command, placeholders still in them."""
        if not isinstance(self.command, str):
            return tuple(str(word) for word in self.command)
        try:
            return tuple(shlex.split(self.command))
        except ValueError as error:
            raise UsageError(f"Command: {self.command!r} cannot be split into words: {error}") from error

    @property
    def program(self) -> str:
        """A name for people: the program, for Python its module or script."""
        words = [Path(word).name for word in self.argv]
        first = words[0]
        if first in ("{python}", "python", "python3") and len(words) > 1:
            if words[1] == "-m" and len(words) > 2:  # noqa: PLR2004
                return words[2]
            script = next((word for word in words[1:] if not word.startswith("-")), "python")
            return "python" if "-c" in words[1:] else script.removesuffix(".py")
        return first.removesuffix(".py")

    def __str__(self) -> str:
        return str(self.address)

    def __truediv__(self, more: str) -> Address:
        return self.address / more


def refuse_in_process(given: object) -> None:
    """A system is another process: an app object, a test client or a live server cannot be struck.

    Raises:
        UsageError: with the `Command` line to write instead.
    """
    if isinstance(given, Command | str) or (
        isinstance(given, Sequence)
        and not isinstance(given, bytes)
        and all(isinstance(word, str | Path) for word in given)
    ):
        return
    kind = type(given)
    where = f"{kind.__module__}.{kind.__qualname__}"
    app = getattr(given, "app", None) if "client" in where.lower() else None
    named = getattr(app if app is not None else given, "import_name", None) or "your_module"
    if callable(given) or app is not None or hasattr(given, "url") or hasattr(given, "wsgi_app"):
        raise UsageError(
            f"a {where} lives in this very process, which a SIGTERM would end: the system under test is another process. "
            f"Write for example Command('uvicorn {named}:app --host {{host}} --port {{port}}') or "
            f"Command('gunicorn {named}:app --bind {{host}}:{{port}}')"
        )
    raise UsageError(f"a {where} is no system: expected Command('program --port {{port}}')")
