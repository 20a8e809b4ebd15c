"""Reading what has arrived, one item or many at a time, with or without the gaps."""

from __future__ import annotations

from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ConcurrencyError, ReceiveTimeout, whole_number
from .backlog import Backlog
from .checks import check_timeout
from .seam import Gap

__all__ = ("Inbox", "WithGaps")

T = TypeVar("T")


class Inbox(Backlog[T]):
    """
    One bounded queue, with one reader.

    Iterate it, or call :meth:`recv`; cancelling either loses nothing.

    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Inbox of {self.name}: {self.count()} unread>"

    def __aiter__(self) -> Inbox[T]:
        return self

    async def __anext__(self) -> T:
        """Return the next item; cancelling loses nothing."""
        if self._granted:
            self._granted -= 1
            return self._items.popleft()
        pace = self._pace
        if len(self._items) > self._floor and pace.left:
            pace.left -= 1
            return self._take()
        return await self._next(ends=True)

    async def receive(self) -> T:
        """Return the next item, as anyio's object streams do; see :meth:`recv`."""
        return await self.recv()

    async def recv(self, timeout: float | None = None) -> T:
        """
        Return the next item, waiting at most ``timeout`` seconds for it.

        Cancelling it or letting it time out loses nothing.

        Raises:
            ReceiveTimeout: none came in time; nothing has ended.
            ConnectionClosed: it has ended, and all that was queued has been read.
            GaveUp: the client has stopped trying, likewise.
            SubscriptionOverflow: this queue was full, likewise.
            ConcurrencyError: another task is receiving here.

        """
        if timeout is None:
            if self._granted:
                self._granted -= 1
                return self._items.popleft()
            pace = self._pace
            if len(self._items) > self._floor and pace.left:
                pace.left -= 1
                return self._take()
            return await self._next(ends=False)
        seconds = check_timeout("timeout", timeout)
        await self._turn()
        with anyio.move_on_after(seconds):
            return await self._wait(ends=False)
        raise ReceiveTimeout(f"no message within {timeout} s; nothing is lost")

    async def recv_many(
        self, max_messages: int | None = None, timeout: float | None = None
    ) -> list[T]:
        """
        Return all that is queued, in order; wait while there is nothing.

        It is at least one item, ``max_messages`` at most, and nothing from behind a
        gap that comes after the first. Cancelling it or letting it time out loses
        nothing.

        Raises:
            ArgumentError: ``max_messages`` is less than 1.
            ReceiveTimeout, ConnectionClosed, GaveUp, SubscriptionOverflow,
                ConcurrencyError: as :meth:`recv`.

        """
        if max_messages is not None:
            whole_number("max_messages", max_messages)
        first = await self.recv(timeout)
        self._pace.settle()
        items = self._items
        if max_messages is None or max_messages > len(items):
            more = [*items]
            items.clear()
        else:
            more = [items.popleft() for _ in range(max_messages - 1)]
        sizes = self._sizes
        self._took(0 if sizes is None else sum([sizes.popleft() for _ in more]))
        return [first, *more]

    def with_gaps(self) -> WithGaps[T]:
        """Iterate items and :class:`Gap` markers, in order."""
        return WithGaps(self)

    async def _next(self, *, ends: bool) -> T:
        await self._turn()
        return self._take() if self._items else await self._wait(ends=ends)

    async def _next_or_gap(self) -> T | Gap:
        if self._granted:
            self._granted -= 1
            return self._items.popleft()
        await self._turn()
        await self._something(ends=True)
        return self._take() if self._items else self._to_next_gap()

    async def _turn(self) -> None:
        """Be a checkpoint if it is time for one; raise if receiving is not allowed."""
        self.check()
        pace = self._pace
        if (self._items or self._later) and pace.due():
            self._at_hand = True
            try:
                await pace.checkpoint()
            finally:
                self._at_hand = False
            pace.waited()

    async def _wait(self, *, ends: bool) -> T:
        while True:
            await self._something(ends=ends)
            if self._items:
                return self._take()
            self._to_next_gap()

    async def _something(self, *, ends: bool) -> None:
        """Wait until there is an item or a gap; raise the end if that is next."""
        while not self._items and not self._later:
            if self._end is not None:
                await anyio.lowlevel.checkpoint()
                if ends and self._quiet:
                    raise StopAsyncIteration
                raise self._end()
            if self._waiting is not None:
                raise ConcurrencyError(
                    f"another task is receiving from {self.name}; "
                    "give each task a subscription or a queue of its own"
                )
            self._waiting = self._pace.wake()
            try:
                await self._waiting.wait()
            finally:
                self._waiting = None
            self._pace.waited()

    def _take(self) -> T:
        """Take what is there; who does so again and again is granted what follows."""
        pace = self._pace
        again = pace.taker is self
        if pace.granted:
            pace.settle()
        item = self._items.popleft()
        sizes, bounds = self._sizes, self._all
        if sizes is None or bounds is None:
            if self._held:
                self._took(0)
        elif self._held or bounds.total > bounds.low:
            self._took(sizes.popleft())
        else:  # nobody waits for it to become less
            size = sizes.popleft()
            self._bytes -= size
            bounds.total -= size
        if not again:
            pace.taker = self
        elif self._sizes is None or self._reading.since is None:
            some = len(self._items) - self._floor
            if some > 0:
                self._granted = pace.grant(some)
        return item


class WithGaps(Generic[T]):
    """Iterates the items of a queue and the gaps between them."""

    __slots__ = ("_inbox",)

    def __init__(self, inbox: Inbox[T]) -> None:
        self._inbox = inbox

    def __aiter__(self) -> WithGaps[T]:
        return self

    async def __anext__(self) -> T | Gap:
        """Return the next item or gap; cancelling loses nothing."""
        return await self._inbox._next_or_gap()
