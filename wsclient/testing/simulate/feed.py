"""The server of a story: it publishes numbers, and writes down all it is told."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import anyio

from ..link import Link
from ..network import Network
from ..peer import Peer
from ..script import drips
from .judge import Judge
from .story import Settings

__all__ = ("Customer", "Feed", "Life")


class Call(Protocol):
    """A message that a user sends."""

    @property
    def began(self) -> float:
        """When it was asked for."""
        ...

    @property
    def first(self) -> int:
        """The number of the first of those that one call sends; 0: it is alone."""
        ...


class Customer(Protocol):
    """What the server may know of the user, to judge what it is told."""

    @property
    def sends(self) -> Sequence[Call]:
        """What was sent; the first has number 1."""
        ...

    def wanted_before(self, moment: float) -> set[str]:
        """The channels wanted since."""
        ...


class Life:
    """
    One connection as the server sees it.

    Attributes:
        peer, link: its two records, the server's and the network's.
        topics: the channels it wants now; for each the number said last.
        said: how often it asked for each channel, in this connection.
        unacknowledged: channels that it waits to see acknowledged.
        came: when each message arrives there, at the earliest.
        received: the numbers of the messages it sent.
        greeted: whether it said hello.
        served: whether the server listens to what it says.
        began: when its user sent the last of the messages that were sent alone.

    """

    def __init__(self, peer: Peer, link: Link) -> None:
        self.peer = peer
        self.link = link
        self.topics: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.came: dict[tuple[str, int], float] = {}
        self.received: list[int] = []
        self.unacknowledged: set[str] = set()
        self.greeted = False
        self.served = False
        self.began = 0.0

    @property
    def number(self) -> int:
        return self.peer.number

    def __repr__(self) -> str:
        return f"<life {self.number}: wants {list(self.topics)}>"


class Feed:
    """What every connection of the server meets, and the records of all."""

    def __init__(
        self,
        network: Network,
        settings: Settings,
        judge: Judge,
    ) -> None:
        self.lives: list[Life] = []
        self.answers: deque[tuple[object, ...]] = deque()
        self.silent_acks = False
        self.user: Customer
        self._many: dict[int, int] = {}  # the last to come, by the first of a call
        self._network = network
        self._settings = settings
        self._judge = judge

    def listens_on(self, link: Link) -> bool:
        """Whether what arrives there is taken."""
        return any(life.served and life.link is link for life in self.lives)

    def receivers(self) -> dict[int, Life]:
        """For each message that arrived, where it did."""
        return {number: life for life in self.lives for number in life.received}

    @property
    def life(self) -> Life | None:
        """The latest one that goes on."""
        for life in reversed(self.lives):
            if life.peer.ended is None and life.peer.endpoint.response is not None:
                return life
        return None

    def came(self, number: int, channel: str, message: int) -> float:
        """When a message of a life arrived, at the earliest."""
        return self.lives[number - 1].came[channel, message]

    async def converse(self, peer: Peer) -> None:
        """Meet a client as the next answer says, or else well."""
        link = next(
            link for link in reversed(self._network.links) if link.ends_at(peer.below)
        )
        life = Life(peer, link)
        self.lives.append(life)
        how, *arguments = self.answers.popleft() if self.answers else ("well",)
        self._judge.told(f"life {life.number} is met: {how} {arguments}")
        match how:
            case "status":
                await peer.reject(int(str(arguments[0])))
            case "retry after":
                await peer.reject(503, [("Retry-After", str(arguments[0]))])
            case "mute":
                peer.polite = False
            case "drip":
                await drips()(peer)
            case "garbage":
                await peer.request()
                peer.write(b"\xff no HTTP\r\n\r\n")
            case _:
                await peer.accept()
                await self._open(life, str(how), arguments)

    async def _open(self, life: Life, how: str, arguments: list[object]) -> None:
        peer = life.peer
        match how:
            case "close":
                peer.close(arguments[0])  # type: ignore[arg-type]
            case "hang up":
                peer.hang_up()
            case "reset":
                peer.reset()
            case "mute after 101":
                peer.polite = False
            case "half a frame":
                peer.write(peer.endpoint.encode("x" * 100)[:20])
                peer.polite = False
            case _:
                await self._serve(life, greets=how != "no hello")

    async def _serve(self, life: Life, *, greets: bool) -> None:
        """Take what comes, and publish every so many seconds."""
        peer = life.peer
        life.served = True
        due = anyio.current_time() + self._settings.every
        while True:
            message: str | bytes | None = None
            with anyio.CancelScope(deadline=due):
                message = await peer.recv()
            if message is None:
                due += self._settings.every
                for channel in life.topics:
                    self.publish(life, channel)
            else:
                self._take(life, json.loads(message), greets=greets)

    def publish(self, life: Life, channel: str) -> None:
        """Say the next number of a channel."""
        life.topics[channel] = life.numbers[channel] = life.numbers[channel] + 1
        arrives = anyio.current_time() + life.link.down.latency
        life.came[channel, life.numbers[channel]] = arrives
        message = {"channel": channel, "n": life.numbers[channel], "life": life.number}
        _say(life, message)

    def _take(self, life: Life, message: dict[str, Any], *, greets: bool) -> None:
        self._judge.told(f"life {life.number} < {message}")
        match message:
            case {"op": "hello"}:
                self._judge(
                    "says hello first, once",
                    not (life.greeted or life.topics or life.received),
                    f"{life!r} said hello again or late",
                )
                life.greeted = True
                if greets:
                    _say(life, {"op": "welcome"})
            case {"op": "subscribe", "channel": channel}:
                self._hello_came(life)
                self._judge(
                    "says each subscription once",
                    channel not in life.topics,
                    f"{life!r} was told {channel!r} twice",
                )
                life.numbers.setdefault(channel, 0)
                life.topics[channel] = life.numbers[channel]
                if self._settings.acks and self.silent_acks:
                    life.unacknowledged.add(channel)
                elif self._settings.acks:
                    _say(life, {"ack": channel})
            case {"op": "unsubscribe", "channel": channel}:
                self._hello_came(life)
                self._judge(
                    "unsubscribes what it subscribed",
                    channel in life.topics,
                    f"{life!r} was told to forget {channel!r}, which it never knew",
                )
                life.topics.pop(channel, None)
                life.unacknowledged.discard(channel)
            case {"op": "say", "id": number}:
                self._hello_came(life)
                known = self.receivers().get(number)
                self._judge(
                    "delivers each send once",
                    known is None,
                    f"{life!r} got {number}, which was in {known}",
                )
                self._judge_order(life, number)
                wanted = self.user.wanted_before(life.link.opened_at)
                missing = wanted - set(life.numbers)
                self._judge(
                    "says subscriptions before what was queued",
                    not missing,
                    f"{life!r} got {number} before {missing}",
                )
                life.received.append(number)
            case _:
                self._judge("says what it was told to", False, f"it said {message}")

    def _judge_order(self, life: Life, number: int) -> None:
        """See that it comes behind those before it; what many leave room for aside."""
        sent = self.user.sends[number - 1]
        detail = f"{life!r} got {number} of {sent.began} after {life.received[-3:]}"
        if sent.first:
            before = self._many.get(sent.first, 0)
            self._judge("delivers many in their order", number > before, detail)
            self._many[sent.first] = number
            return
        check = "delivers in the order of the calls"
        self._judge(check, sent.began >= life.began, detail)
        life.began = sent.began

    def _hello_came(self, life: Life) -> None:
        self._judge(
            "says hello first, once",
            life.greeted or not self._settings.hello,
            f"{life!r} heard something before hello",
        )


def _say(life: Life, message: dict[str, Any]) -> None:
    """Send it, unless the server itself has said Close."""
    if life.peer.endpoint.close_sent is None:
        life.peer.send(json.dumps(message))
