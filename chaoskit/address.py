"""A reference to something whose address is not known yet: it is replaced by one that the reader can reach."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Stands in environments, commands and files for a URL; `/` adds to its path, as with `pathlib`."""

    token: str  # http://NAME-<12 hex digits>.invalid: a host that can never resolve (RFC 2606)
    path: str = ""

    @classmethod
    def new(cls, name: str) -> Address:
        """A fresh reference; `name` is for people who read it."""
        kept = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-") or "system"
        return cls(f"http://{kept[:30]}-{os.urandom(6).hex()}.invalid")

    def __truediv__(self, more: str) -> Address:
        return Address(self.token, f"{self.path.rstrip('/')}/{more.lstrip('/')}")

    def __str__(self) -> str:
        return f"{self.token}{self.path}"
