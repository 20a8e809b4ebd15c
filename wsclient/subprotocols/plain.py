"""No subprotocol: messages are texts or bytes, and all go to one queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import MessageTypeError
from ..supervisor.seam import Data, Topic
from .base import Base

__all__ = ("Plain",)

_MESSAGES = (str, bytes)  # isinstance is slower with a union


@dataclass(frozen=True, slots=True)
class Plain:
    """
    The default subprotocol: ``str`` is text, ``bytes`` is binary.

    Subscriptions are messages that are said again to every new connection:
    ``client.subscribe(message, unsubscribe=message)``. What arrives is not routed:
    iterate the client.

    """

    def __call__(self) -> PlainMessages:
        """Make the subprotocol of one connection."""
        return PlainMessages()


class PlainMessages(Base[Data]):
    """What :class:`Plain` makes."""

    routes = False

    def encode(self, item: Data) -> Data:
        """Let pass ``str`` and ``bytes``."""
        if not isinstance(item, _MESSAGES):
            raise MessageTypeError(
                f"no subprotocol encodes a {type(item).__name__}: send str or bytes, "
                "or give the client subprotocol=JsonTopics() for JSON values"
            )
        return item

    def decode(self, data: Data) -> Iterable[Data]:
        """Let the message be the item."""
        return (data,)

    def key(self, topic: Topic) -> object:
        """Let each subscription stand for itself; see that its messages are ones."""
        for message in topic.message, topic.unsubscribe:
            if message is not None:
                self.encode(message)
        return topic.number
