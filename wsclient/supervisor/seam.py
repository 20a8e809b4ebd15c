"""What the supervisor consumes, and the plain values that cross its seams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ..attempt import Attempt, Kind, Outcome
from ..errors import ConnectionClosed, ConnectionLost, Reason

__all__ = (
    "Ack",
    "Attempt",
    "Connect",
    "Conversation",
    "Data",
    "Fatal",
    "Gap",
    "Kind",
    "Link",
    "OnConnect",
    "Order",
    "Outcome",
    "Position",
    "Reply",
    "Retry",
    "Sink",
    "Subprotocol",
    "Topic",
    "Verdict",
)

T = TypeVar("T")

Data = str | bytes
"""What a WebSocket message is: text or binary."""

Sink = Callable[[Sequence[Data]], None]
"""Takes what arrived together, in order, synchronously; it never raises."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again, not before ``at_least`` seconds; spread up to ``at_most``."""

    at_least: float = 0.0
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Fatal:
    """Trying again cannot help; ``why`` is told in the error."""

    why: str = ""


Verdict = Retry | Fatal | None
"""None: ask the next classifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """
    Something may be missing here.

    ``offline_for`` is in seconds (0.0 where the connection stayed), ``lost`` the
    number of messages if it is known, ``recovered`` whether the conversation goes on
    behind it, ``generation`` the one that begins (or stays, or was the last).

    """

    generation: int
    reason: Reason
    offline_for: float = 0.0
    lost: int | None = None
    recovered: bool = True


class Order:
    """What ``route()`` says where an item is for no subscription, but for us."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reply(Order, Generic[T]):
    """``route()`` says: answer with this item, ahead of everything queued."""

    item: T


@dataclass(frozen=True, slots=True)
class Ack(Order):
    """``route()`` says: the server has taken the subscription of this key."""

    key: object


@dataclass(frozen=True, slots=True)
class Position(Order):
    """``route()`` says: so far has this key come; a new generation resumes here."""

    key: object
    value: object


@dataclass(frozen=True, slots=True)
class Topic:
    """
    One live subscription as the subprotocol sees it.

    ``number`` is stable across generations, ``message`` what the user subscribed
    to, ``unsubscribe`` what the user wants said at the end, if anything.

    """

    number: int
    message: Any
    unsubscribe: Any = None


class Link(Protocol):
    """
    One live connection as the supervisor sees it; nothing here knows of frames.

    The synchronous members may be called inside a sink.

    """

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol the opening handshake agreed on."""
        ...

    @property
    def response_headers(self) -> Sequence[tuple[str, str]]:
        """The headers of the server's answer."""
        ...

    @property
    def ended(self) -> ConnectionClosed | ConnectionLost | None:
        """A new exception that tells how it ended, once it has; else None."""
        ...

    @property
    def heard_at(self) -> float:
        """When the last inbound byte came, on anyio's clock; at first, the 101."""
        ...

    @property
    def latency(self) -> float | None:
        """The last measured round trip in seconds."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it is alive, between two messages, and has room to commit one."""
        ...

    def deliver_to(self, sink: Sink, *, wide: bool = True) -> None:
        """
        Give ``sink`` what was received and not yet taken, then all that comes.

        It comes in smaller parts unless ``wide``.

        """
        ...

    def commit(self, data: Data, compress: bool | None = None, /) -> bool:
        """
        Send one message in one step; return whether the kernel has it all.

        Call it only while :attr:`ready`; more than one call in a row is legal as long
        as no await stands between. ``compress`` overrides the connection's settings.

        """
        ...

    def commit_many(
        self, data: Sequence[Data], compress: bool | None = None, /
    ) -> tuple[int, bool]:
        """
        Send the first of some messages in one step, about as many as there is room for.

        As :meth:`commit`; return how many, at least one, and whether the kernel has
        them all.

        """
        ...

    async def wait_ready(self) -> None:
        """
        Wait until :attr:`ready`.

        Raises:
            ConnectionClosed, ConnectionLost: it has ended.

        """
        ...

    async def flush(self) -> None:
        """
        Wait until the kernel has all that was committed.

        Raises:
            ConnectionClosed, ConnectionLost: it ended before.

        """
        ...

    def pause(self) -> None:
        """Stop reading: our reader is behind. Counted against ``slow_timeout``."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def ping_nowait(self) -> None:
        """Send a ping, that a living peer be heard."""
        ...

    def end(self, reason: Reason, detail: str) -> None:
        """
        End it at once, synchronously, with the facts given; idempotent.

        LIVENESS and WRITE_STALLED abort; others read what is readable, say Close 1001
        if no half frame is pending, and close.

        """
        ...

    async def wait_ended(self) -> None:
        """Return when it has ended. On a pulled wire this reads."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Do the closing handshake within ``close_timeout``; cancelled, :meth:`end`."""
        ...


Connect = Callable[[Attempt], AbstractAsyncContextManager[Link]]
"""
Makes one attempt within ``open_timeout``; entering it raises ``ConnectError``,
``HookError`` or ``GiveUp``; leaving it leaves nothing open.
"""


class Conversation(Protocol[T]):
    """
    What a hello or ``on_connect`` speaks through: this connection alone.

    ``hello`` gets one of decoded items, ``on_connect`` one of raw messages.

    """

    @property
    def generation(self) -> int:
        """The number of this connection, from 1."""
        ...

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol the opening handshake agreed on."""
        ...

    @property
    def response_headers(self) -> Sequence[tuple[str, str]]:
        """The headers of the server's answer."""
        ...

    async def send(self, item: T) -> None:
        """Send one item; it goes ahead of everything queued."""
        ...

    async def recv(self, timeout: float | None = None) -> T:
        """
        Take the next item; what is not taken here is routed later, in order.

        Raises:
            ReceiveTimeout: none came within ``timeout`` seconds; nothing is lost.

        """
        ...


class Subprotocol(Protocol[T]):
    """
    How one application protocol encodes, says hello, subscribes and routes.

    One is made for each generation by the factory given as ``subprotocol=``. Small and
    synchronous, all but ``hello``.

    """

    @property
    def names(self) -> Sequence[str]:
        """Offered in the opening handshake as ``Sec-WebSocket-Protocol``."""
        ...

    @property
    def routes(self) -> bool:
        """Whether :meth:`route` finds subscriptions; if not, all goes to one queue."""
        ...

    @property
    def acks(self) -> bool:
        """Whether the server acknowledges subscriptions and :meth:`route` tells it."""
        ...

    def encode(self, item: T) -> Data:
        """Make a message of an item; the same in every generation."""
        ...

    def decode(self, data: Data) -> Iterable[T]:
        """Make items of a message: none, one or many; it may keep a remainder."""
        ...

    async def hello(self, conversation: Conversation[T]) -> None:
        """Say what must be said before anything else on a new connection."""
        ...

    def key(self, topic: Topic) -> object:
        """The key under which items of this subscription are routed; hashable."""
        ...

    def subscribe(self, topic: Topic) -> Iterable[T]:
        """The items that subscribe."""
        ...

    def unsubscribe(self, topic: Topic) -> Iterable[T]:
        """The items that unsubscribe."""
        ...

    def route(self, item: T) -> object | Reply[T] | Ack | Position | None:
        """The key whose subscription gets this item, or what else is to be done."""
        ...

    def classify(self, outcome: Outcome) -> Verdict:
        """Judge an outcome, or None for the default."""
        ...


OnConnect = Callable[[Conversation[Data]], Awaitable[None]]
"""Called on each new connection before anything else, with raw messages."""
