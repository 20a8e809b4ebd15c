"""Arguments that cannot be used fail at the call, by name, with what would do."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..errors import ArgumentError

__all__ = (
    "check_callable",
    "check_one_of",
    "check_seconds",
    "check_timeout",
)


def check_seconds(name: str, value: object) -> float:
    """Return a finite number of seconds, 0 or more."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < 0
    ):
        raise ArgumentError(
            f"{name}={value!r}: give a finite number of seconds, 0 or more"
        )
    return float(value)


def check_timeout(name: str, value: object) -> float | None:
    """Return a finite number of seconds, 0 or more, or None for no limit."""
    if value is None:
        return None
    try:
        return check_seconds(name, value)
    except ArgumentError as exc:
        raise ArgumentError(f"{exc}, or None for no limit") from None


def check_callable(name: str, value: object, *, optional: bool = False) -> None:
    """Let pass what can be called, and None where it is optional."""
    if not callable(value) and not (optional and value is None):
        raise ArgumentError(f"{name}={value!r}: give something callable")


def check_one_of(name: str, value: object, words: Iterable[str]) -> None:
    """Let pass only one of the words."""
    allowed = tuple(words)
    if value not in allowed:
        raise ArgumentError(
            f"{name}={value!r}: give one of {', '.join(map(repr, allowed))}"
        )
