"""A client of ours, its user and its world, as a story wants them; all is judged."""

from __future__ import annotations

import gc
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from random import Random
from typing import Any

import anyio
import anyio.lowlevel

import wsclient

from ...errors import (
    ConnectionClosed,
    GaveUp,
    MaybeSent,
    NotSent,
    QueueFull,
    SubscriptionOverflow,
)
from ...supervisor import FullJitter, Gap
from ...subprotocols import JsonTopics
from ..clock import suspend
from ..link import Link
from ..network import Network
from ..script import ScriptedServer
from .feed import Feed, phase
from .story import Step, Story

__all__ = ("Violation", "World")

HOST = "feed.test"
EPSILON = 1e-6  # seconds: rounding
FLOORS = 66.0  # seconds: 1013's, the largest of all floors, and the flap window, jittered
LIVES = 6  # unproven ones within the flap window
WINDOW = 60.0


class Violation(AssertionError):
    """
    A promise was broken.

    Attributes:
        check: its name.

    """

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check


@dataclass(slots=True)
class Handle:
    """A subscription as its user sees it."""

    channel: str
    policy: str
    subscription: Any
    since: float
    wanted: bool = True
    ended: bool = False
    reading: bool = True
    life: int = 0
    number: int = 0
    gap: bool = False  # was told since the last message
    lost: int = 0  # as gaps told since the last message
    at_once: int = 0  # messages since it reads again, without time going by
    resumed_at: float = inf
    stir: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class Sent:
    """A message as its sender sees it."""

    number: int
    began: float
    fate: str = "pending"
    settled: float = inf


