"""Reading what has arrived, as users of a client and of a subscription do."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Generic, TypeVar

from .inbox import Inbox, WithGaps

__all__ = ("Reader",)

T = TypeVar("T")


class Reader(Generic[T]):
    """
    Reads one queue: iterate it, or call :meth:`recv`.

    A subscription's queue holds what is routed to it; the client's what no subscription
    takes, which without a subprotocol that routes is everything.

    """

    __slots__ = ("_inbox",)

    def __init__(self, inbox: Inbox[T]) -> None:
        self._inbox = inbox

    def __aiter__(self) -> Inbox[T]:
        return self._inbox

    def __anext__(self) -> Coroutine[object, object, T]:
        """Return the next item; cancelling loses nothing."""
        return self._inbox.__anext__()

    def receive(self) -> Coroutine[object, object, T]:
        """Return the next item, as anyio's object streams do; see :meth:`recv`."""
        return self._inbox.receive()

    async def recv(self, timeout: float | None = None) -> T:
        """
        Return the next item, waiting at most ``timeout`` seconds for it.

        Cancelling it or letting it time out loses nothing.

        Raises:
            ReceiveTimeout: none came in time; nothing has ended.
            ConnectionClosed: the client was closed, or this unsubscribed, and all that
                was queued has been read.
            GaveUp: the client has stopped trying, likewise.
            SubscriptionOverflow: this subscription's queue was full, likewise.
            ConcurrencyError: another task is receiving here, or called from
                ``on_connect`` or hello.

        """
        inbox = self._inbox
        if inbox._granted and timeout is None:  # as it does, one call sooner
            inbox._granted -= 1
            return inbox._items.popleft()
        return await inbox.recv(timeout)

    def recv_many(
        self, max_messages: int | None = None, timeout: float | None = None
    ) -> Coroutine[object, object, list[T]]:
        """
        Return all that is queued, in order; wait while there is nothing.

        For floods: it costs a fraction of as many :meth:`recv`. It is at least one
        item, ``max_messages`` at most, and all of one connection. Cancelling it or
        letting it time out loses nothing.

        Raises:
            ArgumentError: ``max_messages`` is less than 1.
            ReceiveTimeout, ConnectionClosed, GaveUp, SubscriptionOverflow,
                ConcurrencyError: as :meth:`recv`.

        """
        return self._inbox.recv_many(max_messages, timeout)

    def with_gaps(self) -> WithGaps[T]:
        """Iterate items and :class:`Gap` markers, in order."""
        return self._inbox.with_gaps()
