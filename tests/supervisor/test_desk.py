"""What must be said now because of a subscription, and what must not."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wsclient.errors import HookError
from wsclient.supervisor import Ack, Topic

from .clients import Words, settle, words
from .network import Network


class Chatty(Words):
    """Says three things for each subscription, and acknowledges."""

    acks = True

    def subscribe(self, topic: Topic) -> list[str]:
        return [f"{topic.message}{n}" for n in range(3)]

    def unsubscribe(self, topic: Topic) -> list[str]:
        return [f"-{topic.message}{n}" for n in range(2)]


async def test_a_subscription_may_take_several_messages(network: Network) -> None:
    async with words(network, subprotocol=Chatty, ack_timeout=5) as client:
        network.link.make_room(2)
        sub = await client.subscribe("a")
        assert network.link.sent == ["a0", "a1"]
        await anyio.sleep(100)
        network.link.make_room()
        await settle()
        assert network.link.sent == ["a0", "a1", "a2"]
        await anyio.sleep(4)
        network.link.deliver("+a")
        await sub.acknowledged()
        await sub.unsubscribe()
        assert network.link.sent[3:] == ["-a0", "-a1"]
        await anyio.sleep(100)
        assert client.generation == 1


async def test_one_that_needs_no_message_is_one_all_the_same(network: Network) -> None:
    class Silent(Words):
        def subscribe(self, topic: Topic) -> list[str]:
            return []

    async with words(network, subprotocol=Silent) as client:
        sub = await client.subscribe("a")
        network.link.deliver("a:1")
        assert await sub.recv() == "a:1"
        assert network.link.sent == []


async def test_a_subprotocol_that_raises_raises_at_the_call(network: Network) -> None:
    class Broken(Words):
        def subscribe(self, topic: Topic) -> list[str]:
            raise KeyError("broken")

    async with words(network, subprotocol=Broken) as client:
        with pytest.raises(HookError, match="subscribe") as caught:
            await client.subscribe("a")
        assert isinstance(caught.value.__cause__, KeyError)
        assert client.stats.subscriptions == 0


async def test_an_acknowledgement_before_all_was_said_counts(network: Network) -> None:
    class Eager(Chatty):
        def route(self, item: str) -> Any:
            return Ack("a") if item == "ok" else super().route(item)

    async with words(network, subprotocol=Eager, ack_timeout=5) as client:
        network.link.make_room(1)
        sub = await client.subscribe("a")
        network.link.deliver("ok")
        network.link.make_room()
        await sub.acknowledged()
        await anyio.sleep(100)
        assert client.generation == 1


async def test_unsubscribing_while_closing_says_nothing(network: Network) -> None:
    async with words(network, subprotocol=Chatty) as client:
        sub = await client.subscribe("a")
        network.link.close_takes = 3
        async with anyio.create_task_group() as group:
            group.start_soon(client.close)
            await settle()
            await sub.unsubscribe()
    assert network.link.sent == ["a0", "a1", "a2"]


async def test_an_overflow_before_it_was_said_says_nothing(network: Network) -> None:
    async def hook(connection: Any) -> None:
        network.link.deliver("a:1", "a:2")

    client = words(network, subprotocol=Chatty, on_connect=hook)
    sub = await client.subscribe("a", max_messages=1)
    async with client:
        await settle()
        assert network.link.sent == []
        assert await sub.recv() == "a:1"
