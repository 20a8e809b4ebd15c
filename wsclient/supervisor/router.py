"""From messages to queues: decode, route, and tell what could not be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from ..errors import MessageTypeError, Reason, utf8
from .flow import Bounds, Flow, Overflow, Pace, Reading
from .inbox import Inbox
from .outbox import Outbox
from .seam import Ack, Data, Gap, Link, Order, Reply, Sink, Subprotocol
from .subscriptions import Registry, Want

__all__ = ("Logger", "Router", "encoded", "encoded_all")

T = TypeVar("T")

Gathered = dict[object, tuple[Want[T] | None, list[T], list[int]]]
"""The items of one feed by key, with their sizes; None: those nobody wants."""

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


def encoded(subprotocol: Subprotocol[T], item: T) -> Data:
    """
    Make a message of an item.

    Raises:
        MessageTypeError: ``encode`` gave something else than a message.
        ArgumentError: it gave a text that UTF-8 cannot say.

    """
    data = subprotocol.encode(item)
    kind = type(data)
    if kind is bytes or (kind is str and data.isascii()):
        return data
    return _checked(subprotocol, item, data)


def encoded_all(subprotocol: Subprotocol[T], items: Iterable[T]) -> list[Data]:
    """Make messages of items, all or none; raises as :func:`encoded`, its twin."""
    encode = subprotocol.encode
    return [
        data
        if (kind := type(data := encode(item))) is bytes
        or (kind is str and data.isascii())
        else _checked(subprotocol, item, data)
        for item in items
    ]


def _checked(subprotocol: Subprotocol[T], item: T, data: Data) -> Data:
    if isinstance(data, str):
        utf8(data)
    elif not isinstance(data, bytes):
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
        items: Sequence[T],
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
            sink = self._routing_sink(link, flow, subprotocol.decode)
        else:
            sink = self.inbox.sink(link, flow, timed=self._timed)
        if items:  # of a message that hello took: not counted, a byte for each
            left = self._routing_sink(link, Flow(now), lambda _: items)
            left([bytes(len(items))])
        if messages:
            sink(messages)
        link.deliver_to(sink, wide=not self._routes)

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

    def _routing_sink(
        self, link: Link, flow: Flow, decode: Callable[[Data], Iterable[T]]
    ) -> Sink:
        """
        Make a sink that finds the queue of each item: one look-up, however many.

        The items of one feed are gathered by queue first, so that what is counted is
        counted once for all of them.

        """
        route = self.subprotocol.route
        find = self._registry.routes.get

        def sink(messages: Sequence[Data]) -> None:
            now = link.heard_at
            if self._timed and not flow.fenced:
                flow.message_at = now
            gathered: Gathered[T] = {None: (None, [], [])}
            for message in messages:
                if flow.fenced:
                    break
                flow.received += 1
                try:
                    items = tuple(decode(message))
                except Exception:  # noqa: BLE001 - the user's decode: told, not raised
                    self._skip("decode", gathered, now)
                    continue
                size = len(message)
                if len(items) > 1:
                    size = -(-size // len(items))
                for item in items:
                    try:
                        key = route(item)
                        if isinstance(key, Order):
                            self._obey(key, link)
                            continue
                        batch = gathered.get(key)
                        if batch is None:
                            want = find(key)
                            if want is not None:
                                gathered[key] = want, [item], [size]
                                continue
                            batch = gathered[None]
                    except Exception:  # noqa: BLE001 - the user's route, likewise
                        self._skip("route", gathered, now)
                        continue
                    batch[1].append(item)
                    batch[2].append(size)
            self._put(gathered, now)

        return sink

    def _put(self, gathered: Gathered[T], now: float) -> None:
        """Put what was gathered into the queues: what no subscription wants, first."""
        for want, items, sizes in gathered.values():
            if want is None:
                if items:
                    self.inbox.put(items, sizes, now)
            else:
                for handle in want.handles:
                    handle._inbox.put(items, sizes, now)

    def _obey(self, what: Order, link: Link) -> None:
        if isinstance(what, Reply):
            self._outbox.reply(encoded(self.subprotocol, what.item), link)
        elif isinstance(what, Ack):
            self._registry.acknowledge(what.key, self._reading.generation)
        # A Position is for subprotocols that resume; nothing here consumes it yet.

    def _skip(self, where: str, gathered: Gathered[T], now: float) -> None:
        self.skipped += 1
        self._put(gathered, now)  # what stands before the gap
        gathered.clear()
        gathered[None] = None, [], []
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
