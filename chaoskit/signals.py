"""Signal names as users write them."""

from __future__ import annotations

import signal

from chaoskit.errors import UsageError, near


def name_of(text: str | int) -> str:
    """`SIGTERM` for `SIGTERM`, `TERM`, `term` or 15.

    Raises:
        UsageError: no such signal here.
    """
    if isinstance(text, int) or str(text).isdigit():
        try:
            return signal.Signals(int(text)).name
        except ValueError as error:
            raise UsageError(f"{text} is no signal's number here") from error
    name = str(text).upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        raise UsageError(
            f"'{text}' is no signal{near(name, signal.Signals.__members__)}: expected a name such as SIGTERM"
        )
    return name


def number_of(text: str | int) -> int:
    """The number of a signal by name."""
    return int(signal.Signals[name_of(text)])
