"""What has arrived and was not read yet: bounded, with the gaps in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, islice, takewhile
from typing import Generic, TypeVar

import anyio

from ..errors import Reason, SubscriptionOverflow
from .flow import Bounds, Flow, Overflow, Pace, Reading
from .gaps import joined_gaps, merged_gap
from .seam import Data, Gap, Link, Sink
from .wake import Wake

__all__ = ("Backlog",)

T = TypeVar("T")

MOMENT = 0.02  # seconds that a queue which is being read may keep reading back
MAX_GAPS = 64  # beyond that, neighbours are told as one


class Backlog(Generic[T]):
    """
    One bounded queue, as what arrives finds it.

    What stands before a gap is in ``_items``, each gap with what follows it in
    ``_later``, so that taking an item costs nothing extra where there is no gap. The
    arriving side appends to ``_tail``, which is one of these.

    """

    __slots__ = (
        "_all",
        "_at_hand",
        "_bytes",
        "_end",
        "_floor",
        "_granted",
        "_held",
        "_items",
        "_later",
        "_limit",
        "_low",
        "_max_bytes",
        "_max_messages",
        "_overflow",
        "_pace",
        "_quiet",
        "_reading",
        "_sizes",
        "_tail",
        "_waiting",
        "check",
        "lost",
        "name",
        "on_dropped",
        "on_overflow",
        "routed",
    )

    def __init__(
        self,
        name: str,
        *,
        overflow: Overflow,
        max_messages: int,
        max_bytes: int,
        pace: Pace,
        reading: Reading,
        bounds: Bounds | None,
    ) -> None:
        self.name = name
        self._overflow = overflow
        self._max_messages = max_messages
        self._low = max_messages // 2  # reading goes on when no more are unread
        self._max_bytes = max_bytes
        self._pace = pace
        self._reading = reading
        # None: the items are messages and tell their own size; this queue is the only
        # one, so its bound is the client's.
        self._all = bounds
        self._sizes: deque[int] | None = None if bounds is None else deque()
        self._items: deque[T] = deque()
        self._later: list[tuple[Gap, deque[T]]] = []  # MAX_GAPS at most
        self._tail = self._items
        self._limit = max_messages
        self._bytes = 0  # of messages at most: what is taken is subtracted when counted
        self._floor = 0  # with more unread than this, taking one is no more than that
        self._granted = 0  # items that may be taken without a look; none beyond _items
        self._held = False
        self._at_hand = False  # the reader is letting others run, and comes back
        self._waiting: Wake | None = None
        self._end: Callable[[], BaseException] | None = None
        self._quiet = False
        self.check: Callable[[], None] = _allow
        self.on_overflow: Callable[[], None] = _allow
        self.on_dropped: Callable[[], None] = _allow
        self.lost = 0
        self.routed = False  # whether a connection has been routed into it

    # The arriving side: synchronous, inside the sink.

    def sink(self, link: Link, flow: Flow, *, timed: bool) -> Sink:
        """
        Make a sink that puts whole messages here.

        It is all that messages cost a supervised client without a subprotocol.

        """

        def sink(messages: Sequence[Data]) -> None:
            if flow.fenced:
                return
            tail = self._tail
            if not self._items and tail is self._items:
                self._bytes = 0
            tail += messages  # type: ignore[arg-type]
            count = len(messages)
            flow.received += count
            size = len(messages[0]) if count == 1 else sum(map(len, messages))
            self._bytes = size = self._bytes + size
            if self._waiting is not None:
                self._waiting.set()
            if (size >= self._max_bytes or len(tail) >= self._limit) and self.is_full():
                self.hold(link.heard_at)
            if timed:
                flow.message_at = link.heard_at

        return sink

    def count(self) -> int:
        """Return how many items are unread."""
        return sum(map(len, self._unread()))

    def put(self, items: Sequence[T], sizes: Sequence[int], now: float) -> None:
        """Add what arrived together, or do what this queue's overflow says."""
        if self._end is not None:
            return
        tail, bounds = self._tail, self._all
        assert self._sizes is not None
        assert bounds is not None
        size = sum(sizes)
        held = self._bytes + size
        total = bounds.total + size
        if (
            len(tail) + len(items) < self._limit
            and held < self._max_bytes
            and total < bounds.max
        ):  # whatever becomes of a full queue: this one is none
            tail += items
            self._sizes += sizes
            self._bytes = held
            bounds.total = total
            if self._waiting is not None:
                self._waiting.set()
        else:
            self._pace.settle(now)
            for item, size in zip(items, sizes, strict=True):
                self._put(item, size, now)

    def _put(self, item: T, size: int, now: float) -> None:
        if self._end is not None:
            return
        if self._overflow is Overflow.PAUSE:
            self._append(item, size, now)
            if self.is_full():
                self.hold(now)
        elif not self.is_full(size) or self._indulged(now):
            self._append(item, size, now)
        else:
            self._overflows(item, size, now)

    def _indulged(self, now: float) -> bool:
        """
        Whether the reader is at hand, so that only one feed's size has overtaken it.

        One feed may bring more than this queue holds. Who waits here, or reads as fast
        as it can, gets a moment in which nothing else arrives; who awaits other things
        is slow, and pays.

        """
        if self._waiting is None and not self._at_hand:
            return False
        if not self._held:
            self._held = True
            until = now + MOMENT
            self._reading.hold(self.name, now, until=until, expired=self._let_go)
        return True

    def _let_go(self) -> None:
        self._held = False
        self._floor = 0

    def is_full(self, size: int = 0) -> bool:
        """Return whether ``size`` more bytes break a bound; one always fits."""
        if len(self._tail) >= self._limit:
            self._measure()
            if len(self._tail) >= self._limit:
                return True
        if size:
            return self._bytes + size > self._max_bytes and self.count() > 0
        return self._bytes >= self._max_bytes and self._count_bytes() >= self._max_bytes

    def hold(self, now: float) -> None:
        """Keep the connection from reading until half of this has been read."""
        self._pace.settle(now)  # from now on it matters what is taken
        if self._sizes is None:
            self._floor = self._count_half() + 1
        if not self._held:
            self._held = True
            self._reading.hold(self.name, now)

    def _unread(self) -> list[deque[T]]:
        return [self._items, *(items for _, items in self._later)]

    def _count_bytes(self) -> int:
        if self._sizes is None:
            messages = chain.from_iterable(self._unread())
            self._bytes = sum(map(len, messages))  # type: ignore[arg-type]
        return self._bytes

    def _count_half(self) -> int:
        """Count the latest messages that fill half of this, and no more."""
        room = self._max_bytes // 2
        if self._bytes <= room or self._count_bytes() <= room:
            return self._low
        newest = chain.from_iterable(map(reversed, reversed(self._unread())))
        sizes = accumulate(map(len, newest))  # type: ignore[arg-type]
        return sum(1 for _ in takewhile(room.__ge__, islice(sizes, self._low)))

    def _append(self, item: T, size: int, now: float) -> None:
        assert self._sizes is not None
        assert self._all is not None
        self._tail.append(item)
        self._sizes.append(size)
        self._bytes += size
        self._all.add(size, now)
        if self._waiting is not None:
            self._waiting.set()

    def _overflows(self, item: T, size: int, now: float) -> None:
        if self._overflow is Overflow.ERROR:
            text = (
                f"{self.name} has {self.count()} messages unread: read faster, give "
                "it a larger bound, or another overflow= than 'error'"
            )
            self.end(lambda: SubscriptionOverflow(text), quiet=False, now=now)
            self.on_overflow()
            return
        generation = self._reading.generation
        gap = Gap(generation=generation, reason=Reason.SLOW_CONSUMER, lost=1)
        if self._overflow is Overflow.DROP_NEWEST:
            self._lose()
            self.add_gap(gap)
            return
        while self.is_full(size) and self.count():
            self._drop_oldest(gap, now)
            self._lose()
        self._append(item, size, now)

    def _lose(self) -> None:
        self.lost += 1
        self.on_dropped()

    def _drop_oldest(self, gap: Gap, now: float) -> None:
        """Take the oldest away and leave a gap where it stood."""
        before: list[Gap] = []
        while not self._items:
            before.append(self._to_next_gap())
        self._items.popleft()
        assert self._sizes is not None
        self._took(self._sizes.popleft(), now)
        merged = [gap]
        for earlier in reversed(before):
            many = len(merged) + len(self._later) >= MAX_GAPS
            first = (joined_gaps if many else merged_gap)(earlier, merged[0])
            merged[:1] = [earlier, merged[0]] if first is None else [first]
        rest = self._items
        self._items = deque()
        for marker in reversed(merged):
            self._later.insert(0, (marker, rest))
            rest = deque()
        self._measure()

    def add_gap(self, gap: Gap) -> None:
        """Say that something may be missing here."""
        if self._end is not None:
            return
        if self._later and not self._tail:
            last = self._later[-1][0]
            merged = merged_gap(last, gap)
            if merged is None and len(self._later) >= MAX_GAPS:
                merged = joined_gaps(last, gap)
            if merged is not None:
                self._later[-1] = (merged, self._tail)
                return
        self._tail = deque()
        self._later.append((gap, self._tail))
        self._measure()
        if self._waiting is not None:
            self._waiting.set()

    def raise_end(self) -> None:
        """Raise what is raised when all has been read, if it has ended."""
        if self._end is not None:
            raise self._end()

    def end(
        self,
        error: Callable[[], BaseException],
        *,
        quiet: bool,
        now: float | None = None,
    ) -> None:
        """Let what is queued be the last; then raise ``error``, or end iteration."""
        if self._end is None:
            self._end = error
            self._quiet = quiet
            if self._held:
                self._let_go()
                self._reading.release(self.name, anyio.current_time())
            if self._all is not None:
                # Perhaps nobody reads it any more; that must not hold up the others.
                self._all.take(self._bytes, now)
                self._all = None
            if self._waiting is not None:
                self._waiting.set()

    # What is taken away.

    def settle(self, granted: int, now: float | None) -> int:
        """Count what was taken of what was granted; return how many were not."""
        unused, self._granted = self._granted, 0
        if (sizes := self._sizes) is not None:
            self._took(sum([sizes.popleft() for _ in range(granted - unused)]), now)
        return unused

    def _took(self, size: int, now: float | None = None) -> None:
        self._bytes -= size
        if self._all is not None:
            self._all.take(size, now)
        if self._held and self._is_low():
            self._let_go()
            self._reading.release(self.name, anyio.current_time())

    def _is_low(self) -> bool:
        """Whether half of this has been read, of messages and of bytes."""
        if self._sizes is None:
            return self.count() < self._floor
        return self._bytes <= self._max_bytes // 2 and self.count() <= self._low

    def _to_next_gap(self) -> Gap:
        gap, self._items = self._later.pop(0)
        if not self._later:
            self._tail = self._items
        self._measure()
        return gap

    def _measure(self) -> None:
        earlier = self.count() - len(self._tail)
        self._limit = self._max_messages - earlier


def _allow() -> None:
    """Do nothing: the default of what a queue calls back."""
