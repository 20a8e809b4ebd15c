"""A send that cannot leave at once: whether it waits, and how it is told the end."""

from __future__ import annotations

from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ConnectionClosed, ConnectionLost, MaybeSent, NotSent
from .flow import Pace
from .guard import Guard
from .loop import Loop
from .outbox import (
    DROPPED,
    SENT,
    Entry,
    Fate,
    Outbox,
    Receipt,
    WhenDown,
    maybe_sent,
    not_sent,
)
from .seam import Data, Link

__all__ = ("Sender",)

T = TypeVar("T")


class Sender(Generic[T]):
    """Does what ``when_down`` says."""

    def __init__(self, loop: Loop[T], outbox: Outbox, guard: Guard, pace: Pace) -> None:
        self._loop = loop
        self._outbox = outbox
        self._guard = guard
        self._pace = pace

    async def send_later(
        self, data: Data, item: object, policy: WhenDown, compress: bool | None = None
    ) -> Receipt:
        """Send what found no open connection, others ahead of it, or no room."""
        self._guard.check_entered("send")
        await anyio.lowlevel.checkpoint()
        loop, outbox = self._loop, self._outbox
        if loop.over_or_leaving:
            raise not_sent(item, loop.down())
        if policy is WhenDown.QUEUE:
            outbox.check_room(data, item)
            receipt = Receipt(Fate.QUEUED)
            outbox.add(Entry(data, item, policy, receipt=receipt, compress=compress))
            outbox.ring()
            return receipt
        if loop.link is None and policy is WhenDown.RAISE:
            raise not_sent(item, loop.down())
        if loop.link is None and policy is WhenDown.DROP:
            return DROPPED
        wake = anyio.Event()
        entry = Entry(data, item, policy, wake=wake, compress=compress)
        outbox.add(entry)
        outbox.ring()
        try:
            await wake.wait()
        finally:
            outbox.withdraw(entry)
        if entry.error is not None:
            if policy is WhenDown.DROP and not loop.over_or_leaving:
                return DROPPED
            raise entry.error
        assert entry.link is not None
        return SENT if entry.flushed else await self._flush(entry.link, item)

    async def send_many(
        self,
        data: list[Data],
        items: list[T],
        policy: WhenDown,
        compress: bool | None = None,
    ) -> None:
        """Send as many at a time as there is room for; where one has to wait, it."""
        loop, outbox = self._loop, self._outbox
        while data:
            link = loop.link
            try:
                if link is None or not outbox.idle or not link.ready:
                    await self.send_later(data[0], items[0], policy, compress)
                    count = 1
                else:
                    count, taken = link.commit_many(data, compress)
                    outbox.sent += count
                    if not taken:
                        await self._flush(link, items)
                    await self._pace.breathe()
            except (NotSent, MaybeSent) as error:
                error.message = items
                raise
            del data[:count], items[:count]

    async def leaving(self, link: Link, item: object, policy: WhenDown) -> Receipt:
        """Follow what was committed until the kernel has it."""
        if policy is WhenDown.QUEUE:
            receipt = Receipt(Fate.QUEUED)
            self._outbox.committed(receipt, item, False)
            return receipt
        return await self._flush(link, item)

    async def _flush(self, link: Link, item: object) -> Receipt:
        try:
            await link.flush()
        except (ConnectionClosed, ConnectionLost) as exc:
            raise maybe_sent(item, exc) from exc
        return SENT
