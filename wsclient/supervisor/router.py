"""From messages to queues: decode, route, and tell what could not be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from ..errors import MessageTypeError, Reason, utf8
from .flow import Bounds, Flow, Pace, Reading
from .inbox import Inbox, Overflow
from .outbox import Outbox
from .seam import Ack, Data, Gap, Link, Position, Reply, Sink, Subprotocol
from .subscriptions import Registry

__all__ = ("Logger", "Router", "encoded")

T = TypeVar("T")

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def encoded(subprotocol: Subprotocol[T], item: T) -> Data:
    """
    Make a message of an item.

    Raises:
        MessageTypeError: ``encode`` gave something else than a message.
        ArgumentError: it gave a text that UTF-8 cannot say.

    """
    data = subprotocol.encode(item)
    if type(data) is str and not data.isascii():  # that is known without looking
        utf8(data)
    if not isinstance(data, str | bytes):
        raise MessageTypeError(
            f"{type(subprotocol).__name__}.encode() made a {type(data).__name__} of "
            f"{item!r}; a message is str or bytes"
        )
    return data


class Router(Generic[T]):
    """
    Gives what arrives to the queues, synchronously, inside the feed.

    Under a subprotocol that does not route all goes to the client's queue, which
    pauses reading at its bound; where items are routed, what no subscription wants
    goes there, and when it is full its oldest goes.

    """

    def __init__(
        self,
        subprotocol: Subprotocol[T],
        *,
        registry: Registry[T],
        outbox: Outbox,
        reading: Reading,
        pace: Pace,
        logger: Logger,
        max_messages: int,
        max_bytes: int,
        max_total_bytes: int,
        timed: bool,
        check: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._outbox = outbox
        self._reading = reading
        self._logger = logger
        self._timed = timed
        self._routes = subprotocol.routes
        self._received = 0
        self._told_skipped = False
        self.bounds = Bounds(max_total_bytes, reading)
        self.flow = Flow(0.0)
        self.skipped = 0
        self.down_since: float | None = None
        self.down_reason = Reason.LOCAL
        self.subprotocol = subprotocol
        self.inbox: Inbox[T] = Inbox(
            "the client's queue",
            overflow=Overflow.DROP_OLDEST if self._routes else Overflow.PAUSE,
            max_messages=max_messages,
            max_bytes=max_bytes if self._routes else min(max_bytes, max_total_bytes),
            pace=pace,
            reading=reading,
            bounds=self.bounds if self._routes else None,
        )
        self.inbox.check = check
        self.inbox.on_dropped = self._tell_unrouted

    @property
    def received(self) -> int:
        """The messages of all generations."""
        return self._received + self.flow.received

    # One generation.

    def begin(
        self,
        link: Link,
        subprotocol: Subprotocol[T],
        generation: int,
        now: float,
        items: Iterable[T],
        messages: Sequence[Data],
    ) -> None:
        """Tell the gap, route what the hooks left, then all that comes."""
        self._received += self.flow.received
        self.flow = flow = Flow(now)
        self.subprotocol = subprotocol
        self._reading.generation = generation
        if self.down_since is not None:
            self._tell_gap(now, generation, recovered=True)
            self.down_since = None
        for inbox in self._inboxes():
            inbox.routed = True
        if self._routes:
            sink = self._routing_sink(link, flow)
        else:
            sink = self.inbox.sink(link, flow, timed=self._timed)
        for item in items:
            self._route(item, 1, link)
        if messages:
            sink(messages)
        link.deliver_to(sink)

    def fence(self, now: float, reason: Reason) -> None:
        """What comes from now on comes too late."""
        if not self.flow.fenced:
            self.flow.fenced = True
            self.down_since = now
            self.down_reason = reason

    def end(self, now: float, generation: int, reason: Reason) -> None:
        """Tell the last gap: there will be no other connection."""
        if self.down_since is None:
            self.down_since = now
        self.down_reason = reason
        self._tell_gap(now, generation, recovered=False)

    def _inboxes(self) -> list[Inbox[T]]:
        return [self.inbox, *(h._inbox for h in self._registry.handles())]

    def _tell_gap(self, now: float, generation: int, *, recovered: bool) -> None:
        assert self.down_since is not None
        gap = Gap(
            generation=generation,
            reason=self.down_reason,
            offline_for=now - self.down_since,
            recovered=recovered,
        )
        for inbox in self._inboxes():
            if inbox.routed:
                inbox.add_gap(gap)

    # The sink where items are routed.

    def _routing_sink(self, link: Link, flow: Flow) -> Sink:
        decode = self.subprotocol.decode

        def sink(messages: Sequence[Data]) -> None:
            if self._timed and not flow.fenced:
                flow.message_at = link.heard_at
            for message in messages:
                if flow.fenced:
                    return
                flow.received += 1
                try:
                    items = tuple(decode(message))
                except Exception:  # noqa: BLE001 - the user's decode: told, not raised
                    self._skip("decode")
                    continue
                size = len(message)
                if len(items) > 1:
                    size = -(-size // len(items))
                for item in items:
                    self._route(item, size, link)

        return sink

    def _route(self, item: T, size: int, link: Link) -> None:
        try:
            key = self.subprotocol.route(item)
            if isinstance(key, Reply | Ack | Position):
                self._obey(key, link)
                return
            want = None if key is None else self._registry.routes.get(key)
        except Exception:  # noqa: BLE001 - the user's route: told, not raised
            self._skip("route")
            return
        if want is None:
            self.inbox.put(item, size, link.heard_at)
        else:
            for handle in want.handles:
                handle._inbox.put(item, size, link.heard_at)

    def _obey(self, what: Reply[T] | Ack | Position, link: Link) -> None:
        if isinstance(what, Reply):
            self._outbox.reply(encoded(self.subprotocol, what.item), link)
        elif isinstance(what, Ack):
            self._registry.acknowledge(what.key, self._reading.generation)
        # A Position is for subprotocols that resume; nothing here consumes it yet.

    def _skip(self, where: str) -> None:
        self.skipped += 1
        if not self._told_skipped:
            self._told_skipped = True
            self._logger.exception(
                "! %s raised; the message is skipped, told as a Gap, and those that "
                "follow it are not logged",
                where,
            )
        gap = Gap(generation=self._reading.generation, reason=Reason.LOCAL, lost=1)
        for inbox in self._inboxes():
            inbox.add_gap(gap)

    def _tell_unrouted(self) -> None:
        if self.inbox.lost == 1:
            self._logger.warning(
                "! the client's queue is full of messages that no subscription "
                "takes: the oldest goes; this is not logged again"
            )
