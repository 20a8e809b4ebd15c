"""The registry is what is wanted now; handles read it across connections."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wsclient.errors import (
    ArgumentError,
    ConnectionClosed,
    GaveUp,
    LocalProtocolError,
    SubscriptionOverflow,
)
from wsclient.supervisor import Subscription

from .clients import plain, settle, topics, words
from .network import Network, refused


async def test_it_can_be_awaited_or_entered_but_once(network: Network) -> None:
    async with words(network) as client:
        making = client.subscribe("a")
        assert network.link.sent == []
        handle = await making
        assert isinstance(handle, Subscription)
        with pytest.raises(LocalProtocolError, match="call it again"):
            await making
        async with client.subscribe("b", unsubscribe="-b") as other:
            assert other.topic.message == "b"
        assert network.link.sent == ["a", "b", "-b"]
        async with handle as same:
            assert same is handle
        assert client.stats.subscriptions == 0


async def test_a_cancelled_subscribe_subscribes_nothing(network: Network) -> None:
    async with words(network) as client:
        with anyio.move_on_after(0) as scope:
            await client.subscribe("a")
        assert scope.cancelled_caught
        assert client.stats.subscriptions == 0


async def test_every_way_of_receiving_reads_the_same_queue(network: Network) -> None:
    async with words(network) as client:
        sub = await client.subscribe("a")
        network.link.deliver("a:1", "a:2", "a:3", "a:4", "a:5")
        assert await sub.recv() == "a:1"
        assert await sub.receive() == "a:2"
        assert await anext(sub) == "a:3"
        async for item in sub:
            assert item == "a:4"
            break
        assert repr(sub) == "<Subscription subscription 1 to 'a': 1 unread>"
        assert await anext(sub.with_gaps()) == "a:5"


async def test_an_unsubscribed_handle_gives_what_is_queued_and_ends(
    network: Network,
) -> None:
    async with words(network) as client:
        sub = await client.subscribe("a")
        network.link.deliver("a:1", "a:2")
        await sub.unsubscribe()
        await sub.unsubscribe()
        network.link.deliver("a:3")
        assert await sub.recv() == "a:1"
        assert [item async for item in sub] == ["a:2"]
        with pytest.raises(ConnectionClosed):
            await sub.recv()
        assert await client.recv() == "a:3"


async def test_leaving_ends_every_handle_behind_what_is_queued(
    network: Network,
) -> None:
    async with words(network) as client:
        sub = await client.subscribe("a")
        network.link.deliver("a:1")
    assert [item async for item in sub] == ["a:1"]
    with pytest.raises(ConnectionClosed):
        await sub.recv()
    with pytest.raises(ConnectionClosed):
        await client.subscribe("b")


async def test_giving_up_raises_in_every_handle(network: Network) -> None:
    async with words(network, classify=None, first="background") as client:
        sub = await client.subscribe("a")
        await client.wait_open()
        network.link.deliver("a:1")
        network.link.peer_closes(1008)
        assert await sub.recv() == "a:1"
        for _ in range(2):
            with pytest.raises(GaveUp):
                await anext(sub)
        with pytest.raises(GaveUp):
            await client.subscribe("b")


async def test_equal_keys_share_one_subscription_on_the_wire(
    network: Network,
) -> None:
    async with topics(network) as client:
        first = await client.subscribe({"channel": "a"}, unsubscribe={"bye": "a"})
        second = await client.subscribe({"channel": "a"}, unsubscribe={"bye": "a"})
        assert first.topic is second.topic
        assert client.stats.subscriptions == 1
        network.link.deliver('{"channel":"a"}')
        assert await first.recv() == await second.recv() == {"channel": "a"}
        await first.unsubscribe()
        assert network.link.sent == ['{"channel":"a"}']
        network.link.lose()
        await anyio.sleep(1.5)
        assert network.link.sent == ['{"channel":"a"}']
        await second.unsubscribe()
        assert network.link.sent == ['{"channel":"a"}', '{"bye":"a"}']


async def test_numbers_are_stable_and_never_given_again(network: Network) -> None:
    async with words(network) as client:
        a = await client.subscribe("a")
        b = await client.subscribe("b")
        network.link.lose()
        await anyio.sleep(1.5)
        assert (a.topic.number, b.topic.number) == (1, 2)
        await b.unsubscribe()
        again = await client.subscribe("b")
        assert again.topic.number == 3
        assert network.link.sent == ["a", "b", "b"]


async def test_while_down_only_the_registry_is_edited(network: Network) -> None:
    async with words(network) as client:
        a = await client.subscribe("a", unsubscribe="-a")
        network.link.lose()
        await settle()
        await a.unsubscribe()
        b = await client.subscribe("b", unsubscribe="-b")
        await b.unsubscribe()
        await client.subscribe("c")
        await anyio.sleep(1.5)
        assert [link.sent for link in network.links] == [["a"], ["c"]]


async def test_what_is_subscribed_goes_before_what_is_sent_after_it(
    network: Network,
) -> None:
    async with words(network) as client, anyio.create_task_group() as group:
        network.link.make_room(0)
        group.start_soon(client.send, "before")
        await settle()
        sub = await client.subscribe("a", unsubscribe="-a")
        group.start_soon(client.send, "between")
        await settle()
        await sub.unsubscribe()
        group.start_soon(client.send, "after")
        await settle()
        network.link.make_room()
        await settle()
        assert network.link.sent == ["before", "a", "between", "-a", "after"]


async def test_what_was_not_said_before_a_drop_is_said_once_after_it(
    network: Network,
) -> None:
    async with words(network) as client:
        network.link.make_room(0)
        await client.subscribe("a")
        sub = await client.subscribe("b", unsubscribe="-b")
        await sub.unsubscribe()
        network.link.lose()
        await anyio.sleep(1.5)
        assert network.links[0].sent == []
        assert network.links[1].sent == ["a"]


async def test_an_overflow_ends_one_subscription_and_tells_the_server(
    network: Network,
) -> None:
    async with words(network) as client:
        slow = await client.subscribe("a", unsubscribe="-a", max_messages=2)
        fine = await client.subscribe("b")
        network.link.deliver("a:1", "a:2", "a:3", "b:1")
        await settle()
        assert network.link.sent == ["a", "b", "-a"]
        assert [await slow.recv(), await slow.recv()] == ["a:1", "a:2"]
        with pytest.raises(SubscriptionOverflow):
            await slow.recv()
        await slow.unsubscribe()
        assert await fine.recv() == "b:1"
        network.link.lose()
        await anyio.sleep(1.5)
        assert network.link.sent == ["b"]


async def test_an_overflow_of_one_of_two_handles_tells_the_server_nothing(
    network: Network,
) -> None:
    async with words(network) as client:
        await client.subscribe("a", unsubscribe="-a", max_messages=1)
        other = await client.subscribe("a")
        network.link.deliver("a:1", "a:2")
        await settle()
        assert network.link.sent == ["a"]
        assert [await other.recv(), await other.recv()] == ["a:1", "a:2"]


async def test_an_acknowledgement_is_of_the_present_connection(
    network: Network,
) -> None:
    async with topics(network, ack=lambda m: m.get("ok")) as client:
        sub = await client.subscribe({"channel": "a"})
        done: list[float] = []

        async def wait() -> None:
            await sub.acknowledged()
            done.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.sleep(5)
            network.link.lose()
            await anyio.sleep(2)
            assert not done
            network.link.deliver('{"ok":"a"}')
            await settle()
            assert len(done) == 2
            shared = await client.subscribe({"channel": "a"})
            await shared.acknowledged()
            network.link.lose()
            await settle()
            group.start_soon(wait)
            await settle()
            assert len(done) == 2
            await anyio.sleep(2)
            network.link.deliver('{"ok":"a"}')
        assert len(done) == 3
        await sub.unsubscribe()
        with pytest.raises(ConnectionClosed, match="was unsubscribed"):
            await sub.acknowledged()


async def test_waiting_for_an_acknowledgement_ends_with_the_client(
    network: Network,
) -> None:
    client = topics(network, ack=lambda m: m.get("ok"))
    caught: list[Exception] = []

    async def wait(sub: Any) -> None:
        try:
            await sub.acknowledged()
        except (ConnectionClosed, GaveUp) as exc:
            caught.append(exc)

    async with anyio.create_task_group() as group, client:
        sub = await client.subscribe({"channel": "a"})
        other = await client.subscribe({"channel": "b"})
        group.start_soon(wait, sub)
        group.start_soon(wait, other)
        await settle()
        await sub.unsubscribe()
        await settle()
        assert len(caught) == 1
    assert [type(exc) for exc in caught] == [ConnectionClosed, ConnectionClosed]


async def test_without_acknowledgements_waiting_for_one_is_told(
    network: Network,
) -> None:
    async with topics(network) as client:
        sub = await client.subscribe({"channel": "a"})
        with pytest.raises(LocalProtocolError, match=r"JsonTopics\(ack=...\)"):
            await sub.acknowledged()


async def test_iterating_a_plain_subscription_says_what_to_do(
    network: Network,
) -> None:
    async with plain(network) as client:
        sub = await client.subscribe("a")
        for call in (lambda: anext(sub), sub.recv, lambda: anext(sub.with_gaps())):
            with pytest.raises(LocalProtocolError, match="Iterate the client, or give"):
                await call()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("overflow", "explode"),
        ("max_messages", 0),
        ("max_messages", 1.5),
        ("max_bytes", -1),
        ("max_bytes", True),
    ],
)
async def test_bad_arguments_fail_at_the_call(
    network: Network, option: str, value: Any
) -> None:
    client = words(network)
    with pytest.raises(ArgumentError, match=option):
        client.subscribe("a", **{option: value})


async def test_a_bad_topic_fails_at_the_call_and_is_not_wanted(
    network: Network,
) -> None:
    async with topics(network) as client:
        with pytest.raises(ArgumentError, match="no member 'channel'"):
            await client.subscribe({"chanel": "a"})
        with pytest.raises(ArgumentError, match="cannot be hashed"):
            await client.subscribe({"channel": ["a"]})
        assert client.stats.subscriptions == 0
        good = await client.subscribe({"channel": "a"})
        assert good.topic.number == 1


async def test_a_subprotocol_that_cannot_subscribe_leaves_nothing_behind(
    network: Network,
) -> None:
    async with plain(network) as client:
        with pytest.raises(TypeError):
            await client.subscribe({"op": 1})
        assert client.stats.subscriptions == 0


async def test_subscribing_before_entering_is_said_first(network: Network) -> None:
    network.answers.append(refused())
    client = words(network)
    sub = await client.subscribe("a")
    async with client:
        assert network.link.sent == ["a"]
        network.link.deliver("a:1")
        assert await sub.recv() == "a:1"


async def test_a_handle_that_is_dropped_stays_subscribed(network: Network) -> None:
    async with words(network) as client:
        await client.subscribe("a")
        network.link.lose()
        await anyio.sleep(1.5)
        assert network.link.sent == ["a"]


async def test_iterating_a_subscribe_that_nobody_awaited_says_what_to_write(
    network: Network,
) -> None:
    async with words(network) as client:
        with pytest.raises(LocalProtocolError, match="entered first"):
            aiter(client.subscribe("a"))  # type: ignore[unused-ignore, type-var]
        assert network.link.sent == []
