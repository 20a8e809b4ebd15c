"""From messages to queues, in the feed, and never an exception into the feed."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from wsclient.errors import ArgumentError, MessageTypeError, Reason
from wsclient.supervisor.router import encoded, encoded_all
from wsclient.supervisor.seam import Data, Gap

from .clients import Log, Words, plain, read, settle, topics, words
from .network import Network


def skipped(count: int = 1, generation: int = 1) -> Gap:
    return Gap(generation=generation, reason=Reason.LOCAL, lost=count)


async def test_items_go_to_the_subscription_of_their_key(network: Network) -> None:
    async with words(network) as client:
        a = await client.subscribe("a")
        b = await client.subscribe("b")
        network.link.deliver("a:1|b:1|a:2", "c:1|nothing")
        assert await read(a) == ["a:1", "a:2"]
        assert await read(b) == ["b:1"]
        assert await read(client) == ["c:1", "nothing"]
        assert client.stats.received == 2


async def test_reads_are_wide_where_messages_are_passed_on_as_they_are(
    network: Network,
) -> None:
    async with words(network):
        assert not network.link.wide
    async with plain(network):
        assert network.link.wide


async def test_replies_go_ahead_of_everything_queued(network: Network) -> None:
    async with words(network) as client:
        network.link.make_room(0)
        receipt = await client.send("queued", when_down="queue")
        network.link.deliver("?1|?2")
        assert network.link.sent == []
        network.link.make_room()
        await settle()
        assert network.link.sent == ["!1", "!2", "queued"]
        network.link.deliver("?3")
        assert network.link.sent[-1] == "!3"
        assert receipt.fate == "sent"


async def test_positions_are_taken_and_lead_nowhere(network: Network) -> None:
    async with words(network) as client:
        network.link.deliver("@a|@b")
        assert await read(client) == []
        assert client.stats.skipped == 0


@pytest.mark.parametrize("message", ["bad", "worse"])
async def test_what_cannot_be_read_is_skipped_counted_logged_once_and_told(
    network: Network, message: str
) -> None:
    log = Log("test")
    async with words(network, logger=log.logger) as client:
        a = await client.subscribe("a")
        network.link.deliver("a:1", message, message, "a:2", message)
        assert await read(a) == ["a:1", skipped(2), "a:2", skipped()]
        assert await read(client) == [skipped(3)]
        assert client.stats.skipped == 3
        assert len(log.texts(logging.ERROR)) == 1
        assert log.records[-1].exc_info or any(r.exc_info for r in log.records)
        network.link.deliver("a:3")
        assert await read(a) == ["a:3"]


async def test_only_the_item_that_route_raises_on_is_skipped(network: Network) -> None:
    async with words(network) as client:
        network.link.deliver("1|bad|2")
        assert await read(client) == ["1", skipped(), "2"]


async def test_what_is_skipped_leaves_its_gap_between_its_neighbours(
    network: Network,
) -> None:
    async with words(network) as client:
        a = await client.subscribe("a")
        network.link.deliver("a:1", "worse", "a:2|bad|a:3", "b:1")
        assert await read(a) == ["a:1", skipped(), "a:2", skipped(), "a:3"]
        assert await read(client) == [skipped(2), "b:1"]


class Key:
    """A key that counts how often it is looked at."""

    looks = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        Key.looks += 1
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        Key.looks += 1
        return isinstance(other, Key) and other.name == self.name


class Keyed(Words):
    """Words whose keys count."""

    def key(self, topic: Any) -> object:
        return Key(topic.message)

    def route(self, item: str) -> object:
        return Key(item.partition(":")[0])


async def test_an_item_is_routed_by_as_many_looks_however_many_subscriptions(
    network: Network,
) -> None:
    looks = dict[int, int]()
    async with words(network, subprotocol=Keyed) as client:
        for count in 10, 10_000:
            for number in range(client.stats.subscriptions, count):
                await client.subscribe(f"{number}", overflow="drop_oldest")
            Key.looks = 0
            network.link.deliver(*(f"{number}:x" for number in range(10)))
            looks[count] = Key.looks
        assert await read(client) == []  # each has found its queue
    assert looks[10] == looks[10_000] <= 4 * 10


async def test_a_key_that_cannot_be_hashed_is_skipped(network: Network) -> None:
    async with topics(network) as client:
        network.link.deliver('{"channel":[]}', '{"channel":{}}', "[1]")
        assert await read(client) == [skipped(2), [1]]


async def test_a_reply_that_cannot_be_encoded_is_skipped(network: Network) -> None:
    class Broken(Words):
        def encode(self, item: str) -> Data:
            if item.startswith("!"):
                raise ValueError(item)
            return item

    async with words(network, subprotocol=Broken) as client:
        network.link.deliver("?1")
        assert await read(client) == [skipped()]


def test_what_encode_makes_is_a_message() -> None:
    class Broken(Words):
        def encode(self, item: str) -> Any:
            return [item]

    for encode in (
        lambda: encoded(Broken(), "x"),
        lambda: encoded_all(Broken(), ["x"]),
    ):
        with pytest.raises(MessageTypeError, match=r"Broken.encode\(\) made a list"):
            encode()


def test_many_items_are_encoded_as_one_is() -> None:
    class Text(str): ...

    items = ["a", "é", Text("b")]
    assert encoded_all(Words(), items) == [encoded(Words(), item) for item in items]
    for bad in "\ud800", Text("\ud800"):
        with pytest.raises(ArgumentError, match="surrogates"):
            encoded_all(Words(), ["a", bad])


def test_what_encode_makes_may_be_of_a_kind_of_bytes() -> None:
    class Packet(bytes): ...

    class Packets(Words):
        def encode(self, item: str) -> Data:
            return Packet(item.encode())

    assert encoded(Packets(), "x") == b"x"


async def test_unrouted_messages_never_pause_the_oldest_goes(network: Network) -> None:
    log = Log("test")
    async with words(network, max_messages=3, logger=log.logger) as client:
        a = await client.subscribe("a")
        network.link.deliver(*(str(n) for n in range(10)), "a:1")
        assert network.link.pauses == 0
        assert await a.recv() == "a:1"
        gap = Gap(generation=1, reason=Reason.SLOW_CONSUMER, lost=7)
        assert await read(client) == [gap, "7", "8", "9"]
        assert client.stats.unrouted == 7
        assert len(log.texts(logging.WARNING)) == 1


async def test_without_routing_all_goes_to_one_queue_that_pauses(
    network: Network,
) -> None:
    async with plain(network, max_messages=4) as client:
        await client.subscribe("a")
        network.link.deliver(*"abcdef")
        assert network.link.paused
        assert client.stats.paused == ("the client's queue",)
        assert [await client.recv() for _ in range(6)] == list("abcdef")
        assert not network.link.paused
        assert network.link.pauses == 2  # what had waited filled it once more


async def test_all_queues_together_are_bounded(network: Network) -> None:
    async with words(network, max_total_bytes=10) as client:
        a = await client.subscribe("a")
        b = await client.subscribe("b")
        network.link.deliver("a:234", "b:234")
        assert network.link.paused
        network.link.deliver("a:5")
        assert await a.recv() == "a:234"
        await settle()
        assert await b.recv() == "b:234"
        assert await a.recv() == "a:5"
        assert not network.link.paused


async def test_two_handles_of_one_key_have_queues_of_their_own(
    network: Network,
) -> None:
    async with words(network) as client:
        first = await client.subscribe("a", max_messages=1, overflow="drop_newest")
        second = await client.subscribe("a")
        assert network.link.sent == ["a"]
        network.link.deliver("a:1", "a:2")
        gap = Gap(generation=1, reason=Reason.SLOW_CONSUMER, lost=1)
        assert await read(first) == ["a:1", gap]
        assert first.lost == 1
        assert await read(second) == ["a:1", "a:2"]


async def test_a_sink_of_an_old_generation_is_inert(network: Network) -> None:
    """S44: whatever arrives on the old connection when the new one is open."""
    for make in plain, words:
        net = Network()
        async with make(net) as client:
            old = net.link
            old.deliver("before")
            old.lose()
            await anyio.sleep(2)
            net.link.deliver("new")
            for sink in old.sinks[1:]:
                sink(["late"])
            found = await read(client)
            assert [item for item in found if isinstance(item, str)] == [
                "before",
                "new",
            ]
            assert client.stats.received == 2
            assert client.generation == 2


async def test_what_was_fed_before_the_loss_was_noticed_is_delivered(
    network: Network,
) -> None:
    async with plain(network) as client:
        network.link.deliver("a", "b")
        network.link.lose()
        assert [await client.recv(), await client.recv()] == ["a", "b"]
