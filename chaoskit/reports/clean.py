"""Strings that the system wrote, made safe for a terminal."""

from __future__ import annotations

import re

# CSI, OSC (ended by BEL or ST) and two-character escapes, in their 7-bit and 8-bit forms (ECMA-48).
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
# Control characters, and those that turn the direction of writing around.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def clean(text: str, most: int = 500) -> str:
    """One line without escape sequences or control characters, at most `most` characters long."""
    flat = _CONTROL.sub(lambda match: " " if match.group() in "\t\n\r" else "", _ESCAPES.sub("", text))
    return flat if len(flat) <= most else f"{flat[: most - 3]}..."


def as_ascii(text: str) -> str:
    """The same in ASCII, for streams that take nothing else."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
