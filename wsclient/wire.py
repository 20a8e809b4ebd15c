"""What carries bytes: the contract between a connection and the world below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

__all__ = (
    "Dial",
    "Feed",
    "Listen",
    "Listener",
    "Lost",
    "Reached",
    "Spawn",
    "Timer",
    "Wire",
)

Feed = Callable[["memoryview | None"], None]
"""Takes each chunk, synchronously; the view is valid during the call. None: EOF."""

Lost = Callable[[Exception], None]
"""Takes the failure that ended the wire; called once at most, and never after EOF."""

Spawn = Callable[[Callable[[], Awaitable[None]]], None]
"""Starts a task that its owner keeps until it ends; it never raises."""


class Timer(Protocol):
    """What :meth:`Wire.call_at` gives."""

    def cancel(self) -> None:
        """Never call back. Idempotent."""
        ...


class Wire(Protocol):
    """
    Carries bytes both ways; fed from below, so nothing waits between bytes and
    messages.

    A *pushed* wire (asyncio) feeds by itself and has timers. A *pulled* one
    (trio, any byte stream) moves inbound bytes only while somebody is in
    :meth:`pump`, and has none: its owner lends it tasks with :meth:`adopt`.

    Everything but ``flush``, ``pump`` and ``aclose`` is synchronous. ``feed``,
    ``lost`` and ``drained`` may call any synchronous member but ``drain``.

    """

    pulled: bool
    """Whether inbound bytes move only inside :meth:`pump`."""

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Typed attributes as anyio's streams have them: addresses, TLS, socket."""
        ...

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        """
        Give each chunk to ``feed``, ``feed(None)`` once at the end of what the peer
        sends, ``lost`` once on failure; ``drained()`` each time the kernel has all
        that was written, after a :meth:`write` that returned False.

        """
        ...

    def adopt(self, spawn: Spawn) -> None:
        """
        From now on run in the owner's tasks what must go on when no caller waits.

        Until then, unsent bytes of a pulled wire move inside :meth:`flush` only.

        """
        ...

    def time(self) -> float:
        """Return the event loop's clock, as ``anyio.current_time()`` does, cheaply."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back at ``when`` on the clock of :meth:`time`; pushed wires only."""
        ...

    def write(self, data: bytes) -> bool:
        """
        Take all of ``data``; return whether the kernel already has everything.

        It never fails and never waits: a failure is told through ``lost``. After the
        end, data are dropped and True is returned.

        """
        ...

    async def flush(self) -> None:
        """
        Wait until the kernel has all that was written, or the wire has ended.

        It raises nothing: ``lost`` has told. Cancelling it takes nothing back.

        """
        ...

    def pump(self) -> Awaitable[None]:
        """
        Wait until the next ``feed`` or ``lost``; a pulled wire reads here.

        While paused it waits. One caller at a time. It raises nothing; after the end
        it returns at once. Cancelling it loses nothing.

        """
        ...

    def drain(self, limit: int) -> None:
        """
        Feed what can be read without waiting, about ``limit`` bytes at most, paused
        or not. Never called from inside ``feed``. On a pulled wire :meth:`pump` may
        sleep on: it waits for bytes, and these are taken.

        """
        ...

    def pause(self) -> None:
        """Stop reading, so that the peer's sending slows down."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def widen(self, wide: bool) -> None:
        """
        Read more at once where that is cheaper, or, as at first, 64 KiB at most.

        What is compressed may be a thousand times as much, before anybody can pause.

        """
        ...

    @property
    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        ...

    def shutdown(self) -> None:
        """
        Say the end of what we write, and go on reading: FIN.

        TLS says close_notify first. Only when the kernel has everything; nothing is
        written any more. Idempotent.

        """
        ...

    def finish(self) -> None:
        """
        End at once without waiting: what the kernel takes now is sent, then FIN.

        TLS says close_notify first. Idempotent; nothing is fed any more.

        """
        ...

    def abort(self) -> None:
        """End at once; what was not sent is dropped. Idempotent; nothing is fed."""
        ...

    async def aclose(self) -> None:
        """
        Flush, say the end (close_notify, FIN) and close; nothing is fed any more.

        It waits for nothing but the flush; cancelled, it aborts.

        """
        ...


Reached = Callable[[str], None]
"""Told the name of each ``Phase`` as dialling reaches it: DNS, TCP, TLS."""


class Dial(Protocol):
    """
    Opens a wire to a host; the seam by which tests bring a network of their own.

    ``tls`` is an ``ssl.SSLContext`` (typed as object: this leaf knows no TLS) or
    None for a plain wire. It raises ``ConnectError``; cancelled, it leaves nothing
    open.

    """

    async def __call__(
        self, host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        """Open a wire."""
        ...


class Listener(Protocol):
    """Where others dial to."""

    @property
    def address(self) -> Any:
        """The address listened on, as sockets give it: ``(host, port, ...)``."""
        ...

    async def accept(self) -> tuple[Wire, Any]:
        """
        Wait for who comes next; return the wire to him and his address.

        Cancelled, it leaves nothing open and loses nobody.

        Raises:
            ClosedResourceError: the listener was closed.

        """
        ...

    def close(self) -> None:
        """Stop listening; who waits in :meth:`accept` is told. Idempotent."""
        ...


class Listen(Protocol):
    """
    Listens on all addresses of a host; what :class:`Dial` is to the other side.

    It raises ``OSError`` where that cannot be done.

    """

    async def __call__(self, host: str | None, port: int) -> Sequence[Listener]:
        """Begin to listen; port 0 takes a free one."""
        ...
