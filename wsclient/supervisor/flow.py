"""How fast things may go: turns, pauses, and the bytes of all queues together."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import inf
from typing import Protocol

import anyio

from ..tasks import Checkpoint, checkpoint_here
from .wake import Wake, waker_here

__all__ = ("Bounds", "Flow", "Overflow", "Pace", "Reading")

TURNS = 32  # calls that need not wait between two checkpoints


def _nothing() -> None:
    """Do nothing: whoever holds without end is not told of one."""


class Overflow(StrEnum):
    """What becomes of a full queue."""

    ERROR = "error"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    PAUSE = "pause"


class Taker(Protocol):
    """A queue that may be granted calls."""

    def settle(self, granted: int, now: float | None) -> int:
        """Count what was taken of so many; return how many were not."""
        ...


class Pace:
    """
    Counts the calls that did not wait, sends and receives together.

    ``left`` is how many more may do so before one has to be a checkpoint. While
    ``guarded`` there is none left, so that every call takes the way that checks.

    The queue that was read last, ``taker``, may be granted some of these in advance and
    counts them by itself. There is one grant at a time: of ``granted`` calls, which
    :meth:`settle` ends.

    """

    __slots__ = ("_waker", "checkpoint", "granted", "guarded", "left", "taker")

    def __init__(self) -> None:
        self.checkpoint: Checkpoint = self._first_checkpoint
        """Lets the others run; who has awaited it tells it by :meth:`waited`."""
        self._waker: Callable[[], Wake] | None = None
        self.taker: Taker | None = None
        self.granted = 0
        self.left = TURNS
        self.guarded = False

    def guard(self, on: bool) -> None:
        """Send every call the way that checks, or no longer."""
        self.guarded = on
        self.waited()

    def waited(self) -> None:
        """A call has let the others run."""
        if self.granted:
            self.settle()
        self.left = 0 if self.guarded else TURNS

    def wake(self) -> Wake:
        """Make what wakes a call that has to wait."""
        if self._waker is None:
            self._waker = waker_here()
        return self._waker()

    def due(self) -> bool:
        """Count a call that does not wait; return whether it must be a checkpoint."""
        if not self.left and self.granted:
            self.settle()
        if self.left:
            self.left -= 1
            return False
        return True

    async def breathe(self) -> None:
        """Be one of the calls that did not wait: let the others run if it is time."""
        if self.due():
            await self.checkpoint()
            self.waited()

    async def _first_checkpoint(self) -> None:
        self.checkpoint = checkpoint_here()
        await self.checkpoint()

    def grant(self, most: int) -> int:
        """Let the taker count the next calls, so many at most; return how many."""
        self.granted = granted = min(most, self.left)
        self.left -= granted
        return granted

    def settle(self, now: float | None = None) -> None:
        """Have back what was granted and is not used."""
        granted, self.granted = self.granted, 0
        if granted:
            assert self.taker is not None
            self.left += self.taker.settle(granted, now)


class Flow:
    """
    What flows in from one connection.

    Behind its fence nothing counts any more, whoever may still call the sink.
    ``message_at`` is kept only where somebody asks for it.

    """

    __slots__ = ("fenced", "message_at", "received")

    def __init__(self, now: float) -> None:
        self.fenced = False
        self.received = 0
        self.message_at = now


class Reading:
    """
    Who keeps us from reading, and how long reading has stood still.

    ``clock`` turns anyio's time into one that stands still while paused; the deadlines
    that count what arrives are kept on it.

    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._still = 0.0
        self._holders: dict[str, tuple[float, Callable[[], None]]] = {}
        self.since: float | None = None
        self.generation = 0  # the one that is read

    @property
    def holders(self) -> tuple[str, ...]:
        """The queues that are full, by name."""
        return tuple(self._holders)

    def hold(
        self,
        name: str,
        now: float,
        *,
        until: float = inf,
        expired: Callable[[], None] = _nothing,
    ) -> None:
        """Pause reading, ``until`` then at most; times are on anyio's clock."""
        self._holders[name] = until, expired
        if self.since is None:
            self.since = now
            self._changed()

    def release(self, name: str, now: float) -> None:
        """Read again, unless somebody else is holding."""
        self._holders.pop(name, None)
        if not self._holders and self.since is not None:
            self._still += max(0.0, now - self.since)
            self.since = None
            self._changed()

    def expire(self, now: float) -> float:
        """Release who has held long enough; return when to look again."""
        for name, (until, expired) in list(self._holders.items()):
            if until <= now:
                expired()
                self.release(name, now)
        return min((until for until, _ in self._holders.values()), default=inf)

    def clock(self, now: float) -> float:
        """Return the time without the time that reading stood still."""
        return (now if self.since is None else min(now, self.since)) - self._still

    def due(self, moment: float) -> float:
        """Return when :meth:`clock` shows a moment if reading goes on, anyio's time."""
        return moment + self._still


class Bounds:
    """The bytes in all queues of one client, bounded together."""

    __slots__ = ("_name", "_reading", "low", "max", "total")

    def __init__(self, max_bytes: int, reading: Reading) -> None:
        self.max = max_bytes
        self.low = max_bytes // 2  # reading goes on when no more are unread
        self._name = f"all queues of the client ({max_bytes} bytes)"
        self._reading = reading
        self.total = 0

    def add(self, size: int, now: float) -> None:
        """Count what arrived."""
        self.total += size
        if self.total >= self.max:
            self._reading.hold(self._name, now)

    def take(self, size: int, now: float | None) -> None:
        """Count what was read, or dropped at ``now``."""
        before = self.total
        self.total = before - size
        if before > self.low >= self.total:
            when = anyio.current_time() if now is None else now
            self._reading.release(self._name, when)
