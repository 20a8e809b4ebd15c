"""One generation: prepared, kept while its connection lives, fenced behind its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from ..errors import (
    AttemptTimeout,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    GiveUp,
    HookError,
    Initiator,
    Phase,
    Reason,
    WebSocketError,
)
from .checks import check_seconds, check_timeout
from .conversation import HandOver, ItemTalk, RawTalk, Talk, hook_of
from .flow import Pace, Reading
from .outbox import Bell, Entry, Outbox, unheard
from .router import Router, encoded, encoded_all
from .seam import Kind, Link, OnConnect, Subprotocol
from .subscriptions import Registry, Want

__all__ = ("Life", "Settings", "Standing")

T = TypeVar("T")
M = TypeVar("M")

PATIENCE = (0.1, 1.0)  # seconds between two looks for the answer to a ping


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user has set, in seconds; None: no limit."""

    open_timeout: float | None
    prepare_timeout: float | None
    stable_after: float
    recv_timeout: float | None
    ack_timeout: float
    slow_timeout: float | None
    max_retry_after: float

    @classmethod
    def checked(cls, **seconds: float | None) -> Settings:
        """
        Make one of arguments that may be wrong.

        Raises:
            ArgumentError: one of them is no finite number of seconds.

        """
        limits = {"open_timeout", "prepare_timeout", "recv_timeout", "slow_timeout"}
        return cls(
            **{
                name: (check_timeout if name in limits else check_seconds)(name, value)  # type: ignore[arg-type]
                for name, value in seconds.items()
            }
        )


@dataclass(slots=True, kw_only=True)
class Standing(Generic[T]):
    """
    What stays while connections come and go.

    ``owner`` is whom hooks must not wait for. ``opened``, ``fenced`` and ``proved`` are
    told at once.

    """

    settings: Settings
    outbox: Outbox
    registry: Registry[T]
    router: Router[T]
    reading: Reading
    pace: Pace
    on_connect: OnConnect | None
    owner: object
    opened: Callable[[], None]
    fenced: Callable[[], None]
    proved: Callable[[], None]


