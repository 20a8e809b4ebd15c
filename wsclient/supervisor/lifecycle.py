"""The states of a client, their one table, and the values its observers receive."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import anyio
import anyio.lowlevel

from ..errors import LocalProtocolError
from .seam import Outcome

__all__ = (
    "Attempting",
    "AttemptFailed",
    "Event",
    "Events",
    "Input",
    "LifeEnded",
    "Proven",
    "Refused",
    "State",
    "StateChanged",
    "Stats",
    "next_state",
)


class State(StrEnum):
    """What a client is doing."""

    NEW = "NEW"
    CONNECTING = "CONNECTING"
    PREPARING = "PREPARING"
    OPEN = "OPEN"
    DOWN = "DOWN"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    FAILED = "FAILED"


class Input(StrEnum):
    """What can happen to a client."""

    ENTER = "ENTER"
    """The user enters it, or starts ``run()``."""
    DIAL = "DIAL"
    """The delay is over."""
    LINKED = "LINKED"
    """The opening handshake is done."""
    PREPARED = "PREPARED"
    """``on_connect``, hello, the registry and what was queued are done."""
    DROPPED = "DROPPED"
    """The attempt failed, or the connection ended."""
    GAVE_UP = "GAVE_UP"
    """The failure was fatal, or ``stop`` said so."""
    LEAVE = "LEAVE"
    """The user leaves, or closes it."""
    ENDED = "ENDED"
    """The loop is over and nothing is left open."""


_NEW, _CONNECTING, _PREPARING, _OPEN, _DOWN, _CLOSING, _CLOSED, _FAILED = State
_: State | None = None  # cannot happen: asking for it is an error

# What happens while we are leaving no longer matters, hence the row of CLOSING; the
# final states take what a latecomer may still report.
TABLE: dict[State, tuple[State | None, ...]] = {
    # ENTER       DIAL         LINKED      PREPARED  DROPPED   GAVE_UP   LEAVE     ENDED
    _NEW: (_CONNECTING, _, _, _, _, _, _CLOSED, _),
    _CONNECTING: (_, _, _PREPARING, _, _DOWN, _FAILED, _CLOSING, _),
    _PREPARING: (_, _, _, _OPEN, _DOWN, _FAILED, _CLOSING, _),
    _OPEN: (_, _, _, _, _DOWN, _FAILED, _CLOSING, _),
    _DOWN: (_, _CONNECTING, _, _, _, _FAILED, _CLOSING, _),
    _CLOSING: (_, _, _CLOSING, _CLOSING, _CLOSING, _CLOSING, _CLOSING, _CLOSED),
    _CLOSED: (_, _, _, _, _, _, _CLOSED, _CLOSED),
    _FAILED: (_, _, _, _, _, _, _FAILED, _FAILED),
}
TRANSITIONS: dict[tuple[State, Input], State | None] = {
    (state, what): after
    for state, row in TABLE.items()
    for what, after in zip(Input, row, strict=True)
}

FINAL = frozenset({State.CLOSED, State.FAILED})


def next_state(state: State, what: Input) -> State:
    """
    Look up where an input leads.

    Raises:
        LocalProtocolError: it cannot happen in this state.

    """
    after = TRANSITIONS[state, what]
    if after is None:
        remedy = (
            ": a client is used once, make a new one" if what is Input.ENTER else ""
        )
        raise LocalProtocolError(f"{what} cannot happen in state {state}{remedy}")
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """The client went from one state to another."""

    time: float
    generation: int
    before: State
    after: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempting:
    """An attempt begins; ``number`` counts since the last proof of life."""

    time: float
    generation: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """No connection came about, or it could not be prepared; None: no more tries."""

    time: float
    generation: int
    number: int
    outcome: Outcome
    delay: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeEnded:
    """A connection ended; the next attempt follows after ``delay`` seconds, if any."""

    time: float
    generation: int
    number: int
    outcome: Outcome
    delay: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """This connection gave proof of life: attempts count from one again."""

    time: float
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """
    The server refuses what has worked before; somebody should look.

    It is tried again, with a floor under the delay, because it has worked.

    """

    time: float
    generation: int
    outcome: Outcome
    why: str


Event = StateChanged | Attempting | AttemptFailed | LifeEnded | Proven | Refused
"""What :meth:`events` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """
    A snapshot of a client.

    ``proven``: this connection gave proof of life. ``attempts`` since the last proof.
    ``received`` messages and ``sent`` ones of all generations. ``waiting`` and
    ``queued`` sends. ``unrouted``: messages of the client's queue that went unread,
    ``skipped``: those that decode or route raised on. ``paused``: the queues that
    keep us from reading. ``latency`` in seconds.

    """

    state: State
    generation: int
    proven: bool
    attempts: int
    received: int
    sent: int
    waiting: int
    queued: int
    unrouted: int
    skipped: int
    subscriptions: int
    paused: tuple[str, ...]
    latency: float | None


class Events:
    """
    One observer's view: the latest values, the oldest lost when it reads too slowly.

    ``lost`` counts those. Iterate it in one task; it ends with the client.

    """

    __slots__ = ("__weakref__", "_over", "_values", "_wake", "lost")

    def __init__(self, bound: int) -> None:
        self._values: deque[Event] = deque(maxlen=bound)
        self._over = False
        self._wake: anyio.Event | None = None
        self.lost = 0

    def put(self, value: Event) -> None:
        """Add the latest."""
        if len(self._values) == self._values.maxlen:
            self.lost += 1
        self._values.append(value)
        self._ring()

    def finish(self) -> None:
        """Nothing comes after what is there."""
        self._over = True
        self._ring()

    def _ring(self) -> None:
        if self._wake is not None:
            self._wake.set()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        """Return the next value; cancelling loses nothing."""
        await anyio.lowlevel.checkpoint()
        while not self._values:
            if self._over:
                raise StopAsyncIteration
            self._wake = anyio.Event()
            try:
                await self._wake.wait()
            finally:
                self._wake = None
        return self._values.popleft()
