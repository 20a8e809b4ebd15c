"""Where subscriptions are made and ended: the registry, and what must be said now."""

from __future__ import annotations

from typing import Generic, TypeVar

from ..errors import LocalProtocolError
from .flow import Overflow, Pace, Reading
from .guard import Guard
from .inbox import Inbox
from .life import Life
from .loop import Loop
from .outbox import Entry, Outbox
from .router import Router
from .subscriptions import Registry, Subscription, Want

__all__ = ("Desk",)

T = TypeVar("T")


class Desk(Generic[T]):
    """
    Edits the registry; where a connection has been told the rest, it tells it this.

    What is said here goes behind all sends before it, and only to this generation.

    """

    def __init__(
        self,
        loop: Loop[T],
        registry: Registry[T],
        outbox: Outbox,
        router: Router[T],
        pace: Pace,
        reading: Reading,
        guard: Guard,
    ) -> None:
        self._loop = loop
        self._registry = registry
        self._outbox = outbox
        self._router = router
        self._pace = pace
        self._reading = reading
        self._guard = guard

    def subscribe(
        self,
        message: object,
        unsubscribe: object,
        overflow: Overflow,
        max_messages: int,
        max_bytes: int,
    ) -> Subscription[T]:
        """
        Make one more handle.

        Raises:
            ConnectionClosed: the client was closed.
            GaveUp: it has stopped trying.

        """
        loop = self._loop
        self._guard.check_thread("subscribe")
        if loop.over_or_leaving:
            raise loop.over()
        want, new = self._registry.want(loop.subprotocol, message, unsubscribe)
        inbox: Inbox[T] = Inbox(
            f"subscription {want.topic.number} to {want.topic.message!r}",
            overflow=overflow,
            max_messages=max_messages,
            max_bytes=max_bytes,
            pace=self._pace,
            reading=self._reading,
            bounds=self._router.bounds,
        )
        inbox.check = self._check_reading
        handle = Subscription(want, inbox, self)
        inbox.on_overflow = lambda: self._overflowed(handle)
        life = loop.life
        if life is not None and life.replayed:
            if new:
                self._say(want, life)
            inbox.routed = True
        self._registry.add(want, handle)
        return handle

    def unsubscribe(self, handle: Subscription[T]) -> None:
        """Edit the registry, and tell the server if it has been told; idempotent."""
        last = self._registry.discard(handle)
        text = f"{handle._inbox.name} was unsubscribed"
        handle._inbox.end(lambda: self._loop.closed(text), quiet=True)
        life = self._loop.life
        if last and life is not None and not self._loop.leaving:
            life.say_goodbye(handle._want)
            self._hurry()

    def acknowledged(self, want: Want[T]) -> bool:
        """
        Whether the server of this generation has acknowledged it.

        Raises:
            LocalProtocolError: the subprotocol knows no acknowledgements.

        """
        subprotocol = self._loop.subprotocol
        if not subprotocol.acks:
            raise LocalProtocolError(
                f"{type(subprotocol).__name__} knows no acknowledgements; "
                "JsonTopics(ack=...) says what they look like"
            )
        return want.acked_in == self._loop.generation > 0

    def _say(self, want: Want[T], life: Life[T]) -> None:
        messages = life.items("subscribe", want)
        want.said_in = life.generation
        for index, data in enumerate(messages, 1):
            last = index == len(messages)
            self._outbox.add(
                Entry(
                    data,
                    want.topic.message,
                    None,
                    committed=(lambda: life.said(want)) if last else None,
                )
            )
        self._hurry()

    def _hurry(self) -> None:
        """Commit at once what can be."""
        link = self._loop.link
        if link is not None and not self._outbox.drain(link):
            self._outbox.ring()

    def _overflowed(self, handle: Subscription[T]) -> None:
        """End a subscription inside a sink, where nothing can be encoded."""
        last = self._registry.discard(handle)
        life = self._loop.life
        if last and life is not None:
            life.goodbyes.append(handle._want)
            life.bell.ring()

    def _check_reading(self) -> None:
        self._guard.check_entered("recv")
        subprotocol = self._loop.subprotocol
        if not subprotocol.routes:
            raise LocalProtocolError(
                f"{type(subprotocol).__name__} does not route: all messages go to the "
                "client's queue. Iterate the client, or give a subprotocol that "
                "routes, such as JsonTopics"
            )
