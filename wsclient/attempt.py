"""What is known of an attempt to connect, before it and after: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import Initiator, Phase, Reason

__all__ = ("Attempt", "Kind", "Outcome")


class Kind(StrEnum):
    """What sort of end an outcome tells of."""

    ATTEMPT = "attempt"
    """No connection came about: provider, DNS, TCP, TLS or upgrade."""
    PREPARE = "prepare"
    """``on_connect`` or the subprotocol's hello failed."""
    LIFE = "life"
    """A connection ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How an attempt or a life ended: all that classification may look at.

    ``status`` is the HTTP status of a rejection, ``code`` the close code, sent by
    ``initiator``. ``proven``: this life gave proof of life; ``worked``: some life of
    this client did. ``retry_after`` is the server's wish in seconds.
    ``refused_401_in_a_row`` counts this one. ``error`` is the exception.

    """

    kind: Kind
    reason: Reason
    phase: Phase
    initiator: Initiator = Initiator.NOBODY
    status: int | None = None
    code: int | None = None
    proven: bool = False
    worked: bool = False
    retry_after: float | None = None
    has_provider: bool = False
    refused_401_in_a_row: int = 0
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    What a provider is told: for which attempt it is asked, and by when.

    ``number`` counts from 1 since the last proof of life, ``generation`` is the
    number the connection will bear, ``deadline`` is on anyio's clock,
    ``last_outcome`` how the last attempt or life ended.

    """

    generation: int
    number: int
    last_outcome: Outcome | None
    deadline: float