class Life(Generic[T]):
    """
    One connection under the supervisor.

    Its tasks: the one that calls :meth:`run` prepares and then keeps the deadlines, one
    waits for the end (and reads, on a pulled wire). What has to wait to be sent has one
    while it does, and so has what is on its way and has a receipt.

    """

    def __init__(
        self,
        standing: Standing[T],
        link: Link,
        subprotocol: Subprotocol[T],
        generation: int,
    ) -> None:
        self._standing = standing
        self._settings = standing.settings
        self._outbox = standing.outbox
        self._subprotocol = subprotocol
        self._hand_over = HandOver(link)
        self._preparing = anyio.CancelScope()
        self._scope = anyio.CancelScope()
        self._failure: tuple[Kind, BaseException] | None = None
        self._hooking = True
        self._over = False
        self._leaving = False
        self._opened_at = 0.0
        self._heard = 0  # messages received when it opened
        self._pinged = False
        self._writing = False
        self._flushing = False
        self._patience = PATIENCE[0]
        self._message_at = 0.0
        self._idle_from = 0.0
        self.link = link
        self.generation = generation
        self.replayed = False
        self.proven = False
        self.goodbyes: list[Want[T]] = []
        self.bell = Bell()

    async def run(self) -> tuple[Kind, BaseException]:
        """Live until the end; return what sort of end it was, and the error."""
        mark = self._outbox.mark
        self.link.deliver_to(self._hand_over.sink)
        try:
            async with anyio.create_task_group() as group:
                self._scope = group.cancel_scope
                group.start_soon(self._watch)
                try:
                    await self._spend(group, mark)
                finally:
                    self._outbox.ring = unheard  # the group takes no more tasks
        finally:
            self._fence(Reason.LOCAL)
        if self._failure is not None:
            return self._failure
        ended = self.link.ended
        if ended is None:
            text = "a task of the client was cancelled from outside"
            self.link.end(Reason.LOCAL, text)
            ended = self.link.ended
        assert ended is not None
        return Kind.LIFE, ended

    def flow_changed(self) -> None:
        """Pause or resume, as the queues want it; until routing starts, neither."""
        if not self._hooking:
            if self._standing.reading.since is None:
                self.link.resume()
            else:
                self.link.pause()
        self.bell.ring()

    def leave(self) -> None:
        """Stop preparing: the client is being closed."""
        self._leaving = True
        self._preparing.cancel()
        self.bell.ring()
        self._fence(Reason.LOCAL)

    async def _watch(self) -> None:
        await self.link.wait_ended()
        self._over = True
        ended = self.link.ended
        assert ended is not None
        self._fence(ended.reason)
        if self._hooking:
            # What was received before can still be taken, then they see the end.
            self._hand_over.ring()
        else:
            self._scope.cancel()

    def _fence(self, reason: Reason) -> None:
        """From now on nothing of this generation counts."""
        if not self._hooking:
            self._standing.router.fence(anyio.current_time(), reason)
        self._standing.fenced()

    async def _spend(self, group: TaskGroup, mark: int) -> None:
        timeout = self._settings.prepare_timeout
        try:
            with anyio.move_on_after(timeout) as self._preparing:
                await self._prepare(mark)
            if self._preparing.cancelled_caught and not self._leaving:
                facts = Facts(
                    reason=Reason.PREPARE_FAILED,
                    phase=Phase.PREPARING,
                    initiator=Initiator.US,
                    detail=f"not prepared within {timeout} s",
                )
                raise AttemptTimeout(facts)
            if not self._leaving:
                self._open(group)
            await self._keep()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - kept: the loop judges it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        ended = self.link.ended
        if ended is not None and isinstance(error, ConnectionClosed | ConnectionLost):
            self._failure = Kind.LIFE, ended
            self._fence(ended.reason)
        else:
            self._failure = Kind.PREPARE, error
            self._fence(Reason.PREPARE_FAILED)
            self.link.end(Reason.PREPARE_FAILED, str(error))
        self._scope.cancel()

    # Preparing.

    async def _prepare(self, mark: int) -> None:
        on_connect = self._standing.on_connect
        if on_connect is not None:
            raw = RawTalk(self._hand_over, self.generation)
            await self._hook("on_connect", on_connect, raw)
        talk = ItemTalk(
            self._hand_over,
            self.generation,
            lambda item: encoded(self._subprotocol, item),
            self._subprotocol.decode,
        )
        await self._hook("hello", self._subprotocol.hello, talk)
        self._begin(talk)
        registry = self._standing.registry
        while wants := registry.unsaid(self.generation):
            for want in wants:
                if want.live:
                    await self._say(want)
        self.replayed = True
        while not self._outbox.drain(self.link, mark):
            await self.link.wait_ready()

    async def _hook(
        self,
        name: str,
        hook: Callable[[Talk[M]], Awaitable[None]],
        talk: Talk[M],
    ) -> None:
        try:
            with hook_of(self._standing.owner):
                await hook(talk)
        except (OSError, WebSocketError, GiveUp):
            raise
        except Exception as error:
            raise HookError(f"{name} raised {error!r}") from error
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == float("-inf"):
                raise  # of a scope around us
            # It awaited something of asyncio's that was cancelled: not we were.
            raise HookError(f"{name} awaited what was cancelled") from error
        finally:
            talk.finish()

    def _begin(self, talk: ItemTalk[T]) -> None:
        """Route from now on: the gap, what the hooks left, what comes."""
        now = anyio.current_time()
        self._hooking = False
        self._standing.router.begin(
            self.link,
            self._subprotocol,
            self.generation,
            now,
            talk.items,
            self._hand_over.messages,
        )
        self._message_at = self._idle_from = now
        ended = self.link.ended
        if self._over and ended is not None:
            self._fence(ended.reason)
            raise ended
        if self._standing.reading.holders:
            self.link.pause()

    async def _say(self, want: Want[T]) -> None:
        want.said_in = self.generation
        for data in self.items("subscribe", want):
            while not self._outbox.drain_replies(self.link):
                await self.link.wait_ready()
            self.link.commit(data)
        self.said(want)

    def items(self, what: str, want: Want[T]) -> list[str | bytes]:
        """
        Make the messages that subscribe or unsubscribe.

        Raises:
            HookError: the subprotocol raised.

        """
        subprotocol = self._subprotocol
        try:
            if what == "subscribe":
                items = subprotocol.subscribe(want.topic)
            else:
                items = subprotocol.unsubscribe(want.topic)
            return encoded_all(subprotocol, items)
        except WebSocketError:
            raise
        except Exception as error:
            text = f"{type(subprotocol).__name__}.{what}() raised {error!r}"
            raise HookError(text) from error

    def said(self, want: Want[T]) -> None:
        """A subscription was said: the server's time to acknowledge it begins."""
        if self._subprotocol.acks and want.acked_in != self.generation:
            now = self._standing.reading.clock(anyio.current_time())
            want.ack_due = now + self._settings.ack_timeout
            self.bell.ring()

    # Open.

    def _open(self, group: TaskGroup) -> None:
        now = anyio.current_time()
        self._opened_at = now
        self._heard = self._standing.router.received
        self._idle_from = self._standing.reading.clock(now)
        self._outbox.ring = lambda: self._work(group)
        self._work(group)
        self._standing.opened()

    def _work(self, group: TaskGroup) -> None:
        """See to what is in the outbox; the tasks for that come and go."""
        if not (self._writing or self._outbox.idle):
            self._writing = True
            group.start_soon(self._write)
        if self._outbox.unflushed and not self._flushing:
            self._flushing = True
            group.start_soon(self._flush)

    async def _write(self) -> None:
        """Send what had to wait: the only task that drains the outbox."""
        try:
            while not self._outbox.drain(self.link):
                await self.link.wait_ready()
        except (ConnectionClosed, ConnectionLost):
            return  # the watching task tells it
        finally:
            self._writing = False

    async def _flush(self) -> None:
        """Learn what became of queued messages that did not leave at once."""
        try:
            while self._outbox.unflushed:
                count = self._outbox.count_unflushed()
                await self.link.flush()
                self._outbox.flushed(count)
        except (ConnectionClosed, ConnectionLost):
            return  # the outbox will be told
        finally:
            self._flushing = False

    async def _keep(self) -> None:
        """Keep the deadlines."""
        while not self._leaving:
            self.say_goodbyes()
            now = anyio.current_time()
            moment = self._standing.reading.expire(now)
            deadline = min(moment, self._look(now))
            with anyio.CancelScope(deadline=deadline):
                await self.bell.wait()
        await anyio.sleep_forever()  # until the closing handshake is over

    def say_goodbyes(self) -> None:
        """Unsubscribe what ended inside a sink, where nothing can be encoded."""
        goodbyes, self.goodbyes = self.goodbyes, []
        for want in goodbyes:
            self.say_goodbye(want)

    def say_goodbye(self, want: Want[T]) -> None:
        """Tell the server that nobody wants it any more, if it has been told."""
        if want.said_in == self.generation:
            for data in self.items("unsubscribe", want):
                self._outbox.add(Entry(data, want.topic.message, None))
                self._outbox.ring()

    def _look(self, now: float) -> float:
        """Do what is due and return when to look again."""
        reading = self._standing.reading
        flow = self._standing.router.flow
        if flow.message_at != self._message_at:
            self._message_at = flow.message_at
            self._idle_from = max(self._idle_from, reading.clock(flow.message_at))
        deadline = self._look_at_proof(now)
        if reading.since is not None:
            return min(deadline, self._look_at_pause(reading.since, now))
        if (timeout := self._settings.recv_timeout) is not None:
            due = reading.due(self._idle_from + timeout)
            if due <= now:
                self.link.end(Reason.IDLE, f"no message for {timeout} s")
                return float("inf")
            deadline = min(deadline, due)
        want = self._standing.registry.first_due()
        if want is not None and want.ack_due is not None:
            due = reading.due(want.ack_due)
            if due <= now:
                self.link.end(
                    Reason.IDLE,
                    f"no acknowledgement of subscription {want.topic.number} to "
                    f"{want.topic.message!r} within {self._settings.ack_timeout} s",
                )
                return float("inf")
            deadline = min(deadline, due)
        return deadline

    def _look_at_pause(self, since: float, now: float) -> float:
        timeout = self._settings.slow_timeout
        if timeout is None:
            return float("inf")
        due = max(since, self._opened_at) + timeout
        if due <= now:
            names = ", ".join(self._standing.reading.holders)
            self.link.end(Reason.SLOW_CONSUMER, f"{names}: not read for {timeout} s")
            return float("inf")
        return due

    def _look_at_proof(self, now: float) -> float:
        """Look for a sign of life, and ask for one if none came by itself."""
        if self.proven:
            return float("inf")
        due = self._opened_at + self._settings.stable_after
        if now < due:
            return due
        heard = self._standing.router.received > self._heard
        if heard or self.link.heard_at > self._opened_at:
            self.prove()
            return float("inf")
        if not self._pinged:
            self._pinged = True
            self.link.ping_nowait()
        patience = self._patience
        self._patience = min(PATIENCE[1], 2 * patience)
        return now + patience

    def prove(self) -> None:
        """It has given proof of life."""
        if not self.proven:
            self.proven = True
            self._standing.proved()
