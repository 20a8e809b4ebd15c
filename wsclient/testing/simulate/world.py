"""One run of a story: a client, its user, its network and its server, all judged."""

from __future__ import annotations

import asyncio
import gc
from math import inf
from random import Random
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ...client.client import Client
from ...errors import ConnectionClosed, GaveUp, WebSocketError
from ...subprotocols import JsonTopics
from ...supervisor import FullJitter
from ...supervisor.life import Life
from ..clock import on_asyncio
from ..link import Link
from ..network import Network
from ..script import ScriptedServer
from .acts import Stage, act
from .attempts import Attempts
from .feed import Feed
from .judge import Judge
from .story import Step, Story
from .user import User

__all__ = ("World",)

HOST = "feed.test"
CALM = 12.0  # seconds for which all is to be well
POLL = 3.0
EPSILON = 1e-6  # seconds: rounding
FLOORS = (
    66.0  # seconds: the longest floor, 1013's, or the flap window, jittered upwards
)
ENDS = (GaveUp, ConnectionClosed)
LIVES, WINDOW = 6, 60.0  # unproven ones at most, in so many seconds

TIMES = (
    "recv_timeout",
    "ping_interval",
    "ping_timeout",
    "open_timeout",
    "prepare_timeout",
    "close_timeout",
    "write_timeout",
    "ack_timeout",
    "slow_timeout",
    "stable_after",
)


