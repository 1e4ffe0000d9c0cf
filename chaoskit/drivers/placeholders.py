"""Turns a `Command` into a `Launch`: words filled in, references replaced, files written, the program found."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from chaoskit.address import Address
from chaoskit.drivers import ports
from chaoskit.drivers.base import Launch
from chaoskit.drivers.command import Command
from chaoskit.errors import LaunchError, StorageError, UsageError, near

OWN_WORDS = ("port", "host", "dir", "python", "sink")
_WORD = re.compile(r"\{\{(?P<literal>[A-Za-z_][\w.-]*)\}\}|(?<!\$)\{(?P<word>[A-Za-z_][\w.-]*)\}")
_OF_NAME = re.compile(r"(?P<name>[A-Za-z_][\w-]*)\.(?:port|host)")
BUILT_IN = ("cd", "exec", "source", ".", "export", "eval", "if", "for", "while", "set", "trap", "ulimit", "(", "{")
SLUG_LETTERS = 80  # of a folder's name; file systems allow 255 bytes
_TOKEN = re.compile(r"http://[\w-]+-[0-9a-f]{12}\.invalid")


def resolve(  # noqa: PLR0913 - everything that may fill a word, each by name
    command: Command,
    *,
    name: str,
    root: Path,
    run_dir: Path,
    addresses: Mapping[str, str],
    words: Mapping[str, str],
    extra_env: Mapping[str, str],
    host: str = "127.0.0.1",
    reserved: int | None = None,
) -> Launch:
    """Everything about one start of `command`, resolved; `reserved` is the port that others were told already.

    Raises:
        UsageError: a placeholder that nobody fills, a reference to something that does not run, a folder that is not there.
        LaunchError: the program was not found.
    """
    folder = _folder(run_dir, name)
    picked = None
    if command.port is None and needs_port(command, root):
        picked = ports.pick(host) if reserved is None else reserved
    try:
        return _resolve(command, name, root, folder, picked, host, addresses, words, extra_env)
    except BaseException:
        if picked is not None:
            ports.release(picked)
        raise


def _resolve(  # noqa: PLR0913, PLR0917 - as `resolve`, called from there alone
    command: Command,
    name: str,
    root: Path,
    folder: Path,
    picked: int | None,
    host: str,
    addresses: Mapping[str, str],
    words: Mapping[str, str],
    extra_env: Mapping[str, str],
) -> Launch:
    port = command.port if command.port is not None else picked
    known = {**words, "host": host, "dir": str(folder), "python": sys.executable}
    if port is not None:
        known["port"] = str(port)
    fill = _Filler(name, known, addresses)
    _write_files(command, fill, folder, root)
    argv = tuple(fill(word, "its command") for word in command.argv)
    cwd = root / command.cwd if command.cwd is not None else root
    if not cwd.is_dir():
        raise UsageError(f"'{name}': its working directory '{cwd}' is not there (cwd={str(command.cwd)!r})")
    env = _environment(command, fill, name, known, extra_env)
    program = find_program(name, argv[0], cwd, env.get("PATH", ""))
    return Launch(
        name=name,
        argv=(program, *argv[1:]),
        env=env,
        cwd=cwd,
        dir=folder,
        log=folder / "output.log",
        host=host,
        port=port,
    )


def needs_port(command: Command, root: Path | None = None) -> bool:
    """Whether anything of the command asks for `{port}`; relative files are looked up in `root`."""
    return any(match["word"] == "port" for text in _texts(command, root) for match in _WORD.finditer(text))


def foreign(command: Command, root: Path | None = None) -> tuple[set[str], set[str]]:
    """The names in `{NAME.port}` and `{NAME.host}`, and the tokens of references, that the command holds."""
    names, tokens = set(), set()
    for text in _texts(command, root):
        names |= {word["name"] for match in _WORD.finditer(text) if (word := _OF_NAME.fullmatch(match["word"] or ""))}
        tokens |= set(_TOKEN.findall(text))
    return names, tokens


def mentions(command: Command, address: Address, root: Path | None = None) -> bool:
    """Whether the command, its environment or files hold this reference, or `{sink}`."""
    return any(address.token in text or "{sink}" in text for text in _texts(command, root))


def _texts(command: Command, root: Path | None) -> Iterator[str]:
    yield from command.argv
    yield from (str(value) for value in (command.env or {}).values())
    for content in (command.files or {}).values():
        if isinstance(content, str):
            yield content
        else:
            with contextlib.suppress(OSError, UnicodeDecodeError):  # `_write_files` words it
                yield ((root or Path.cwd()) / content).read_text()


class _Filler:
    """Fills one text after the other with the same words."""

    def __init__(self, name: str, words: Mapping[str, str], addresses: Mapping[str, str]) -> None:
        self._name = name
        self._words = words
        self._addresses = addresses

    def __call__(self, text: str, where: str) -> str:
        def word(match: re.Match[str]) -> str:
            if match["literal"] is not None:
                return f"{{{match['literal']}}}" if self._near(match["literal"]) else match[0]
            return self._word(match["word"], match[0], where)

        return _TOKEN.sub(lambda match: self._address(match[0], where), _WORD.sub(word, text))

    def _word(self, word: str, whole: str, where: str) -> str:
        if word in self._words:
            return self._words[word]
        if word == "sink":
            raise UsageError(f"'{self._name}': {where} asks for {{sink}}, but no sink server runs here")
        if word == "port":
            raise UsageError(f"'{self._name}': {where} asks for {{port}}, but it was given none")
        hint = self._near(word)
        if hint:
            raise UsageError(
                f"'{self._name}': {where} has the unknown placeholder {whole}{hint}; {{{whole}}} is a literal {whole}"
            )
        return whole

    def _near(self, word: str) -> str:
        return near(word.lower(), {*self._words, *OWN_WORDS})

    def _address(self, token: str, where: str) -> str:
        if token not in self._addresses:
            raise UsageError(
                f"'{self._name}': {where} refers to a system that does not run ({token}): start it first with chaos.launch(...)"
            )
        return self._addresses[token]


def find_program(name: str, program: str, cwd: Path, path: str) -> str:
    """The program's file: as a path, beside this Python, or in PATH.

    Raises:
        LaunchError: it is nowhere, or not executable.
    """
    if os.sep in program:
        found = Path(program) if Path(program).is_absolute() else cwd / program
        if not found.is_file():
            raise LaunchError(f"'{name}' could not be started: there is no file '{found}'")
        if not os.access(found, os.X_OK):
            raise LaunchError(
                f"'{name}' could not be started: '{found}' is not executable (chmod +x, or name its interpreter)"
            )
        return str(found)
    beside = Path(sys.executable).parent
    found_at = shutil.which(program, path=os.pathsep.join(filter(None, (str(beside), path))))
    if found_at is None:
        raise LaunchError(
            f"'{name}' could not be started: command '{program}' was not found beside '{sys.executable}' nor in PATH. "
            f"{_advice(program)}"
        )
    return str(Path(found_at).absolute())


def _advice(program: str) -> str:
    if re.match(r"[A-Za-z_]\w*=", program):
        return "A variable is set with env={...} (command line: --env NAME=VALUE)"
    if program in BUILT_IN:
        return (
            f"'{program}' is a shell's own word, and no shell runs the command: use cwd= and env=, or write sh -c '...'"
        )
    return "Install it into this environment, or give its full path"


def _environment(
    command: Command, fill: _Filler, name: str, known: Mapping[str, str], extra: Mapping[str, str]
) -> dict[str, str]:
    env = dict(os.environ)
    env.setdefault("PYTHONUNBUFFERED", "1")  # a log line must reach the log when it is written
    env["CHAOSKIT_INSTANCE"] = name
    if "sink" in known:
        env["CHAOSKIT_SINK"] = known["sink"]
    env.update(extra)
    for key, value in (command.env or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = fill(str(value), f"its environment variable {key}")
    return env


def _folder(run_dir: Path, name: str) -> Path:
    slug = re.sub(r"[^\w.-]+", "-", name)[:SLUG_LETTERS].strip(".-") or "system"
    for number in range(1, 1000):
        folder = run_dir / (slug if number == 1 else f"{slug}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StorageError(f"the folder '{folder}' could not be made: {error.strerror}") from error
        return folder.absolute()
    raise StorageError(f"no free folder for '{name}' in '{run_dir}'")


def _write_files(command: Command, fill: _Filler, folder: Path, root: Path) -> None:
    for relative, content in (command.files or {}).items():
        target = (folder / relative).resolve()
        if not target.is_relative_to(folder):
            raise UsageError(f"files={{'{relative}': ...}} lies outside the instance's folder: give a relative name")
        try:
            raw = (root / content).read_bytes() if isinstance(content, Path) else content.encode()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_filled(raw, fill, relative))
        except OSError as error:
            raise UsageError(f"files={{'{relative}': ...}} could not be written: {error}") from error


def _filled(raw: bytes, fill: _Filler, relative: str) -> bytes:
    try:
        return fill(raw.decode(), f"its file {relative}").encode()
    except UnicodeDecodeError:  # a binary file: copied as it is
        return raw


def shown(argv: tuple[str, ...]) -> str:
    """The command as a person would type it."""
    return shlex.join(argv)
