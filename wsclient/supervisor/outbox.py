"""Sends that have not left yet: one queue, in order, across connections."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import StrEnum
from math import inf

import anyio

from ..errors import MaybeSent, NotSent, QueueFull, Reason
from .seam import Data, Link

__all__ = ("Bell", "Entry", "Fate", "Outbox", "Receipt", "WhenDown", "unheard")

MAX_REPLIES = 1000


class WhenDown(StrEnum):
    """What a send does while there is no open connection."""

    WAIT = "wait"
    RAISE = "raise"
    QUEUE = "queue"
    DROP = "drop"


class Fate(StrEnum):
    """What became of a message."""

    QUEUED = "queued"
    SENT = "sent"
    """The kernel has it; only an answer of the peer can tell more."""
    NOT_SENT = "not_sent"
    MAYBE_SENT = "maybe_sent"
    DROPPED = "dropped"


class Receipt:
    """Tells what became of a message."""

    __slots__ = ("_error", "_fate", "_known")

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._error: NotSent | MaybeSent | None = None
        self._known: anyio.Event | None = None

    def __repr__(self) -> str:
        return f"<Receipt {self._fate}>"

    @property
    def fate(self) -> Fate:
        """What became of it so far; anything but ``QUEUED`` is final."""
        return self._fate

    @property
    def error(self) -> NotSent | MaybeSent | None:
        """Why it was not sent, or perhaps not."""
        return self._error

    async def wait(self) -> Fate:
        """
        Wait until its fate is known. Cancelling changes nothing.

        Raises:
            NotSent: the client ended before it could be sent.
            MaybeSent: the connection ended while it was on its way.

        """
        while self._fate is Fate.QUEUED:
            if self._known is None:
                self._known = anyio.Event()
            await self._known.wait()
        if self._error is not None:
            raise self._error
        return self._fate

    def settle(self, fate: Fate, error: NotSent | MaybeSent | None = None) -> None:
        """Make its fate known."""
        self._fate = fate
        self._error = error
        if self._known is not None:
            self._known.set()


SENT = Receipt(Fate.SENT)
DROPPED = Receipt(Fate.DROPPED)


class Bell:
    """Wakes one task; a ring while it is busy is not lost."""

    __slots__ = ("_event", "_rung")

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._rung = False

    def ring(self) -> None:
        """Wake it. Synchronous, from anywhere in the loop's thread."""
        self._rung = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait for a ring."""
        if not self._rung:
            self._event = anyio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._rung = False


class Entry:
    """
    One message in the queue; what is to be told when it leaves, or cannot.

    ``policy`` None marks what the supervisor itself says to one generation: the
    registry says it anew to the next.

    """

    __slots__ = (
        "committed",
        "compress",
        "data",
        "error",
        "flushed",
        "link",
        "message",
        "number",
        "policy",
        "receipt",
        "wake",
    )

    def __init__(
        self,
        data: Data,
        message: object,
        policy: WhenDown | None,
        *,
        receipt: Receipt | None = None,
        wake: anyio.Event | None = None,
        committed: Callable[[], None] | None = None,
        compress: bool | None = None,
    ) -> None:
        self.data = data
        self.message = message
        self.policy = policy
        self.receipt = receipt
        self.wake = wake
        self.committed = committed
        self.compress = compress
        self.number = 0
        self.link: Link | None = None
        self.flushed = False
        self.error: NotSent | None = None


def unheard() -> None:
    """Ring where nobody drains: whoever opens the next connection looks by himself."""


class Outbox:
    """
    Replies, then everything else in the order of the calls.

    ``ring`` asks that it be drained, and the fate of what it holds followed, by a task;
    whoever finds it :attr:`idle` and the connection ready may commit by itself.

    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._replies: deque[Data] = deque()
        self._unflushed: list[tuple[Receipt, object]] = []
        self._last = 0
        self._bytes = 0
        self.queued = 0
        self.sent = 0
        self.ring: Callable[[], None] = unheard

    @property
    def idle(self) -> bool:
        """Whether nothing is ahead of a new message."""
        return not self._entries and not self._replies

    @property
    def waiting(self) -> int:
        """The sends whose callers are waiting."""
        return sum(entry.wake is not None for entry in self._entries.values())

    @property
    def unflushed(self) -> bool:
        """Whether a queued message was committed and its fate is not known."""
        return bool(self._unflushed)

    @property
    def mark(self) -> int:
        """The number of the youngest message; see :meth:`drain`."""
        return self._last

    # What goes in.

    def check_room(self, data: Data, message: object) -> None:
        """
        See whether one more message may be queued; one always fits when empty.

        Raises:
            QueueFull: the queue is full; nothing was taken.

        """
        if self.queued and (
            self.queued >= self._max_messages
            or self._bytes + len(data) > self._max_bytes
        ):
            raise QueueFull(
                f"{self.queued} messages, {self._bytes} bytes wait for a connection "
                'already; wait with when_down="wait", or raise the limits',
                message,
            )

    def add(self, entry: Entry) -> None:
        """Put a message behind all others; who cannot drain it at once rings."""
        self._last += 1
        entry.number = self._last
        self._entries[self._last] = entry
        if entry.receipt is not None:
            self.queued += 1
            self._bytes += len(entry.data)

    def withdraw(self, entry: Entry) -> bool:
        """Take a message back; False if it has left already."""
        if self._entries.pop(entry.number, None) is None:
            return False
        self._forget(entry)
        return True

    def _forget(self, entry: Entry) -> None:
        if entry.receipt is not None:
            self.queued -= 1
            self._bytes -= len(entry.data)

    def reply(self, data: Data, link: Link) -> None:
        """Answer ahead of everything, at once if possible. Called inside a sink."""
        if not self._replies and link.ready:
            link.commit(data)
            self.sent += 1
            return
        self._replies.append(data)
        if len(self._replies) > MAX_REPLIES:
            self._replies.clear()
            link.end(
                Reason.WRITE_STALLED,
                f"more than {MAX_REPLIES} replies wait for the peer to read",
            )
        self.ring()

    # What goes out: between two awaits of one task, while the link is ready.

    def drain(self, link: Link, mark: float = inf) -> bool:
        """
        Commit while ``link`` is ready; return whether all is done.

        With ``mark``, all up to that number.

        """
        while True:
            first = next(iter(self._entries), inf)
            if not self._replies and (first == inf or first > mark):
                return True
            if not link.ready:
                return False
            if self._replies:
                link.commit(self._replies.popleft())
                self.sent += 1
            else:
                self._commit(self._entries.popitem(last=False)[1], link)

    def drain_replies(self, link: Link) -> bool:
        """Commit the replies only; return whether all are done and there is room."""
        while link.ready:
            if not self._replies:
                return True
            link.commit(self._replies.popleft())
            self.sent += 1
        return False

    def _commit(self, entry: Entry, link: Link) -> None:
        self._forget(entry)
        flushed = link.commit(entry.data, entry.compress)
        self.sent += 1
        if entry.committed is not None:
            entry.committed()
        if entry.receipt is not None:
            self.committed(entry.receipt, entry.message, flushed)
        if entry.wake is not None:
            entry.link, entry.flushed = link, flushed
            entry.wake.set()

    def committed(self, receipt: Receipt, message: object, flushed: bool) -> None:
        """Note that a queued message was committed."""
        if flushed:
            receipt.settle(Fate.SENT)
        else:
            self._unflushed.append((receipt, message))
            self.ring()

    def flushed(self, count: int) -> None:
        """Note that the kernel has the first ``count`` unflushed messages."""
        for receipt, _ in self._unflushed[:count]:
            receipt.settle(Fate.SENT)
        del self._unflushed[:count]

    def count_unflushed(self) -> int:
        """Return how many queued messages are on their way to the kernel."""
        return len(self._unflushed)

    # Ends.

    def life_ended(self, error: BaseException) -> None:
        """Keep what may wait for the next connection, settle the rest."""
        self._replies.clear()
        for receipt, message in self._unflushed:
            receipt.settle(Fate.MAYBE_SENT, maybe_sent(message, error))
        self._unflushed.clear()
        for number, entry in list(self._entries.items()):
            if entry.policy is None:
                del self._entries[number]
            elif entry.policy in {WhenDown.RAISE, WhenDown.DROP}:
                del self._entries[number]
                self._refuse(entry, not_sent(entry.message, error))

    def end(self, error: BaseException) -> None:
        """Nothing will be sent any more: tell everybody."""
        self.life_ended(error)
        entries = list(self._entries.values())
        self._entries.clear()
        for entry in entries:
            self._forget(entry)
            self._refuse(entry, not_sent(entry.message, error))

    def _refuse(self, entry: Entry, error: NotSent) -> None:
        entry.error = error
        if entry.receipt is not None:
            entry.receipt.settle(Fate.NOT_SENT, error)
        if entry.wake is not None:
            entry.wake.set()


def not_sent(message: object, cause: BaseException) -> NotSent:
    """Make the error of a message that has not left."""
    error = NotSent(f"not sent, and it will not be: {cause}", message)
    error.__cause__ = cause
    return error


def maybe_sent(message: object, cause: BaseException) -> MaybeSent:
    """Make the error of a message that was on its way."""
    error = MaybeSent(
        f"the connection ended while it was leaving; nobody knows: {cause}", message
    )
    error.__cause__ = cause
    return error