class World:
    """
    One run of a story, judged by the records of the network and of the server.

    Attributes:
        judge: who knows what happened, and the first promise that was broken.
        reasons: the kinds of events and the reasons that the client told.

    """

    def __init__(self, story: Story) -> None:
        self.story = story
        self.judge = Judge()
        self.reasons: set[str] = set()
        settings = story.settings
        self.network = Network(
            seed=story.seed,
            latency=settings.latency,
            capacity=settings.capacity,
            pushed=None if settings.pushed else False,
        )
        self.host = self.network.host(HOST)
        self.feed = Feed(self.network, settings, self.judge)
        self._entered = False
        self._over = anyio.Event()
        self._fatal = any(map(_may_end_it, story.steps))

    async def play(self) -> None:
        """
        Live through the story, then through a calm, then leave.

        Raises:
            Violation: the first promise that was broken.

        """
        judge = self.judge
        judge.began = anyio.current_time()
        if on_asyncio():
            asyncio.get_running_loop().set_exception_handler(self._judge_unseen)
        tasks, timers = _tasks(), _timers()
        with anyio.CancelScope() as judge.scope:
            async with ScriptedServer(
                default=self.feed.converse, host=HOST, port=80, listen=self.host.listen
            ) as server:
                await self._live(server.url())
            await checkpoint()
            self._judge_leftovers(tasks, timers)
        if judge.violation is not None:
            raise judge.violation

    async def _live(self, url: str) -> None:
        settings = self.story.settings
        dice = Random(self.story.seed)
        jitter = FullJitter(base=settings.base, cap=settings.cap, random=dice)
        attempts = Attempts(self.network, jitter, settings.stable_after, self.judge)
        client = self._make_client(url, attempts, dice)
        async with anyio.create_task_group() as group:
            user = User(
                client,
                self.judge,
                group,
                attempts,
                self.feed,
                ends=(WebSocketError,) if settings.first == "raise" else ENDS,
                max_messages=settings.max_messages,
            )
            self.feed.user = user
            await self._stay(user, group)
            group.cancel_scope.cancel()
        await anyio.sleep(4 * self._latency + 1)
        self.judge("leaves no socket", not self.network.live, self.network.live)

    def _make_client(self, url: str, attempts: Attempts, dice: Random) -> Client[Any]:
        settings = self.story.settings
        times: dict[str, Any] = {name: getattr(settings, name) for name in TIMES}
        first: Any = settings.first
        return Client(
            url,
            dial=attempts.dial,
            random=dice,
            wait=attempts.wait,
            subprotocol=JsonTopics(
                key="channel",
                subscribe=lambda topic: {"op": "subscribe", "channel": topic},
                unsubscribe=lambda topic: {"op": "unsubscribe", "channel": topic},
                ack=_ack if settings.acks else None,
            ),
            on_connect=_greet if settings.hello else None,
            first=first,
            compression=None,
            **times,
        )

    async def _stay(self, user: User, group: TaskGroup) -> None:
        """Enter the client, and leave when the story is over."""
        body = anyio.CancelScope()
        try:
            with body:
                group.start_soon(self._perform, user, group, body)
                async with user.client:
                    self._entered = True
                    await self._over.wait()
        except GaveUp as error:
            self.judge("gives up with a reason", self._fatal, error)
        except WebSocketError as error:
            asked = self.story.settings.first == "raise"
            closed = user.leaving and isinstance(error, ConnectionClosed)
            allowed = (asked or closed) and not self._entered
            self.judge("entering raises the first failure if asked to", allowed, error)
        settings = self.story.settings
        took = anyio.current_time() - user.left_at
        self.judge(
            "leaves in time",
            took <= (0.0 if body.cancel_called else settings.close_timeout) + EPSILON,
            f"it took {took} s",
        )
        user.leaving = True
        await anyio.sleep(4 * self._latency + EPSILON)
        cut_short = body.cancel_called or not settings.calm
        user.judge_fates(self.network, cut_short=cut_short)

    async def _perform(
        self, user: User, group: TaskGroup, body: anyio.CancelScope
    ) -> None:
        """Play, while the client is perhaps still being entered, and then leave."""
        settings = self.story.settings
        stage = Stage(user, self.network, self.host, self.feed)
        group.start_soon(self._watch, user.client)
        await self._steps(stage)
        if settings.calm:
            await self._calm(stage)
        user.leaving = True
        user.left_at = anyio.current_time()
        self.judge.told(f"leaves by {settings.ending}")
        if settings.ending == "close":
            await user.client.close()
        elif settings.ending == "cancel" or not self._entered:
            body.cancel()
        self._over.set()

    @property
    def _latency(self) -> float:
        """Seconds that any way has taken, at most."""
        known = [link.up.latency for link in self.network.links]
        return max(known, default=0.0)

    async def _watch(self, client: Client[Any]) -> None:
        async for event in client.events():
            self.judge.told(f"client: {event}")
            self.reasons.add(type(event).__name__)
            outcome = getattr(event, "outcome", None)
            if outcome is not None and outcome.reason is not None:
                self.reasons.add(str(outcome.reason))

    async def _steps(self, stage: Stage) -> None:
        for step in self.story.steps:
            await anyio.sleep_until(self.judge.began + step.at)
            if stage.user.client.state in ("FAILED", "CLOSED"):
                return
            self.judge.told(f"step {step.kind} {step.args}")
            await act(stage, step)
            self.judge_records(stage.user)

    async def _calm(self, stage: Stage) -> None:
        """End all trouble, and see all well for a while, within the bound."""
        self.judge.told("calm")
        self.network.latency = self.story.settings.latency
        await act(stage, Step(0, "calm"))
        polls: list[dict[Link, int]] = []
        deadline = anyio.current_time() + self.bound
        transfer = 0.0
        well_since = inf
        while stage.user.client.state != "FAILED":
            now = anyio.current_time()
            self.judge_records(stage.user)
            polls.append({link: len(link.down.sent) for link in self.network.live})
            missing = self._missing(stage.user, polls)
            well_since = inf if missing else min(well_since, now)
            if now >= well_since + CALM:
                self._judge_generations(stage.user)
                return
            transfer = max(transfer, self._transfer(stage.user))
            if now >= deadline + transfer:
                self.judge("everything wanted is live within a bound", False, missing)
                return
            await anyio.sleep(POLL)

    def _missing(self, user: User, polls: list[dict[Link, int]]) -> str:
        """What is not well yet, by the records of the server and the network."""
        if waiting := user.waiting():
            return f"sends {waiting} still wait"
        wanted = user.wanted()
        life = self.feed.life
        if life is None or not life.link.live:
            return f"{life!r} is not live, {wanted} are wanted"
        if set(life.topics) != wanted:
            return f"{life!r} instead of {wanted}"
        if life.unacknowledged:
            return f"{life!r} goes on, {life.unacknowledged} were not acknowledged"
        if not wanted:
            return ""
        # What was said in the calm and had time to arrive is read.
        said = [poll.get(life.link, 0) for poll in polls]
        if len(said) < 4 or not said[0] < said[-3] <= len(life.link.down.received):
            return f"{life!r}: what it says is not read, or it says nothing"
        return ""

    def _transfer(self, user: User) -> float:
        """Seconds that what waits to be sent is on its way: a capacity each latency."""
        settings = self.story.settings
        size = sum(sent.size + 100 for sent in user.sends if sent.fate == "pending")
        return size / settings.capacity * max(self._latency, settings.latency[1])

    @property
    def bound(self) -> float:
        """Seconds within which a calm world has everything live again."""
        settings = self.story.settings
        silence = settings.ping_interval + settings.ping_timeout
        attempt = settings.open_timeout + settings.prepare_timeout
        standstill = settings.slow_timeout + settings.write_timeout
        pause = settings.cap + FLOORS
        return silence + standstill + settings.ack_timeout + pause + 2 * attempt

    # What is judged from the records.

    def judge_records(self, user: User) -> None:
        """See what holds at any moment."""
        most = self.network.most_live
        self.judge("at most one connection is live", most <= 1, f"{most} at once")
        self._judge_flapping(user)

    def _judge_flapping(self, user: User) -> None:
        """At most six lives without proof a minute; those of reconnect() aside."""
        stable = self.story.settings.stable_after
        begun = [
            life.link.opened_at
            for life in self.feed.lives
            if b"\r\n\r\n" in life.link.down.received  # it had the 101
            and life.peer.endpoint.response is not None
            and (life.peer.gone_at or inf) - life.link.opened_at < stable
        ]
        slack = 4 * max(self.story.settings.latency[1], 2.0)  # on the way
        for first, last in zip(begun, begun[LIVES:], strict=False):
            forced = any(first - slack <= at <= last for at in user.forced)
            self.judge(
                "attempts stay under the flap window",
                forced or last - first >= WINDOW - slack,
                f"{LIVES + 1} unproven lives within {last - first:g} s: {begun}",
            )

    def _judge_unseen(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """What the event loop alone is told of: nobody else would be."""
        error = context.get("exception", context["message"])
        self.judge("nothing fails unseen", False, repr(error))

    def _judge_generations(self, user: User) -> None:
        """
        Let no life but the present one be kept, nor what it holds.

        Its connection is no measure: the network's records keep wires, which know it.

        """
        gc.collect(0)  # it is off while a story runs, so all of the story's is young
        kept = [one for one in gc.get_objects(1) if type(one) is Life]
        self.judge(
            "no buffer outlives its generation",
            len(kept) <= 1,
            f"{len(kept)} lives are kept, while {user.client.state}",
        )

    def _judge_leftovers(self, tasks: set[int], timers: int) -> None:
        left = [task for task in anyio.get_running_tasks() if task.id not in tasks]
        self.judge("leaves no task", not left, left)
        more = _timers() - timers
        self.judge("leaves no timer", more <= 0, f"{more} more timers than before")


def _may_end_it(step: Step) -> bool:
    """Whether a client that never worked may give up because of it."""
    match step.kind, step.args:
        case ("answer", ("status", _, 403)) | ("answer", ("garbage", _)):
            return True
        case ("answer", ("close", _, code)) | ("close", (code,)):
            return code in (1002, 1008)
    return False


async def _greet(conversation: Any) -> None:
    await conversation.send('{"op":"hello"}')
    await conversation.recv()


def _ack(message: Any) -> object:
    return message.get("ack") if isinstance(message, dict) else None


def _tasks() -> set[int]:
    return {task.id for task in anyio.get_running_tasks()}


def _timers() -> int:
    """How many callbacks asyncio has been asked for and not told to forget."""
    if not on_asyncio():
        return 0  # trio has deadlines of tasks, and those are counted
    scheduled = vars(asyncio.get_running_loop())["_scheduled"]
    return sum(not handle.cancelled() for handle in scheduled)
