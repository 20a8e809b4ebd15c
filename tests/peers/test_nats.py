"""The main job against a real broker: killed three times, nothing said twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import wsclient
from examples.nats_core import NatsCore, Packet

from .certificates import Certificates
from .nats import Nats, nats_server

pytestmark = pytest.mark.real

SUBJECTS = ("trades", "news.de", "weather")


@pytest.fixture(params=["ws", "wss"])
def broker(
    request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates
) -> Iterator[Nats]:
    with nats_server(
        tmp_path, certificates if request.param == "wss" else None
    ) as nats:
        yield nats


@asynccontextmanager
async def client_of(
    nats: Nats, certificates: Certificates
) -> AsyncIterator[wsclient.Client[Packet]]:
    """A client of this broker, under a guard against hanging."""
    secure = nats.url.startswith("wss")
    with anyio.fail_after(60):
        async with wsclient.Client(
            nats.url,
            subprotocol=NatsCore,
            tls=certificates.client_context() if secure else None,
            wait=wsclient.FullJitter(base=0.02, cap=0.1),
        ) as client:
            yield client


async def aside(call: Callable[..., object], *arguments: object) -> None:
    """Make a blocking call; a cancelled test does not wait for it."""
    await anyio.to_thread.run_sync(call, *arguments, abandon_on_cancel=True)


class Ledger:
    """What one subscription received, one list for each generation, and its gaps."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.lives: list[list[str]] = [[]]
        self.gaps: list[wsclient.Gap] = []
        self._news = anyio.Event()

    async def keep(self, subscription: wsclient.Subscription[Packet]) -> None:
        async for item in subscription.with_gaps():
            if isinstance(item, wsclient.Gap):
                self.gaps.append(item)
                self.lives.append([])
            else:
                assert item.words[0] == self.subject
                assert item.payload is not None
                self.lives[-1].append(item.payload.decode())
            self._news.set()
            self._news = anyio.Event()

    async def wait_received(self, life: int, count: int) -> None:
        while len(self.lives) <= life or len(self.lives[life]) < count:
            await self._news.wait()


def numbered(life: int, numbers: Iterable[int]) -> Iterator[tuple[str, str]]:
    for n in numbers:
        for subject in SUBJECTS:
            yield subject, f"{life}.{n}"


async def publish_until_killed(nats: Nats, life: int) -> None:
    """Publish without end: the broker dies in the midst of it."""
    with pytest.raises(ConnectionError):
        await aside(nats.publish, numbered(life, itertools.count()))


async def test_three_subscriptions_survive_three_kills_of_the_broker(
    broker: Nats, certificates: Certificates
) -> None:
    """
    Each life of the broker hears each SUB once, and what a subscription receives of
    it is a prefix of what was published to it, in order; the rest lies under a Gap.
    """
    ledgers = [Ledger(subject) for subject in SUBJECTS]
    said: list[list[tuple[str, str]]] = []
    written: Counter[tuple[int, str]] = Counter()
    async with (
        client_of(broker, certificates) as client,
        anyio.create_task_group() as readers,
    ):
        for ledger in ledgers:
            # "pause": nothing may be missing of what a life of the broker delivered.
            subscription = await client.subscribe(ledger.subject, overflow="pause")
            readers.start_soon(ledger.keep, subscription)
        for life in range(3):
            await aside(broker.wait_subscribed, *SUBJECTS)
            async with anyio.create_task_group() as publisher:
                publisher.start_soon(publish_until_killed, broker, life)
                for ledger in ledgers:
                    await ledger.wait_received(life, 50)
                await aside(broker.kill)
            said.append(broker.traced("<<-", "SUB"))
            for _, what in broker.traced("->>", "MSG"):
                written[life, what.split()[1]] += 1
            await aside(broker.start)
        await aside(broker.wait_subscribed, *SUBJECTS)
        await aside(broker.publish, numbered(3, range(50)))
        for ledger in ledgers:
            await ledger.wait_received(3, 50)
        said.append(broker.traced("<<-", "SUB"))
        for _, what in broker.traced("->>", "MSG"):
            written[3, what.split()[1]] += 1
        readers.cancel_scope.cancel()
    for spoken in said:
        assert len({who for who, _ in spoken}) == 1, "one connection for each life"
        words = [what.split() for _, what in spoken]
        assert [subject for _, subject, _ in words] == list(SUBJECTS), "each once"
        assert [sid for *_, sid in words] == [what.split()[-1] for _, what in said[0]]
    for ledger in ledgers:
        for life, received in enumerate(ledger.lives):
            assert received == [f"{life}.{n}" for n in range(len(received))]
            assert len(received) <= written[life, ledger.subject]
        assert len(ledger.lives[3]) == 50
        assert [gap.generation for gap in ledger.gaps] == [2, 3, 4]
        assert all(gap.recovered and gap.offline_for > 0 for gap in ledger.gaps)


async def test_the_brokers_pings_are_answered_while_the_application_is_silent(
    nats: Nats, certificates: Certificates
) -> None:
    """NATS pings every 200 ms here and cuts off who leaves two unanswered."""
    async with client_of(nats, certificates):
        await aside(nats.wait_traced, "<<-", "PONG", 6)
        assert len(nats.traced("<<-", "CONNECT")) == 1


async def test_packets_longer_than_a_frame_and_many_in_one_frame_arrive_whole(
    nats: Nats, certificates: Certificates
) -> None:
    payloads = ["x" * size for size in (0, 1, 4094, 4096, 65536, 300_000)] * 3
    async with client_of(nats, certificates) as client, client.subscribe("big") as big:
        await aside(nats.wait_subscribed, "big")
        messages = [("big", payload) for payload in payloads]
        await aside(nats.publish, messages)
        got = [await big.recv() for _ in payloads]
    assert [packet.payload for packet in got] == [text.encode() for text in payloads]


async def test_what_is_published_through_the_client_reaches_other_subscribers(
    nats: Nats, certificates: Certificates
) -> None:
    payloads = [str(n).encode() for n in range(100)]
    async with (
        client_of(nats, certificates) as one,
        client_of(nats, certificates) as other,
        other.subscribe("orders") as orders,
    ):
        await aside(nats.wait_subscribed, "orders")
        for payload in payloads:
            await one.send(Packet("PUB", ("orders",), payload))
        got = [await orders.recv() for _ in payloads]
    assert [packet.payload for packet in got] == payloads


async def test_who_unsubscribes_is_forgotten_by_the_broker(
    nats: Nats, certificates: Certificates
) -> None:
    async with client_of(nats, certificates) as client:
        kept = await client.subscribe("kept")
        async with client.subscribe("left"):
            await aside(nats.wait_subscribed, "kept", "left")
        await aside(nats.wait_subscribed, "kept")
        await aside(nats.publish, [("left", "a"), ("kept", "b")])
        assert (await kept.recv()).payload == b"b"
        nats.kill()
        await aside(nats.start)
        await aside(nats.wait_subscribed, "kept")
