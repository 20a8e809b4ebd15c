"""A conversation that outlives its connections, as its user sees it."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel

from ..errors import (
    Attempted,
    AttemptTimeout,
    Facts,
    Phase,
    Reason,
    listed,
    whole_number,
)
from ..tasks import OwnedTasks
from .backoff import Backoff, FullJitter, Stop, Uniform, Wait, stop_never
from .checks import check_callable, check_one_of, check_timeout
from .desk import Desk
from .flow import Overflow, Pace, Reading
from .guard import Guard
from .judge import Classify, Judge
from .life import Settings
from .lifecycle import Events, State, Stats
from .loop import Loop, Means
from .outbox import SENT, Outbox, Receipt, WhenDown
from .reader import Reader
from .router import Logger, Router, encoded, encoded_all
from .seam import Connect, OnConnect, Subprotocol
from .sender import Sender
from .subscriptions import Registry, Subscribing

__all__ = ("Supervisor",)

T = TypeVar("T")

MIB = 1024 * 1024
WORDS = frozenset(WhenDown)
FIRST = ("wait", "raise", "background")
EVENTS = 256  # what an observer may be behind

First = Literal["wait", "raise", "background"]


class Supervisor(Reader[T]):
    """
    Keeps one conversation alive over as many connections as it takes.

    Enter it with ``async with``, or ``await tg.start(supervisor.run)``; once. Times are
    in seconds. ``connect`` makes one attempt, ``subprotocol`` one subprotocol for each
    generation, ``uniform(a, b)`` throws the dice, ``wall()`` is seconds since the
    epoch, ``has_provider`` says that an attempt asks for fresh credentials.

    Raises:
        ArgumentError: an argument cannot be used; it is named.

    """

    def __init__(
        self,
        connect: Connect,
        subprotocol: Callable[[], Subprotocol[T]],
        *,
        on_connect: OnConnect | None = None,
        classify: Classify | None = None,
        wait: Wait | None = None,
        stop: Stop = stop_never,
        first: First = "wait",
        open_timeout: float | None = 10.0,
        prepare_timeout: float | None = None,
        stable_after: float = 10.0,
        recv_timeout: float | None = None,
        ack_timeout: float = 10.0,
        slow_timeout: float | None = 60.0,
        max_retry_after: float = 300.0,
        max_messages: int = 4096,
        max_bytes: int = 8 * MIB,
        max_total_bytes: int = 64 * MIB,
        max_queued: int = 1000,
        max_queued_bytes: int = 8 * MIB,
        has_provider: bool = False,
        uniform: Uniform | None = None,
        wall: Callable[[], float] = time.time,
        logger: Logger | None = None,
    ) -> None:
        check_one_of("first", first, FIRST)
        check_callable("connect", connect)
        check_callable("subprotocol", subprotocol)
        check_callable("on_connect", on_connect, optional=True)
        check_callable("classify", classify, optional=True)
        check_callable("wait", wait, optional=True)
        check_callable("stop", stop)
        if prepare_timeout is None:
            prepare_timeout = open_timeout
        settings = Settings.checked(
            open_timeout=open_timeout,
            prepare_timeout=prepare_timeout,
            stable_after=stable_after,
            recv_timeout=recv_timeout,
            ack_timeout=ack_timeout,
            slow_timeout=slow_timeout,
            max_retry_after=max_retry_after,
        )
        self._first = first
        self._max_messages = whole_number("max_messages", max_messages)
        self._max_bytes = whole_number("max_bytes", max_bytes)
        self._guard = Guard(self)
        self._pace = Pace()
        self._reading = Reading(lambda: self._loop.flow_changed())
        self._registry: Registry[T] = Registry()
        self._outbox = Outbox(
            whole_number("max_queued", max_queued),
            whole_number("max_queued_bytes", max_queued_bytes),
        )
        logger = logger or logging.getLogger("wsclient")
        self._router: Router[T] = Router(
            subprotocol(),
            registry=self._registry,
            outbox=self._outbox,
            reading=self._reading,
            pace=self._pace,
            logger=logger,
            max_messages=self._max_messages,
            max_bytes=self._max_bytes,
            max_total_bytes=whole_number("max_total_bytes", max_total_bytes),
            timed=recv_timeout is not None,
            check=lambda: self._guard.check_entered("recv"),
        )
        waiting = wait or FullJitter()
        dice = uniform or secrets.SystemRandom().uniform
        judge = Judge(
            classify=classify,
            backoff=lambda now: Backoff(waiting, stop, dice, now),
            wall=wall,
            first=first,
            has_provider=has_provider,
            max_retry_after=settings.max_retry_after,
            logger=logger,
        )
        self._assemble(connect, subprotocol, on_connect, judge, settings)

    def _assemble(
        self,
        connect: Connect,
        subprotocol: Callable[[], Subprotocol[T]],
        on_connect: OnConnect | None,
        judge: Judge,
        settings: Settings,
    ) -> None:
        means = Means(
            connect=connect,
            factory=subprotocol,
            on_connect=on_connect,
            judge=judge,
            logger=judge.logger,
            settings=settings,
            outbox=self._outbox,
            registry=self._registry,
            router=self._router,
            reading=self._reading,
            pace=self._pace,
        )
        super().__init__(self._router.inbox)
        self._loop = Loop(means, self)
        self._tasks = OwnedTasks(self._crashed)
        self._sender = Sender(self._loop, self._outbox, self._guard, self._pace)
        self._desk = Desk(
            self._loop,
            self._registry,
            self._outbox,
            self._router,
            self._pace,
            self._reading,
            self._guard,
        )

    # Coming and going.

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.leave(exc)
        if exc is None and self._loop.state is State.FAILED and not self._loop.told:
            raise self._loop.over()

    async def enter(self) -> None:
        """
        Start, and return as ``first`` says: at the first OPEN, or at once.

        Cancelling it leaves nothing open.

        Raises:
            GaveUp: the outcome was fatal, or ``stop`` said so.
            WebSocketError: with ``first="raise"``, the first failure itself.
            LocalProtocolError: it was entered before.

        """
        self._loop.start()
        self._guard.enter()
        await self._tasks.__aenter__()
        try:
            self._tasks.start_soon(self._loop.run)
            if self._first == "background":
                await anyio.lowlevel.checkpoint()
                return
            await self._until_open()
        except BaseException as exc:
            await self.leave(exc)
            raise

    async def leave(self, exc: BaseException | None) -> None:
        """
        Close, with 1000, or with 1001 behind an exception; wait for nothing else.

        Behind a cancellation this is synchronous: the Close frame is written, and that
        is it. Call it in the task that has entered.

        """
        try:
            if exc is not None and _is_urgent(exc):
                link = self._loop.begin_leaving()
                if link is not None:
                    link.end(Reason.LOCAL, "the client was left by a cancellation")
            else:
                await self.close(1000 if exc is None else 1001)
        finally:
            self._loop.stop()
            await self._tasks.__aexit__(None, None, None)
            self._loop.finish()

    async def run(
        self,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """
        Be entered until :meth:`close`, for frameworks: ``await tg.start(client.run)``.

        ``started()`` is called where ``async with`` would enter its body. Cancelling it
        is leaving by a cancellation.

        Raises:
            GaveUp: the client has stopped trying, whoever has been told before.

        """
        await self.enter()
        try:
            task_status.started()
            while self._loop.state not in {State.CLOSED, State.FAILED}:
                await self._loop.changed()
        except BaseException as exc:
            await self.leave(exc)
            raise
        await self.leave(None)
        if self._loop.state is State.FAILED:
            raise self._loop.over()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Leave: do the closing handshake if OPEN, within ``close_timeout``. Idempotent.

        What is queued can still be received; what waits to be sent raises ``NotSent``.
        Cancelled, it closes at once, without waiting.

        """
        self._guard.check_thread("close")
        link = self._loop.begin_leaving()
        try:
            if link is not None:
                await link.close(code, reason)
        finally:
            self._loop.stop()
        while self._loop.state is State.CLOSING:
            await self._loop.changed()
        await anyio.lowlevel.checkpoint()

    aclose = close

    # What it is doing.

    @property
    def state(self) -> State:
        """What it is doing now."""
        return self._loop.state

    @property
    def generation(self) -> int:
        """The number of the present or last connection; 0 before the first."""
        return self._loop.generation

    @property
    def attempts(self) -> tuple[Attempted, ...]:
        """The ends of attempts and lives since the last proof of life."""
        return self._loop.history

    @property
    def subprotocol(self) -> Subprotocol[T]:
        """The subprotocol of the present or next generation."""
        return self._loop.subprotocol

    @property
    def stats(self) -> Stats:
        """A snapshot of what can be counted."""
        return self._loop.stats()

    def events(self) -> Events:
        """
        Observe: iterate the result for what happens from now on.

        Its queue is bounded; whoever reads too slowly loses the oldest.

        """
        return self._loop.observe(EVENTS)

    async def wait_open(self, timeout: float | None = None) -> None:
        """
        Wait until it is OPEN. Cancelling changes nothing.

        Raises:
            AttemptTimeout: it was not OPEN within ``timeout`` seconds.
            ConnectionClosed: it has been closed.
            GaveUp: it has stopped trying.
            ConcurrencyError: called from ``on_connect`` or hello.

        """
        self._guard.check_entered("wait_open")
        seconds = check_timeout("timeout", timeout)
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(seconds):
            await self._until_open()
            return
        loop = self._loop
        cause = loop.down()
        raise AttemptTimeout(
            Facts(
                reason=Reason.OPEN_TIMEOUT,
                phase=Phase.PREPARING if loop.life else Phase.TCP,
                detail=f"not open within {timeout} s, but {loop.state}: {cause}",
                attempts=loop.history,
            )
        ) from cause

    async def _until_open(self) -> None:
        while self._loop.state is not State.OPEN:
            if self._loop.state in {State.CLOSING, State.CLOSED, State.FAILED}:
                raise self._loop.over()
            await self._loop.changed()

    def reconnect(self) -> None:
        """
        Drop an OPEN connection and dial anew, or dial now when DOWN; else nothing.

        It may be more often than the flap window lets the client itself.

        """
        self._guard.check_thread("reconnect")
        self._loop.reconnect()

    def mark_healthy(self) -> None:
        """Say that the present connection works: attempts count from one again."""
        self._guard.check_thread("mark_healthy")
        self._loop.mark_healthy()

    # Sending.

    async def send(
        self,
        item: T,
        when_down: Literal["wait", "raise", "queue", "drop"] = "wait",
        *,
        compress: bool | None = None,
    ) -> Receipt:
        """
        Send one item, behind all that was sent before.

        ``when_down`` says what happens without an open connection: ``"wait"`` for one,
        ``"raise"``, ``"queue"`` it and return at once with a receipt that will tell, or
        ``"drop"`` it, which the receipt says. Cancelled while it waits, nothing is
        sent; cancelled later, the whole message still goes.

        ``compress`` says whether to compress it, instead of the ``threshold`` of
        ``Deflate``, on whichever connection it leaves; True does nothing on one that
        has not agreed on compression.

        Raises:
            NotSent: it has not left and will not: no connection, or the client ended.
            QueueFull: as many messages as allowed are queued already.
            MaybeSent: the connection ended while it was leaving.
            MessageTypeError: the subprotocol does not encode such an item.
            ConcurrencyError: called from ``on_connect`` or hello, or a foreign thread.

        """
        if when_down != "wait" and when_down not in WORDS:
            check_one_of("when_down", when_down, WhenDown)
        if self._guard.thread != threading.get_ident():
            self._guard.check_entered("send")
        data = encoded(self._loop.subprotocol, item)
        link = self._loop.link
        outbox = self._outbox
        if link is None or not outbox.idle or not link.ready:
            policy = WhenDown(when_down)
            return await self._sender.send_later(data, item, policy, compress)
        outbox.sent += 1
        if link.commit(data, compress):
            if self._pace.left:
                self._pace.left -= 1
            else:
                await self._pace.breathe()
            return SENT
        return await self._sender.leaving(link, item, WhenDown(when_down))

    async def send_many(
        self,
        items: Iterable[T],
        when_down: Literal["wait", "raise"] = "wait",
        *,
        compress: bool | None = None,
    ) -> None:
        """
        Send items, in order, in as few writes as possible.

        For floods: it costs a fraction of as many :meth:`send`. What others send may
        come between. Without an open connection it waits for one, or raises. Cancelled,
        what was committed still goes, and the rest does not. ``compress`` is for each
        of them as in :meth:`send`.

        Raises:
            NotSent: its ``message`` is the list of the items that were not sent; all
                before them the kernel has.
            MaybeSent: its ``message`` is the list from the first that is in doubt on.
            MessageTypeError, ArgumentError: one item cannot be sent; nothing was.
            ConcurrencyError: called from ``on_connect`` or hello, or a foreign thread.

        """
        check_one_of("when_down", when_down, ("wait", "raise"))
        self._guard.check_entered("send_many")
        rest = listed(items)
        data = encoded_all(self._loop.subprotocol, rest)
        await self._pace.breathe()
        await self._sender.send_many(data, rest, WhenDown(when_down), compress)

    # Subscribing.

    def subscribe(
        self,
        topic: object,
        *,
        unsubscribe: object = None,
        overflow: Literal["error", "drop_oldest", "drop_newest", "pause"] = "error",
        max_messages: int | None = None,
        max_bytes: int | None = None,
    ) -> Subscribing[T]:
        """
        Subscribe, across all connections: ``await`` the result or enter it.

        It is said to each connection once, in order, before anything queued; it is not
        waited for, nor for the acknowledgement. Subscriptions of equal keys share one
        on the wire; each has its own queue of ``max_messages`` and ``max_bytes``, and
        ``overflow`` says what happens when it is full.

        Raises:
            ArgumentError: an argument cannot be used; it is named.
            ConnectionClosed: awaited after the client was closed.
            GaveUp: awaited after it has stopped trying.

        """
        check_one_of("overflow", overflow, Overflow)
        messages = (
            self._max_messages
            if max_messages is None
            else whole_number("max_messages", max_messages)
        )
        size = (
            self._max_bytes
            if max_bytes is None
            else whole_number("max_bytes", max_bytes)
        )
        return Subscribing(
            lambda: self._desk.subscribe(
                topic, unsubscribe, Overflow(overflow), messages, size
            )
        )

    def _crashed(self, exc: Exception) -> None:
        raise AssertionError("the loop keeps what it raises") from exc


def _is_urgent(exc: BaseException) -> bool:
    """Whether there is no time for the closing handshake: a cancellation, mostly."""
    return (
        not isinstance(exc, Exception)
        or isinstance(exc, anyio.get_cancelled_exc_class())
        or anyio.current_effective_deadline() == float("-inf")
    )