class World:
    """One run of a story."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.trace: list[str] = []
        self.violation: Violation | None = None
        self.handles: list[Handle] = []
        self.sends: list[Sent] = []
        self.reasons: set[str] = set()
        self._began = 0.0
        self._forced: list[float] = []  # when reconnect() was called
        self._woke_at = 0.0
        self._leaving = False
        self._fatal = any(
            step.kind in ("answer", "close", "garbage") and _may_end_it(step)
            for step in story.steps
        )

    # -- judging --------------------------------------------------------------------

    def judge(self, check: str, holds: bool, detail: str) -> None:
        """Note the first promise that is broken, and end the run."""
        if not holds and self.violation is None:
            self.violation = Violation(check, detail)
            self.told(f"! {self.violation}")
            self._scope.cancel()

    def told(self, text: str) -> None:
        """Write down what happens."""
        now = anyio.current_time() - self._began
        self.trace.append(f"{now:10.4f}  {text}")

    # -- the run --------------------------------------------------------------------

    async def play(self) -> None:
        """Live through the story, then through a calm, then leave; judge all of it."""
        settings = self.story.settings
        self._began = anyio.current_time()
        self.network = Network(
            seed=self.story.seed,
            latency=settings.latency,
            capacity=settings.capacity,
            pushed=None if settings.pushed else False,
        )
        self.host = self.network.host(HOST)
        self.feed = Feed(self.network, settings, self.judge, self.told)
        self.feed.wanted_before = self._wanted_before
        self.feed.began = lambda number: self.sends[number - 1].began
        tasks = _tasks()
        timers = _timers()
        with anyio.CancelScope() as self._scope:
            async with ScriptedServer(
                default=self.feed.converse,
                host=HOST,
                port=80,
                listen=self.host.listen,
            ) as self.server:
                await self._live()
            await anyio.lowlevel.checkpoint()
            self._judge_leftovers(tasks, timers)
        if self.violation is not None:
            raise self.violation

    async def _live(self) -> None:
        self.client = self._make_client()
        async with anyio.create_task_group() as self._group:
            await self._stay()
            self._group.cancel_scope.cancel()
        await anyio.sleep(4 * self.story.settings.latency[1] + 1)
        self.judge("leaves no socket", not self.network.live, str(self.network.live))

    def _judge_leftovers(self, tasks: set[int], timers: int) -> None:
        left = [
            repr(task) for task in anyio.get_running_tasks() if task.id not in tasks
        ]
        self.judge("leaves no task", not left, "; ".join(left))
        more = _timers() - timers
        self.judge("leaves no timer", more <= 0, f"{more} more timers than before")

    async def _stay(self) -> None:
        """Enter the client, play, and leave as the story says."""
        settings = self.story.settings
        left_at = inf
        try:
            with anyio.CancelScope() as body:
                async with self.client:
                    self._group.start_soon(self._watch)
                    await self._steps()
                    await self._calm()
                    self._leaving = True
                    left_at = anyio.current_time()
                    if settings.ending == "close":
                        await self.client.close()
                        self._judge_leaving(left_at, settings.close_timeout)
                    elif settings.ending == "cancel":
                        body.cancel()
                        await anyio.lowlevel.checkpoint()
        except GaveUp as error:
            self._judge_giving_up(error)
        bound = 0.0 if settings.ending == "cancel" else settings.close_timeout
        if left_at < inf:
            self._judge_leaving(left_at, bound)
        self._leaving = True
        await anyio.sleep(4 * settings.latency[1] + EPSILON)
        self._judge_fates()

    def _judge_leaving(self, left_at: float, bound: float) -> None:
        took = anyio.current_time() - left_at
        self.judge("leaves in time", took <= bound + EPSILON, f"it took {took} s")

    def _judge_giving_up(self, error: GaveUp) -> None:
        self.told(f"gave up: {error}")
        self.judge("gives up with reason", self._fatal, str(error))

    def _make_client(self) -> wsclient.Client[Any]:
        settings = self.story.settings
        dice = Random(self.story.seed)
        return wsclient.Client(
            self.server.url(),
            dial=self.network.dial,
            random=dice,
            wait=FullJitter(base=settings.base, cap=settings.cap, random=dice),
            subprotocol=JsonTopics(
                key="channel",
                subscribe=lambda topic: {"op": "subscribe", "channel": topic},
                unsubscribe=lambda topic: {"op": "unsubscribe", "channel": topic},
                ack=_ack if settings.acks else None,
            ),
            on_connect=self._greet if settings.hello else None,
            first=settings.first,  # type: ignore[arg-type]
            compression=None,
            **{
                name: getattr(settings, name)
                for name in (
                    "recv_timeout ping_interval ping_timeout open_timeout"
                    " prepare_timeout close_timeout write_timeout ack_timeout"
                    " slow_timeout stable_after"
                ).split()
            },
        )

    async def _greet(self, conversation: Any) -> None:
        await conversation.send('{"op":"hello"}')
        await conversation.recv()

    async def _watch(self) -> None:
        """See every event of the client, and that it tells of no second life."""
        async for event in self.client.events():
            self.told(f"client: {event}")
            self.reasons.add(type(event).__name__)
            outcome = getattr(event, "outcome", None)
            if outcome is not None and outcome.reason is not None:
                self.reasons.add(str(outcome.reason))

    async def _steps(self) -> None:
        for step in self.story.steps:
            await anyio.sleep_until(self._began + step.at)
            if self.client.state == "FAILED":
                return
            self.told(f"step {step.kind} {step.args}")
            act = getattr(self, "_do_" + step.kind.replace(" ", "_"))
            await act(*step.args)
            self._judge_all()

    async def _calm(self) -> None:
        """Heal everything, wait for as long as the promises allow, and judge."""
        self._heal_all()
        await anyio.sleep(self.bound)
        self._judge_all()
        if self.client.state == "FAILED":
            return
        wanted = {handle.channel for handle in self.handles if handle.wanted}
        life = self.feed.life
        topics = set() if life is None else set(life.topics)
        self.judge(
            "every subscription that is wanted is live, and no other",
            not wanted or (topics == wanted and life is not None and life.link.live),
            f"{life!r} instead of {wanted} within {self.bound:g} s",
        )
        pending = [sent.number for sent in self.sends if sent.fate == "pending"]
        self.judge("no send is forgotten", not pending, f"{pending} still wait")

    @property
    def bound(self) -> float:
        """Seconds within which a calm world has everything live again."""
        settings = self.story.settings
        silence = settings.ping_interval + settings.ping_timeout
        attempt = settings.open_timeout + settings.prepare_timeout
        reading = settings.slow_timeout + settings.write_timeout
        pause = settings.cap + FLOORS
        return silence + reading + settings.ack_timeout + pause + 2 * attempt

    def _heal_all(self) -> None:
        self.told("calm")
        self._woke_at = anyio.current_time()
        network, host = self.network, self.host
        network.latency = self.story.settings.latency
        self.feed.answers.clear()
        self.feed.silent_acks = False
        host.lookup, host.lookup_error = 0.0, None
        host.refuses, host.stalls_at = False, None
        self._restart()
        host.resume()
        network.heal()
        for link in network.links:
            link.heal()
        for handle in self.handles:
            self._read_again(handle)

    # -- what is judged from the records ----------------------------------------------

    def _judge_all(self) -> None:
        live = [link for link in self.network.links if link.live]
        self.judge("at most one connection is live", len(live) <= 1, str(live))
        self._judge_flapping()

    def _judge_flapping(self) -> None:
        """At most six lives without proof a minute; those of reconnect() aside."""
        stable = self.story.settings.stable_after
        begun = [
            life.link.opened_at
            for life in self.feed.lives
            if life.peer.endpoint.response is not None
            and (life.peer.gone_at or inf) - life.link.opened_at < stable
        ]
        slack = 4 * max(self.story.settings.latency[1], 2.0)  # on the way
        for first in range(len(begun) - LIVES):
            span = begun[first + LIVES] - begun[first]
            forced = [
                at
                for at in self._forced
                if begun[first] - slack <= at <= begun[first + LIVES]
            ]
            self.judge(
                "attempts stay under the flap window",
                bool(forced) or span >= WINDOW - slack,
                f"{LIVES + 1} unproven lives within {span:g} s: {begun}",
            )

    def _wanted_before(self, moment: float) -> set[str]:
        """The channels wanted since; one not read may have overflowed and ended."""
        return {
            handle.channel
            for handle in self.handles
            if handle.wanted and not handle.ended and handle.since < moment
            if handle.reading or handle.policy != "error"
        }

    def _judge_fates(self) -> None:
        """What became of each send is what its sender was told."""
        receivers = self.feed.receivers()
        last = self.feed.lives[-1] if self.feed.lives else None
        for sent in self.sends:
            came = sent.number in receivers
            match sent.fate:
                case "pending":
                    self.judge("no send is forgotten", False, f"{sent}")
                case "not sent" | "full" | "dropped":
                    self.judge("what is told as not sent is not", not came, f"{sent}")
                case "sent":
                    opened = last.link.opened_at if last is not None else inf
                    whole = (
                        sent.settled > opened
                        and sent.began > opened
                        and self.story.settings.ending != "cancel"
                        and self._clean(last.link if last else None)
                    )
                    self.judge(
                        "what is told as sent arrives", came or not whole, f"{sent}"
                    )

    def _clean(self, link: Link | None) -> bool:
        """Whether all that was sent on it was read."""
        return link is not None and len(link.up.sent) == len(link.up.received)

    # -- what the user does -----------------------------------------------------------

    def _spawn(self, function: Callable[[], Awaitable[object]]) -> None:
        async def guarded() -> None:
            try:
                await function()
            except Exception as error:  # noqa: BLE001 - that is what is judged
                self.judge("raises what is documented", False, repr(error))

        self._group.start_soon(guarded)

    async def _do_subscribe(self, channel: str, policy: str) -> None:
        try:
            subscription = await self.client.subscribe(
                channel,
                overflow=policy,  # type: ignore[arg-type]
                max_messages=self.story.settings.max_messages,
            )
        except (GaveUp, ConnectionClosed):
            return
        handle = Handle(channel, policy, subscription, anyio.current_time())
        self.handles.append(handle)
        self._spawn(partial(self._read, handle))

    async def _do_unsubscribe(self, index: int) -> None:
        handles = [handle for handle in self.handles if handle.wanted]
        if index < len(handles):
            handle = handles[index]
            handle.wanted = False
            with anyio.CancelScope(shield=True):
                await handle.subscription.unsubscribe()

    async def _read(self, handle: Handle) -> None:
        items = handle.subscription.with_gaps()
        while True:
            if not handle.reading:
                handle.stir = anyio.Event()
                await handle.stir.wait()
                continue
            try:
                item = await anext(items)
            except StopAsyncIteration:
                break
            except SubscriptionOverflow:
                self.told(f"{handle.channel}: overflow")
                self.judge(
                    "overflows as it was asked to",
                    handle.policy == "error",
                    f"{handle} ended by an overflow",
                )
                handle.wanted = False
                break
            except (GaveUp, ConnectionClosed):
                break
            self._judge_item(handle, item)
        handle.ended = True
        over = self._leaving or not handle.wanted or self.client.state == "FAILED"
        self.judge("reading ends with the subscription", over, f"{handle}")

    def _judge_item(self, handle: Handle, item: Any) -> None:
        if isinstance(item, Gap):
            handle.gap = True
            # One of a new life says no number; what was lost before is under it.
            handle.lost = 0 if item.lost is None else handle.lost + item.lost
            self.told(f"{handle.channel}: {item}")
            return
        life, number = item["life"], item["n"]
        self.told(f"{handle.channel} {number} of life {life}")
        first = not handle.life
        detail = f"{item} after {handle.number} of life {handle.life} ({handle})"
        self.judge("routes to who asked", item["channel"] == handle.channel, detail)
        self.judge("nothing comes of a former life", life >= handle.life, detail)
        if life > handle.life:
            self.judge("a new life is told as a gap", first or handle.gap, detail)
            handle.number = 0
        if not (first and number > 1):  # a shared one joins in the midst
            self.judge(
                "what comes is a prefix in order, the rest under a gap",
                number == handle.number + handle.lost + 1,
                detail,
            )
        handle.life, handle.number, handle.lost, handle.gap = life, number, 0, False
        if anyio.current_time() == handle.resumed_at:
            handle.at_once += 1
            self.judge(
                "queues are bounded",
                handle.policy == "pause"
                or handle.resumed_at == self._woke_at  # then all comes in one moment
                or handle.at_once <= self.story.settings.max_messages,
                f"{handle.at_once} at once: {handle}",
            )

    async def _do_stop_reading(self, index: int) -> None:
        if index < len(self.handles):
            self.handles[index].reading = False

    async def _do_read_again(self, index: int) -> None:
        if index < len(self.handles):
            self._read_again(self.handles[index])

    def _read_again(self, handle: Handle) -> None:
        if not handle.reading:
            handle.reading = True
            handle.at_once = 0
            handle.resumed_at = anyio.current_time()
            handle.stir.set()

    async def _do_send(self, when_down: str, patience: float | None) -> None:
        self._spawn(partial(self._send, when_down, patience))

    async def _do_sends(self, when_down: str, count: int) -> None:
        for _ in range(count):
            await self._do_send(when_down, None)

    async def _send(self, when_down: str, patience: float | None) -> None:
        sent = Sent(len(self.sends) + 1, anyio.current_time())  # in the order of calls
        self.sends.append(sent)
        message = {"op": "say", "id": sent.number}
        fate = "cancelled"
        try:
            with anyio.move_on_after(inf if patience is None else patience):
                receipt = await self.client.send(
                    message,
                    when_down,  # type: ignore[arg-type]
                )
                fate = "waits"
            if fate == "waits":
                fate = str(await receipt.wait())
        except QueueFull:
            fate = "full"
        except NotSent:
            fate = "not sent"
        except MaybeSent:
            fate = "maybe sent"
        sent.fate, sent.settled = fate, anyio.current_time()
        self.told(f"send {sent.number}: {fate}")

    async def _do_reconnect(self) -> None:
        self._forced.append(anyio.current_time())
        self.client.reconnect()

    async def _do_mark_healthy(self) -> None:
        self._forced.append(anyio.current_time())  # what was proof is the user's word
        self.client.mark_healthy()

    async def _do_suspend(self, seconds: float) -> None:
        suspend(seconds)
        self._woke_at = anyio.current_time()
        await anyio.lowlevel.checkpoint()

    # -- what the network does -----------------------------------------------------------

    def _links(self) -> list[Link]:
        return self.network.live[-1:]

    async def _do_reset(self) -> None:
        for link in self._links():
            link.reset()

    async def _do_eof(self, way: Any) -> None:
        for link in self._links():
            link.eof(way)

    async def _do_silence(self, way: Any) -> None:
        for link in self._links():
            link.silence(way)

    async def _do_stall(self, way: Any) -> None:
        for link in self._links():
            link.stall(way)

    async def _do_heal(self) -> None:
        for link in self._links():
            link.heal()

    async def _do_partition(self) -> None:
        self.network.partition("client", HOST)

    async def _do_mend(self) -> None:
        self.network.heal()

    async def _do_latency(self, seconds: float) -> None:
        self.network.latency = seconds, 2 * seconds

    async def _do_slow_DNS(self, seconds: float) -> None:  # noqa: N802 - a name
        self.host.lookup = seconds

    async def _do_no_DNS(self, broken: bool) -> None:  # noqa: N802 - a name
        self.host.lookup_error = OSError("no name server answers") if broken else None

    async def _do_stalls_at(self, name: object) -> None:
        self.host.stalls_at = phase(name)

    # -- what the server does ---------------------------------------------------------

    async def _do_crash(self) -> None:
        self.host.crash()

    async def _do_power_off(self) -> None:
        self.host.power_off()

    async def _do_restart(self) -> None:
        self._restart()

    def _restart(self) -> None:
        if not self.host.up:
            self.host.restart()

    async def _do_pause(self) -> None:
        self.host.pause()

    async def _do_resume(self) -> None:
        self.host.resume()

    async def _do_move(self) -> None:
        self.host.move()

    async def _do_refuse(self, refuses: bool) -> None:
        self.host.refuses = refuses

    async def _do_answer(self, how: str, count: int, *arguments: object) -> None:
        self.feed.answers.extend([(how, *arguments)] * count)

    async def _do_no_acks(self, silent: bool) -> None:
        self.feed.silent_acks = silent

    async def _do_close(self, code: int | None) -> None:
        await self._with_peer(lambda peer: peer.close(code))

    async def _do_garbage(self) -> None:
        await self._with_peer(lambda peer: peer.write(b"\xff\xff"))

    async def _do_half_a_frame(self) -> None:
        def half(peer: Any) -> None:
            peer.write(peer.endpoint.encode("x" * 100)[:20])
            peer.polite = False

        await self._with_peer(half)

    async def _do_burst(self, count: int) -> None:
        life = self.feed.life
        if life is not None and life.peer.closed_at is None:
            for channel in list(life.topics):
                for _ in range(count):
                    self.feed.publish(life, channel)

    async def _with_peer(self, act: Callable[[Any], object]) -> None:
        life = self.feed.life
        if life is not None and life.peer.endpoint.close_sent is None:
            try:
                act(life.peer)
            except EOFError:
                pass  # it has just said Close


def _may_end_it(step: Step) -> bool:
    """Whether a client that never worked may give up because of it."""
    match step.kind, step.args:
        case ("answer", ("status", _, 403)) | ("answer", ("garbage", _)):
            return True
        case ("answer", ("close", _, code)) | ("close", (code,)):
            return code in (1002, 1008)
    return False


def _ack(message: Any) -> object:
    return message.get("ack") if isinstance(message, dict) else None


def _tasks() -> set[int]:
    return {task.id for task in anyio.get_running_tasks()}


def _timers() -> int:
    """How many callbacks asyncio has been asked for and not told to forget."""
    from ..clock import on_asyncio

    if not on_asyncio():
        return 0  # trio has deadlines of tasks, and those are counted
    import asyncio

    scheduled = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009
    return sum(not handle.cancelled() for handle in scheduled)
