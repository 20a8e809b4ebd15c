"""What stands where a connection does, and writes down what a wire tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio.abc import TaskGroup

from ..wire import Spawn, Wire

__all__ = ("Tap", "lend")


def lend(group: TaskGroup) -> Spawn:
    """Return what :meth:`Wire.adopt` takes: tasks of this group."""

    async def run(task: Callable[[], Awaitable[None]]) -> None:
        await task()

    def spawn(task: Callable[[], Awaitable[None]]) -> None:
        group.start_soon(run, task)

    return spawn


class Tap:
    """
    Starts a wire, writes down what it is told and checks the order of it.

    Attributes:
        received: all bytes that were fed.
        feeds: how many times.
        largest: the bytes of the largest chunk.
        ended: ``"eof"`` or the error, once it was told.
        drained: how many times.
        on_feed: called after each chunk was written down.
        on_drained: called after it was counted.

    """

    def __init__(self, wire: Wire, group: TaskGroup, *, adopt: bool = True) -> None:
        self.wire = wire
        self.received = bytearray()
        self.feeds = 0
        self.largest = 0
        self.ended: Exception | str | None = None
        self.drained = 0
        self.closed_here = False
        self.violations: list[str] = []
        self.on_feed: Callable[[], None] = lambda: None
        self.on_drained: Callable[[], None] = lambda: None
        self._inside = False
        wire.start(self._fed, self._lost, self._drained)
        if adopt:
            wire.adopt(lend(group))

    async def until(self, happened: Callable[[], bool]) -> None:
        """Pump until it has happened."""
        while not happened():
            assert self.ended is None, f"it ended before: {self.ended!r}"
            await self.wire.pump()

    async def until_ended(self) -> None:
        """Pump until the end is told."""
        await self.until_or_ended(lambda: False)

    async def until_or_ended(self, happened: Callable[[], bool]) -> None:
        """Pump until it has happened or the end is told."""
        while self.ended is None and not happened():
            await self.wire.pump()

    def _fed(self, chunk: memoryview | None) -> None:
        self._told("feed")
        if chunk is None:
            self.ended = "eof"
            return
        if not chunk:
            self.violations.append("an empty chunk")
        self.received += chunk
        self.feeds += 1
        self.largest = max(self.largest, len(chunk))
        self._inside = True
        self.on_feed()
        self._inside = False

    def _lost(self, error: Exception) -> None:
        self._told("lost")
        self.ended = error

    def _drained(self) -> None:
        if self.closed_here:
            self.violations.append("drained after the end")
        self.drained += 1
        self.on_drained()

    def _told(self, what: str) -> None:
        if self._inside:
            self.violations.append(f"{what} within feed")
        if self.closed_here:
            self.violations.append(f"{what} after the end was made here")
        if self.ended is not None:
            self.violations.append(f"{what} after {self.ended!r}")
