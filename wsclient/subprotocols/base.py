"""The small base of a subprotocol: everything but encode and decode has a default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from ..supervisor.seam import (
    Ack,
    Conversation,
    Data,
    Outcome,
    Position,
    Reply,
    Topic,
    Verdict,
)

__all__ = ("Base",)

T = TypeVar("T")


class Base(Generic[T]):
    """
    Inherit from it and write what your protocol does differently.

    One object is made for each connection, so it may remember what belongs to one: half
    a packet, a session number. It is synchronous, but for :meth:`hello`.

    """

    names: Sequence[str] = ()
    routes: bool = True
    acks: bool = False

    def encode(self, item: T) -> Data:
        """Make a message of an item; it may not depend on the connection."""
        raise NotImplementedError(f"{type(self).__name__}.encode()")

    def decode(self, data: Data) -> Iterable[T]:
        """Make items of a message: none, one or many."""
        raise NotImplementedError(f"{type(self).__name__}.decode()")

    async def hello(self, conversation: Conversation[T]) -> None:
        """Say nothing before the subscriptions."""

    def key(self, topic: Topic) -> object:
        """Route by the subscription's number, which each connection can be told."""
        return topic.number

    def subscribe(self, topic: Topic) -> Iterable[T]:
        """Say what the user subscribed to, as it is."""
        return (topic.message,)

    def unsubscribe(self, topic: Topic) -> Iterable[T]:
        """Say what the user gave as ``unsubscribe=``, if anything."""
        return () if topic.unsubscribe is None else (topic.unsubscribe,)

    def route(self, item: T) -> object | Reply[T] | Ack | Position | None:
        """Give everything to the client's queue."""
        return None

    def classify(self, outcome: Outcome) -> Verdict:
        """Leave it to the default."""
        return None
