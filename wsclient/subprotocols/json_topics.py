"""JSON values, routed by one of their members."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError, MessageTypeError
from ..supervisor.seam import Ack, Data, Topic
from .base import Base

__all__ = ("JsonTopics",)

Json = Any  # what json.loads() gives

# Made once: dumps() makes an encoder at each call, loads() looks for what it was given.
_text_of = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode
_value_of = json.JSONDecoder().decode

Say = Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class JsonTopics:
    """
    JSON values in text messages, routed by the member named ``key``.

    ``client.subscribe({"channel": "trades"})`` says just that, and gets every object
    whose ``"channel"`` is ``"trades"``. A topic that is no object is itself the key.

    ``subscribe`` and ``unsubscribe`` make the message to be sent of the topic; by
    default it is the topic itself, and nothing (or what ``subscribe(unsubscribe=...)``
    was given). ``ack`` gives the key that a message acknowledges, or None for any
    other message.

    Raises:
        ArgumentError: an argument cannot be used; it is named.

    """

    key: str = "channel"
    subscribe: Say | None = None
    unsubscribe: Say | None = None
    ack: Callable[[Json], object] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not self.key:
            raise ArgumentError(f"key={self.key!r}: give the name of a member")
        for name in "subscribe", "unsubscribe", "ack":
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ArgumentError(f"{name}={value!r}: give a function, or None")

    def __call__(self) -> JsonMessages:
        """Make the subprotocol of one connection."""
        return JsonMessages(self)


class JsonMessages(Base[Json]):
    """What :class:`JsonTopics` makes."""

    def __init__(self, topics: JsonTopics) -> None:
        self._topics = topics
        self._key = topics.key
        self.acks = topics.ack is not None

    def encode(self, item: Json) -> Data:
        """Make a text of a JSON value; nan and infinity are none (RFC 8259, 6)."""
        try:
            return _text_of(item)
        except (TypeError, ValueError, RecursionError) as exc:
            raise MessageTypeError(f"no JSON value: {exc}") from exc

    def decode(self, data: Data) -> Iterable[Json]:
        """Make a JSON value of a text, or of bytes that are one."""
        return (_value_of(data) if type(data) is str else json.loads(data),)

    def key(self, topic: Topic) -> object:
        """Take the member of the topic, or a topic that is no object."""
        self.encode(topic.message)
        self.encode(topic.unsubscribe)
        message = topic.message
        if not isinstance(message, Mapping):
            return message
        if self._key not in message:
            raise ArgumentError(
                f"the topic {message!r} has no member {self._key!r}: name another with "
                "JsonTopics(key=...)"
            )
        return message[self._key]

    def subscribe(self, topic: Topic) -> Iterable[Json]:
        """Say what the user's function makes of the topic, or the topic itself."""
        say = self._topics.subscribe
        return (topic.message if say is None else say(topic.message),)

    def unsubscribe(self, topic: Topic) -> Iterable[Json]:
        """Say what was given for this, if anything."""
        if topic.unsubscribe is not None:
            return (topic.unsubscribe,)
        say = self._topics.unsubscribe
        return () if say is None else (say(topic.message),)

    def route(self, item: Json) -> object:
        """Look into the member named ``key``."""
        ack = self._topics.ack
        if ack is not None:
            acked = ack(item)
            if acked is not None:
                return Ack(acked)
        return item.get(self._key) if isinstance(item, dict) else None
