"""Chance, by which tests are made to repeat themselves."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from random import SystemRandom  # noqa: TID251 - the one default for the whole house
from typing import Protocol

__all__ = ("DICE", "Dice", "bytes_of")


class Dice(Protocol):
    """As much of ``random.Random`` as is used: masking keys and jitter."""

    def randbytes(self, n: int, /) -> bytes:
        """Return ``n`` random bytes; RFC 6455, 5.3 wants strong ones for masks."""
        ...

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between ``a`` and ``b``."""
        ...


DICE: Dice = SystemRandom()


def bytes_of(dice: Dice) -> Callable[[int], bytes]:
    """Return a source of bytes; the default one is shared by all connections."""
    return secrets.token_bytes if dice is DICE else dice.randbytes
