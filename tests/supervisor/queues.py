"""A bounded queue with everything that it needs around it, for its tests."""

from __future__ import annotations

from typing import Any

from wsclient.errors import Reason
from wsclient.supervisor.flow import Bounds, Overflow, Pace, Reading
from wsclient.supervisor.inbox import Inbox
from wsclient.supervisor.seam import Gap

__all__ = ("Queue", "Wire", "lost", "offline")


class Queue(Inbox[Any]):
    """An inbox with everything that it needs around it, or what another has."""

    reading: Reading
    bounds: Bounds
    pace: Pace

    def __init__(
        self,
        overflow: Overflow = Overflow.ERROR,
        max_messages: int = 4,
        max_bytes: int = 1000,
        total: int = 10_000,
        plain: bool = False,
        beside: Queue | None = None,
    ) -> None:
        self.reading = beside.reading if beside else Reading(lambda: None)
        self.reading.generation = 7
        self.bounds = beside.bounds if beside else Bounds(total, self.reading)
        self.pace = beside.pace if beside else Pace()
        super().__init__(
            "the queue",
            overflow=overflow,
            max_messages=max_messages,
            max_bytes=max_bytes,
            pace=self.pace,
            reading=self.reading,
            bounds=None if plain else self.bounds,
        )

    def unread(self) -> list[Any]:
        return [*self._items, *((gap, list(more)) for gap, more in self._later)]

    def puts(self, *items: Any, size: int = 1) -> None:
        for item in items:
            self.put([item], [size], 0.0)


class Wire:
    """As much of a link as a sink needs."""

    heard_at = 5.0


def lost(count: int | None, reason: Reason = Reason.SLOW_CONSUMER) -> Gap:
    return Gap(generation=7, reason=reason, lost=count)


def offline(generation: int, seconds: float = 1.0) -> Gap:
    return Gap(generation=generation, reason=Reason.EOF, offline_for=seconds)
