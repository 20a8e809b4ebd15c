"""What the user wants to hear now, and the handles through which it is read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ArgumentError, LocalProtocolError
from .inbox import Inbox
from .reader import Reader
from .seam import Subprotocol, Topic

__all__ = ("Registry", "Subscribing", "Subscription", "Want")

T = TypeVar("T")


class Want(Generic[T]):
    """
    One subscription on the wire, shared by the handles of equal keys.

    ``said_in`` is the generation it was said to, ``acked_in`` the one whose server has
    taken it, ``ack_due`` is on the clock that stands still while paused.

    """

    __slots__ = ("ack_due", "acked", "acked_in", "handles", "key", "said_in", "topic")

    def __init__(self, topic: Topic, key: object) -> None:
        self.topic = topic
        self.key = key
        self.handles: tuple[Subscription[T], ...] = ()
        self.said_in = 0
        self.acked_in = 0
        self.ack_due: float | None = None
        self.acked: anyio.Event | None = None

    @property
    def live(self) -> bool:
        """Whether anybody still wants it."""
        return bool(self.handles)

    def tell(self) -> None:
        """Wake who waits for the acknowledgement, or for the end."""
        if self.acked is not None:
            self.acked.set()
            self.acked = None


class Owner(Protocol[T]):
    """What a handle needs of its client."""

    def acknowledged(self, want: Want[T]) -> bool:
        """Whether this generation's server has acknowledged it."""
        ...

    def unsubscribe(self, handle: Subscription[T]) -> None:
        """Edit the registry, and say it if the connection is open."""
        ...


class Subscription(Reader[T]):
    """
    A handle on a subscription: iterate it, or call :meth:`recv`.

    It lives until :meth:`unsubscribe`, the end of its ``async with``, or the end of
    the client, across all connections.

    """

    # The room beside it reads them; nobody else does.
    __slots__ = ("_owner", "_want")

    def __init__(self, want: Want[T], inbox: Inbox[T], owner: Owner[T]) -> None:
        self._want = want
        super().__init__(inbox)
        self._owner = owner

    def __repr__(self) -> str:
        return f"<Subscription {self._inbox.name}: {self._inbox.count()} unread>"

    @property
    def topic(self) -> Topic:
        """What was subscribed to, with its number."""
        return self._want.topic

    @property
    def lost(self) -> int:
        """How many messages this queue had to drop."""
        return self._inbox.lost

    async def acknowledged(self) -> None:
        """
        Wait until the server of the present connection has acknowledged it.

        While the client is down it waits for the next connection. Cancelling changes
        nothing.

        Raises:
            LocalProtocolError: the subprotocol knows no acknowledgements.
            ConnectionClosed: it was unsubscribed, or the client has ended.
            GaveUp: the client has stopped trying.

        """
        await anyio.lowlevel.checkpoint()
        while True:
            self._inbox.raise_end()
            if self._owner.acknowledged(self._want):
                return
            if self._want.acked is None:
                self._want.acked = anyio.Event()
            await self._want.acked.wait()

    async def unsubscribe(self) -> None:
        """
        End this subscription; what is queued can still be read. Idempotent.

        When it is the last of its key, the server is told, unless there is no
        connection: then it is simply not said to the next.

        """
        await anyio.lowlevel.checkpoint()
        self._owner.unsubscribe(self)

    async def __aenter__(self) -> Subscription[T]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owner.unsubscribe(self)


class Subscribing(Generic[T]):
    """What ``subscribe()`` gives: await it or enter it; either subscribes, once."""

    __slots__ = ("_handle", "_make")

    def __init__(self, make: Callable[[], Subscription[T]]) -> None:
        self._make = make
        self._handle: Subscription[T] | None = None

    def __aiter__(self) -> NoReturn:
        raise LocalProtocolError(
            "subscribe() gives what is awaited or entered first:"
            " `async with client.subscribe(...) as trades`, then iterate trades"
        )

    def __await__(self) -> Generator[Any, Any, Subscription[T]]:
        return self._subscribe().__await__()

    async def _subscribe(self) -> Subscription[T]:
        # First: cancelled, nothing is subscribed.
        await anyio.lowlevel.checkpoint()
        if self._handle is not None:
            raise LocalProtocolError(
                "this subscribe() was awaited or entered already; call it again"
            )
        self._handle = self._make()
        return self._handle

    async def __aenter__(self) -> Subscription[T]:
        return await self._subscribe()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._handle is not None
        await self._handle.__aexit__(exc_type, exc, traceback)


class Registry(Generic[T]):
    """
    Desired state: what is wanted now, in the order asked for, by key.

    It records intent, never what was sent; :meth:`unsaid` is what a generation has not
    heard yet.

    """

    def __init__(self) -> None:
        self._wants: dict[object, Want[T]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._wants)

    def __iter__(self) -> Iterator[Want[T]]:
        return iter(self._wants.values())

    @property
    def routes(self) -> dict[object, Want[T]]:
        """The table by which items find their subscription, in one look-up."""
        return self._wants

    def want(
        self, subprotocol: Subprotocol[T], message: object, unsubscribe: object
    ) -> tuple[Want[T], bool]:
        """
        Find the want of equal key, or make one; return whether it is new.

        It counts for nothing until a handle is added.

        """
        topic = Topic(self._last + 1, message, unsubscribe)
        key = subprotocol.key(topic)
        try:
            known = self._wants.get(key)
        except TypeError:
            raise ArgumentError(
                f"the key {key!r} of {message!r} cannot be hashed"
            ) from None
        if known is not None:
            return known, False
        self._last += 1
        return Want(topic, key), True

    def add(self, want: Want[T], handle: Subscription[T]) -> None:
        """Count one more handle."""
        want.handles = (*want.handles, handle)
        self._wants[want.key] = want

    def discard(self, handle: Subscription[T]) -> bool:
        """Count one less; return whether it was the last."""
        want = handle._want
        if handle not in want.handles:
            return False
        want.handles = tuple(other for other in want.handles if other is not handle)
        if want.handles:
            return False
        del self._wants[want.key]
        want.tell()
        return True

    def unsaid(self, generation: int) -> list[Want[T]]:
        """Return what this generation has not heard yet, in order."""
        return [want for want in self if want.said_in != generation]

    def acknowledge(self, key: object, generation: int) -> None:
        """Note that this generation's server has taken what has this key."""
        want = self._wants.get(key)
        if want is not None:
            want.acked_in = generation
            want.ack_due = None
            want.tell()

    def first_due(self) -> Want[T] | None:
        """Return the want whose acknowledgement will be overdue first."""
        due = (want for want in self if want.ack_due is not None)
        return min(due, key=lambda want: want.ack_due or 0.0, default=None)

    def handles(self) -> Iterator[Subscription[T]]:
        """Every handle of every want."""
        for want in list(self):
            yield from want.handles

    def life_ended(self) -> None:
        """What was said is forgotten with the connection it was said to."""
        for want in self:
            want.said_in = 0
            want.acked_in = 0
            want.ack_due = None
