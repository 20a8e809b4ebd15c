"""The user of a story: subscribes, reads, sends, and compares all with promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ...client.client import Client
from ...errors import (
    MaybeSent,
    NotSent,
    QueueFull,
    SubscriptionOverflow,
)
from ...supervisor import Gap
from ..network import Network
from .attempts import Attempts
from .feed import Feed
from .judge import Judge
from .records import Left, left

__all__ = ("Handle", "Sent", "User")


@dataclass(slots=True)
class Handle:
    """
    A subscription as its user sees it.

    Attributes:
        since: when it was made.
        wanted: until it is unsubscribed, or told that it has overflowed.
        reading: whether its user takes what comes.
        life, number: of the last message.
        gap: whether one was told since.
        lost: how many messages gaps have told of since.
        many: whether it is read with recv_many(), which tells of no gaps.
        left_out: how many messages were missing between those that came so.
        at_once: messages since it is read again, while no time went by.
        waited_until: when it got the one that it waited for as it was to stop.

    """

    channel: str
    policy: str
    subscription: Any
    since: float
    wanted: bool = True
    ended: bool = False
    reading: bool = True
    life: int = 0
    number: int = 0
    gap: bool = False
    lost: int = 0
    at_once: int = 0
    resumed_at: float = inf
    waited_until: float = -inf
    many: bool = False
    left_out: int = 0
    stir: anyio.Event = field(default_factory=anyio.Event, repr=False)


@dataclass(slots=True)
class Sent:
    """A message as its sender sees it."""

    number: int
    began: float
    size: int
    when_down: str
    fate: str = "pending"
    settled: float = inf
    first: int = 0  # the number of the first that send_many() was given with it


class User:
    """
    Has a client, and knows what was promised about it.

    Args:
        client: what it uses.
        judge: told what must hold.
        group: where its readers and senders run.
        attempts: told what it asks of the client.
        feed: the server's records.
        ends: what calls raise when the client is over.
        max_messages: the bound of each of its queues.

    """

    def __init__(
        self,
        client: Client[Any],
        judge: Judge,
        group: TaskGroup,
        attempts: Attempts,
        feed: Feed,
        *,
        ends: tuple[type[Exception], ...],
        max_messages: int,
    ) -> None:
        self.client = client
        self.handles: list[Handle] = []
        self.sends: list[Sent] = []
        self.forced: list[float] = []  # when lives began that the window does not bind
        self.woke_at = 0.0  # when much came in one moment
        self.leaving = False
        self.left_at = inf
        self._judge = judge
        self._group = group
        self._attempts = attempts
        self._feed = feed
        self._ends = ends
        self._max_messages = max_messages

    # What is known of it.

    def wanted(self) -> set[str]:
        """The channels wanted now."""
        return {handle.channel for handle in self.handles if handle.wanted}

    def wanted_before(self, moment: float) -> set[str]:
        """The channels wanted since; one not read may have overflowed and ended."""
        now = anyio.current_time()
        return {
            handle.channel
            for handle in self.handles
            if handle.wanted and not handle.ended and handle.since < moment
            if handle.policy != "error" or (handle.reading and handle.resumed_at != now)
        }

    def waiting(self) -> list[int]:
        """The messages of which nothing is known yet."""
        return [sent.number for sent in self.sends if sent.fate == "pending"]

    # What it does.

    def _spawn(self, function: Callable[[], Awaitable[object]]) -> None:
        async def guarded() -> None:
            try:
                await function()
            except Exception as error:  # noqa: BLE001 - that is what is judged
                self._judge("raises what is documented", False, repr(error))

        self._group.start_soon(guarded)

    async def subscribe(self, channel: str, policy: Any, *, many: bool = False) -> None:
        """Subscribe and read."""
        try:
            subscription = await self.client.subscribe(
                channel, overflow=policy, max_messages=self._max_messages
            )
        except self._ends:
            return
        handle = Handle(channel, policy, subscription, anyio.current_time(), many=many)
        self.handles.append(handle)
        self._spawn(partial(self._read, handle))

    async def unsubscribe(self, index: int) -> None:
        """Unsubscribe one of those that are wanted, if there are so many."""
        handles = [handle for handle in self.handles if handle.wanted]
        if index < len(handles):
            handles[index].wanted = False
            await handles[index].subscription.unsubscribe()

    def stop_reading(self, index: int) -> None:
        """Take nothing any more from one of its subscriptions."""
        if index < len(self.handles):
            self.handles[index].reading = False

    def read_again(self, index: int) -> None:
        """Take what comes again."""
        if index < len(self.handles) and not self.handles[index].reading:
            handle = self.handles[index]
            handle.reading = True
            handle.at_once = 0
            handle.resumed_at = anyio.current_time()
            handle.stir.set()

    def send(self, when_down: Any, patience: float | None, size: int) -> None:
        """Send a message, with a task that waits for its fate."""
        self._spawn(partial(self._send, when_down, patience, size))

    def send_many(
        self, when_down: Any, patience: float | None, count: int, size: int
    ) -> None:
        """Send messages in one call, with a task that waits for their fate."""
        self._spawn(partial(self._send_many, when_down, patience, count, size))

    def reconnect(self) -> None:
        """Ask for a new connection."""
        self.forced.append(anyio.current_time())
        self._attempts.reconnect()
        self.client.reconnect()

    def mark_healthy(self) -> None:
        """Say that all works; that is proof, whatever the server's records say."""
        self.forced.append(anyio.current_time())
        self._attempts.mark_healthy()
        self.client.mark_healthy()

    # What it is told, and whether that may be.

    async def _read(self, handle: Handle) -> None:
        subscription = handle.subscription
        gaps = subscription.with_gaps()
        while True:
            if not handle.reading:
                handle.stir = anyio.Event()
                await handle.stir.wait()
                continue
            try:
                if handle.many:
                    self.heard_many(handle, await subscription.recv_many())
                else:
                    self.heard(handle, await anext(gaps))
            except StopAsyncIteration:
                break
            except SubscriptionOverflow:
                self._judge.told(f"{handle.channel}: overflow")
                check, asked = "overflows only if asked to", handle.policy == "error"
                self._judge(check, asked, handle)
                handle.wanted = False
                break
            except self._ends:
                break
        handle.ended = True
        over = self.leaving or not handle.wanted or self.client.state == "FAILED"
        self._judge("reading ends with the subscription", over, handle)

    def heard(self, handle: Handle, item: Any) -> None:
        """Compare an item with those before it."""
        if isinstance(item, Gap):
            handle.gap = True
            # One of a new life says no number; what was lost before is under it.
            handle.lost = 0 if item.lost is None else handle.lost + item.lost
            self._judge.told(f"{handle.channel}: {item}")
            return
        judge = self._judge
        life, number = item["life"], item["n"]
        judge.told(f"{handle.channel} {number} of life {life}")
        first = not handle.life
        detail = f"{item} for {handle}"
        judge("routes to who asked", item["channel"] == handle.channel, detail)
        judge("nothing comes of a former life", life >= handle.life, detail)
        came = self._feed.came(life, item["channel"], number)
        judge("nothing is heard that came after leaving", came <= self.left_at, detail)
        if life > handle.life:
            judge("a new life is told as a gap", first or handle.gap, detail)
            handle.number = 0
        if not (first and number > 1):  # who shares a subscription joins in the midst
            expected = handle.number + handle.lost + 1
            check = "what comes is a prefix in order, the rest under a gap"
            judge(check, number == expected, detail)
        handle.life, handle.number, handle.lost, handle.gap = life, number, 0, False
        now = anyio.current_time()
        if not handle.reading:
            handle.waited_until = now
        if now == handle.resumed_at != self.woke_at and came > handle.waited_until:
            handle.at_once += 1  # what came as it waited came to a reader at hand
            bounded = handle.policy == "pause" or handle.at_once <= self._max_messages
            judge("queues are bounded", bounded, detail)

    def heard_many(self, handle: Handle, items: list[Any]) -> None:
        """Compare items that came at once, where a gap is told only by what misses."""
        judge, first = self._judge, items[0]
        lives = {item["life"] for item in items}
        judge("many come of one connection", len(lives) == 1, items)
        if handle.life:
            renewed = first["life"] > handle.life
            missing = first["n"] - 1 - (0 if renewed else handle.number)
            handle.gap = renewed
            if handle.policy in ("drop_oldest", "drop_newest") and missing > 0:
                handle.lost = missing
                handle.left_out += missing
                counted = handle.left_out <= handle.subscription.lost
                judge("what many leave out is counted", counted, handle)
        for item in items:
            self.heard(handle, item)

    async def _send(self, when_down: Any, patience: float | None, size: int) -> None:
        number = len(self.sends) + 1  # in the order of the calls
        sent = Sent(number, anyio.current_time(), size, when_down)
        self.sends.append(sent)
        message = {"op": "say", "id": sent.number, "pad": "x" * size}
        receipt, fate = None, "cancelled"
        try:
            with anyio.move_on_after(inf if patience is None else patience):
                receipt = await self.client.send(message, when_down)
            if receipt is not None:
                fate = str(await receipt.wait())
        except QueueFull:
            fate = "not_sent"
        except NotSent:
            fate = "not_sent"
            over = self.leaving or self.client.state == "FAILED"
            check = "what may wait is given up only with the client"
            self._judge(check, over or when_down in ("raise", "drop"), sent)
        except MaybeSent:
            fate = "maybe_sent"
        sent.fate, sent.settled = fate, anyio.current_time()
        self._judge.told(f"send {sent.number}: {fate}")

    async def _send_many(
        self, when_down: Any, patience: float | None, count: int, size: int
    ) -> None:
        first, began = len(self.sends) + 1, anyio.current_time()
        many = [
            Sent(number, began, size, when_down, first=first)
            for number in range(first, first + count)
        ]
        self.sends += many
        messages = [
            {"op": "say", "id": sent.number, "pad": "x" * size} for sent in many
        ]
        rest, fate = count, "cancelled"
        try:
            with anyio.move_on_after(inf if patience is None else patience):
                await self.client.send_many(messages, when_down)
                rest = 0
        except NotSent as error:
            rest, fate = self._rest_of(error, messages), "not_sent"
            over = self.leaving or self.client.state == "FAILED"
            check = "what may wait is given up only with the client"
            self._judge(check, over or when_down == "raise", many)
        except MaybeSent as error:
            rest, fate = self._rest_of(error, messages), "maybe_sent"
        for sent in many:
            sent.fate = "sent" if sent.number < first + count - rest else fate
            sent.settled = anyio.current_time()
        self._judge.told(f"send {first} to {first + count - 1}: {rest} {fate}")

    def _rest_of(
        self, error: NotSent | MaybeSent, messages: list[dict[str, Any]]
    ) -> int:
        """How many messages an error of send_many() tells of: the last ones."""
        rest: Any = error.message
        last = isinstance(rest, list) and rest == messages[-len(rest) :]
        told = last and rest != []
        self._judge("send_many() tells which were not sent", told, rest)
        return len(rest)

    def judge_fates(self, network: Network, *, cut_short: bool) -> None:
        """
        See that what became of each message is what its sender was told.

        Args:
            network: whose records tell it, with the server's.
            cut_short: whether the last connection was ended at once.

        """
        receivers = self._feed.receivers()
        all_left = [one for link in network.links for one in left(link)]
        known = {one.number: one for one in all_left}
        self._judge("sends nothing twice", len(known) == len(all_left), all_left)
        last = network.links[-1] if network.links else None
        for sent in self.sends:
            one = known.get(sent.number)
            self._judge_fate(sent, one)
            if one is not None and one.link is last and not cut_short:
                up, served = one.link.up, self._feed.listens_on(one.link)
                read = served and len(up.sent) == len(up.received)
                came = sent.number in receivers or not (one.whole and read)
                self._judge("what left arrives", came, sent)

    def _judge_fate(self, sent: Sent, one: Left | None) -> None:
        judge = self._judge
        opened = -inf if one is None else one.link.opened_at
        whole = one is not None and one.whole
        match sent.fate:
            case "pending":
                judge("no send is forgotten", False, sent)
            case "not_sent" | "dropped":
                check = "what is told as not sent has not left"
                judge(check, one is None, sent)
            case "sent":
                judge("what is told as sent has left", whole, sent)
            case "cancelled":
                check = "what was cancelled does not leave later"
                judge(check, opened <= sent.settled, sent)
        if sent.when_down in ("raise", "drop"):
            check = "what may not wait leaves at once or not at all"
            judge(check, opened <= sent.began, sent)
