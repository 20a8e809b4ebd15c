"""Whose turn it is to read the wire, and how often one lets others run."""

from __future__ import annotations

import anyio

from .life import BREATH, Life

__all__ = ("Reading",)


class Reading(Life):
    """The part of a connection that moves what comes in, for whoever waits for it."""

    __slots__ = ()

    async def _breathe(self) -> None:
        """Be a checkpoint at least every 32nd time (trio's and anyio's rule)."""
        if self._granted:
            self._granted -= 1
            return
        self._calls += 1
        if self._calls >= BREATH:
            self._calls = 0
            await self._checkpoint()

    async def _pump(self) -> None:
        """Take the reading turn for one feed, or wait until who has it is fed."""
        if (
            self._failing is not None
            and not (self._queue or self._parts)
            and self._fail()
        ):
            return  # all that came before has been answered
        if self._reading:
            self._wanted = True
            if self._fed is None:
                self._fed = anyio.Event()
            await self._fed.wait()
            return
        self._reads += 1
        if not self._reads % BREATH and self._wire.pulled:
            await self._checkpoint()  # it need not wait to read
            return  # what came meanwhile is not to be waited for
        self._reading = True
        try:
            await self._wire.pump()
        finally:
            self._reading = False
            if self._fed is not None:
                self._wake_readers()  # let another take the turn
            if self._standing is not None:
                self._nudge()

    def _read_now(self, limit: int) -> None:
        """Read what is readable; who pumps a pulled wire does so by himself."""
        if not (self._reading and self._wire.pulled):
            self._wire.drain(limit)
