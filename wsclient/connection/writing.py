"""Bytes out: what is committed leaves in order, and what the kernel has is known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import anyio

from ..tasks import current_task_here
from ..wire import Wire
from .slots import Slots
from .watch import Watch

__all__ = ("ROOM", "Writing")

ROOM = 1 << 16  # unsent bytes up to which another message may be committed


class Writing(Slots):
    """
    The part of a connection that writes to its wire.

    Who sends alone writes at once. What several tasks commit in one turn of the event
    loop leaves together at its end: that is cheaper for them than a system call each,
    and for the peer than as many packets. Pulled wires know no turns.

    """

    __slots__ = ()

    def __init__(self, wire: Wire, watch: Watch) -> None:
        self._wire = wire
        self._time = wire.time
        self._watch = watch
        self._over = False  # nothing is written any more
        # Bytes that did not leave at once, and those of them the kernel has by now.
        self._written = 0
        self._taken = 0
        self._blocked = False
        self._unsent = 0
        self._progress = 0
        self._emptied: anyio.Event | None = None
        # What waits for the end of this turn, and the task that began it.
        self._together: list[bytes] | None = None
        self._current: Callable[[], object] | None = None
        self._sender: object = None
        if not wire.pulled:
            self._current = current_task_here()
            self._sender = self._current()

    def _write(self, data: bytes) -> bool:
        """Commit bytes to the wire; return whether the kernel has it all."""
        blocked = self._blocked
        if blocked:
            self._look_at_progress()
        together = self._together
        if together is not None:
            self._together = None
            self._written += len(data)
            data = b"".join([*together, data])
        if self._wire.write(data):
            if blocked or together is not None:
                self._taken = self._written
            if together is not None:
                self._wake_senders()
            return True
        if together is None:
            self._written += len(data)
        self._blocked = True
        self._unsent = self._wire.buffered
        self._watch.stalled(self._time(), self._progress)
        self._arm()
        return False

    def _write_together(self, data: bytes) -> bool:
        """Commit what leaves at the end of this turn; return as :meth:`_write`."""
        if self._blocked or self._written - self._taken + len(data) >= ROOM:
            return self._write(data)
        self._written += len(data)
        if self._together is None:
            assert self._current is not None
            self._sender = self._current()
            self._together = [data]
            self._wire.call_at(self._time(), self._end_turn)
        else:
            self._together.append(data)
        return False

    def _end_turn(self) -> None:
        """Write what several tasks have committed, if nothing else has meanwhile."""
        if self._together is not None and not self._over:
            self._write(b"")

    def _look_at_progress(self) -> None:
        """See whether the kernel took some; what TLS adds to our bytes is unknown."""
        unsent = self._wire.buffered
        if unsent < self._unsent:
            self._progress += 1
        self._unsent = unsent
        self._watch.stalled(self._time(), self._progress)

    def _wake_senders(self) -> None:
        if self._emptied is not None:
            self._emptied.set()
            self._emptied = None

    async def _until_emptied(self) -> None:
        """Wait until the kernel has everything, or nothing can be sent any more."""
        if self._emptied is None:
            self._emptied = anyio.Event()
        await self._emptied.wait()

    @property
    def _room(self) -> bool:
        return not self._blocked or self._wire.buffered < ROOM

    @abstractmethod
    def _arm(self) -> None:
        """See to it that what the watch finds due is done then."""
