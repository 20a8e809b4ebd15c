"""What the server of a story is told, by hand and wrong, is found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

import wsclient
from wsclient.testing import Network, ScriptedServer
from wsclient.testing.simulate import Judge, Settings
from wsclient.testing.simulate.feed import Feed


class Rig:
    """A feed, and connections to it that say what a test wants."""

    def __init__(self) -> None:
        self.network = Network(latency=(0.01, 0.01))
        self.judge = Judge()
        self.feed = Feed(self.network, Settings(acks=True), self.judge)
        self.wanted: set[str] = set()
        # The first three were sent alone, then two by one call, then one more alone.
        began = [(1.0, 0), (2.0, 0), (3.0, 0), (0.5, 4), (0.5, 4), (4.0, 0)]
        sends = [SimpleNamespace(began=at, first=first) for at, first in began]
        self.feed.user = SimpleNamespace(
            sends=sends, wanted_before=lambda moment: self.wanted
        )

    async def say(self, *messages: dict[str, Any], reads: int = 0) -> list[Any]:
        """Say this on a new connection; return so many answers."""
        url = "ws://feed.test/"
        async with wsclient.connect(url, dial=self.network.dial) as ws:
            for message in messages:
                await ws.send(json.dumps(message))
            answers = [json.loads(await ws.recv()) for _ in range(reads)]
            await anyio.sleep(1)
            return answers

    @property
    def broken(self) -> str | None:
        return None if self.judge.violation is None else self.judge.violation.check


@pytest.fixture
async def rig(virtual_clock: object) -> AsyncIterator[Rig]:
    made = Rig()
    listen = made.network.host("feed.test").listen
    async with ScriptedServer(
        default=made.feed.converse, host="feed.test", port=80, listen=listen
    ):
        yield made


HELLO = {"op": "hello"}


def subscribe(channel: str) -> dict[str, Any]:
    return {"op": "subscribe", "channel": channel}


def say(number: int) -> dict[str, Any]:
    return {"op": "say", "id": number, "pad": ""}


async def test_it_welcomes_acknowledges_and_publishes(rig: Rig) -> None:
    answers = await rig.say(HELLO, subscribe("a"), reads=4)
    assert answers == [
        {"op": "welcome"},
        {"ack": "a"},
        {"channel": "a", "n": 1, "life": 1},
        {"channel": "a", "n": 2, "life": 1},
    ]
    assert rig.broken is None
    assert rig.feed.life is None  # it has left


@pytest.mark.parametrize(
    ("said", "broken"),
    [
        ([HELLO, HELLO], "says hello first, once"),
        ([subscribe("a")], "says hello first, once"),
        ([say(1)], "says hello first, once"),
        ([HELLO, subscribe("a"), subscribe("a")], "says each subscription once"),
        (
            [HELLO, {"op": "unsubscribe", "channel": "a"}],
            "unsubscribes what it subscribed",
        ),
        ([HELLO, say(1), say(1)], "delivers each send once"),
        ([HELLO, say(2), say(1)], "delivers in the order of the calls"),
        ([HELLO, say(5), say(4)], "delivers many in their order"),
        ([HELLO, {"op": "dance"}], "says what it was told to"),
    ],
)
async def test_what_is_said_wrong_is_found(
    rig: Rig, said: list[dict[str, Any]], broken: str
) -> None:
    await rig.say(*said)
    assert rig.broken == broken


async def test_others_may_come_between_many(rig: Rig) -> None:
    await rig.say(HELLO, say(4), say(1), say(3), say(5), say(6))
    assert rig.broken is None


async def test_what_was_queued_before_a_subscription_is_found(rig: Rig) -> None:
    rig.wanted = {"a"}
    await rig.say(HELLO, say(1))
    assert rig.broken == "says subscriptions before what was queued"


async def test_once_more_on_another_connection_is_found_too(rig: Rig) -> None:
    await rig.say(HELLO, say(1))
    assert rig.broken is None
    await rig.say(HELLO, say(1))
    assert rig.broken == "delivers each send once"
    assert set(rig.feed.receivers()) == {1}
