"""From one connection to the next: replay, fences, one dial, no leak, no surprise."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

import wsclient
from wsclient import Gap, JsonTopics, Reason, State
from wsclient.supervisor import StateChanged

from .inv import anyio_backend, inv
from .world import HANG, Loopback, Net, Peer, Script
from .worlds import NETS, WORLDS

__all__ = ("anyio_backend", "inv")

TOPICS = JsonTopics(key="ch", unsubscribe=lambda topic: {"bye": topic["ch"]})


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


# S39: dropped in the midst of the replay.


def resets_after(count: int) -> Script:
    """Take so many messages, then break the connection."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        for _ in range(count):
            await peer.recv()
        peer.reset()

    return script


async def stays(peer: Peer) -> None:
    await peer.accept()
    await peer.until_gone()


@NETS
async def test_s39_each_generation_says_each_live_subscription_once_in_order(
    net_of: type[Net],
) -> None:
    said = [f'{{"ch":"{ch}"}}' for ch in "abc"]
    scripts = [resets_after(3), *(resets_after(n % 3) for n in range(5)), stays]
    async with (
        net_of(*scripts) as net,
        net.client(subprotocol=TOPICS, wait=waits(1)) as client,
    ):
        for ch in "abc":
            await client.subscribe({"ch": ch})
        await net.until_accepted(7)
        await client.wait_open()
        await client.send({"queued": "behind"})
        await net.peer.until(lambda: len(net.peer.messages) == 4)
    assert net.peers[0].messages == said
    for number, peer in enumerate(net.peers[1:6]):
        assert peer.messages[: number % 3] == said[: number % 3]
        assert peer.messages == said[: len(peer.messages)]
    assert net.peer.messages == [*said, '{"queued":"behind"}']


@NETS
async def test_s39_what_was_unsubscribed_while_offline_is_never_said_again(
    net_of: type[Net],
) -> None:
    broken = ConnectionRefusedError()
    async with net_of(resets_after(3), broken, stays) as net:
        client = net.client(subprotocol=TOPICS, wait=waits(5))
        async with client:
            a, b, c = [await client.subscribe({"ch": ch}) for ch in "abc"]
            await anyio.sleep(7)  # it is down, one dial has failed
            assert client.state == State.DOWN
            await b.unsubscribe()
            d = await client.subscribe({"ch": "d"})
            await client.wait_open()
            await anyio.sleep(1)
            net.peer.send(*(f'{{"ch":"{ch}"}}' for ch in "abcd"))
            for subscription, ch in ((a, "a"), (c, "c"), (d, "d")):
                assert await subscription.recv() == {"ch": ch}
            assert await client.recv() == {"ch": "b"}, "nobody's"
            with pytest.raises(wsclient.ConnectionClosed):
                await b.recv()
    assert net.peer.messages == ['{"ch":"a"}', '{"ch":"c"}', '{"ch":"d"}']


@NETS
async def test_s39_queued_sends_come_behind_the_replay_in_their_order(
    net_of: type[Net],
) -> None:
    async with net_of(resets_after(2), stays) as net:
        client = net.client(subprotocol=TOPICS, wait=waits(5))
        async with client:
            await client.subscribe({"ch": "a"})
            await client.subscribe({"ch": "b"})
            await anyio.sleep(1)
            for n in range(3):
                await client.send({"n": n}, when_down="queue")
            await client.subscribe({"ch": "c"})
            await client.send({"n": 3}, when_down="wait")
            await net.peer.until(lambda: len(net.peer.messages) == 7)
    said = [f'{{"ch":"{ch}"}}' for ch in "abc"] + [f'{{"n":{n}}}' for n in range(4)]
    assert net.peer.messages == said


# S40: nothing before the login is done.


async def login(conversation: wsclient.Conversation[str | bytes]) -> None:
    await conversation.send("login")
    assert await conversation.recv() == "auth_ok"


@WORLDS
async def test_s40_nothing_is_said_before_on_connect_has_returned(
    world: type[Net] | type[Loopback],
) -> None:
    async def strict(peer: Peer) -> None:
        await peer.accept()
        assert await peer.recv() == "login"
        for _ in range(10):  # whatever comes too early would come now
            await anyio.sleep(0.003)
        assert peer.messages == ["login"]
        peer.send("auth_ok")
        assert await peer.recv() == '{"ch":"a"}'
        assert await peer.recv() == '{"op":"order"}'
        peer.send('{"ch":"a"}')
        if peer.number < 4:
            await peer.recv()
            peer.reset()

    async with (
        world(default=strict) as server,
        server.client(
            subprotocol=TOPICS, on_connect=login, wait=waits(0.01), first="background"
        ) as client,
    ):
        a = await client.subscribe({"ch": "a"})
        for life in range(1, 5):
            await client.send({"op": "order"})
            assert await a.recv() == {"ch": "a"}
            if life < 4:
                await client.send({"drop": "me"})
                await server.until_accepted(life + 1)
    assert len(server.peers) == 4


@NETS
async def test_s40_a_login_that_is_refused_is_retried_before_anything_is_said(
    net_of: type[Net],
) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.accept()
        await peer.recv()
        peer.close(4001, "not now")

    async with (
        net_of(refuses, refuses, stays_logged_in) as net,
        net.client(
            subprotocol=TOPICS, on_connect=login, wait=waits(1), first="background"
        ) as client,
    ):
        await client.subscribe({"ch": "a"})
        await client.wait_open()
        await anyio.sleep(1)
    assert [peer.messages for peer in net.peers] == [
        ["login"],
        ["login"],
        ["login", '{"ch":"a"}'],
    ]


async def stays_logged_in(peer: Peer) -> None:
    await peer.accept()
    await peer.recv()
    peer.send("auth_ok")


# S44: what comes of an old connection when there is a new one.


@NETS
async def test_s44_what_an_old_connection_still_brings_is_never_delivered(
    net_of: type[Net],
) -> None:
    """Messages, a pong, a Close frame and FIN arrive a second too late."""

    async def late(peer: Peer) -> None:
        await peer.accept()
        peer.send("in time")
        await peer.recv()
        peer.send("too late 1", "too late 2")
        peer.ping(b"too late")
        await anyio.sleep(0.5)
        peer.send("too late 3")
        peer.close(1008, "too late")
        peer.hang_up()

    async with net_of(late, stays, latency=1.0) as net, net.client() as client:
        got = client.with_gaps()
        assert await anext(got) == "in time"
        await client.send("go on")
        await anyio.sleep(1.5)  # what is too late has left the server
        client.reconnect()
        assert client.state == State.DOWN or client.generation == 1
        gap = await anext(got)
        assert isinstance(gap, Gap)
        assert (gap.generation, gap.reason) == (2, Reason.LOCAL)
        await client.wait_open()
        await anyio.sleep(10)
        assert (client.state, client.generation) == (State.OPEN, 2)
        net.peer.send("of the new one")
        assert await anext(got) == "of the new one"
    assert len(net.peers) == 2


@NETS
async def test_s44_the_deadlines_of_an_old_connection_do_not_end_the_new_one(
    net_of: type[Net],
) -> None:
    """The first vanishes 30 s before its liveness deadline, and is replaced at once."""

    async def vanishes(peer: Peer) -> None:
        await peer.accept()
        await peer.recv()
        peer.vanish()

    async with net_of(vanishes, stays) as net, net.client() as client:
        await client.send("now")
        await anyio.sleep(10)
        client.reconnect()
        await net.until_accepted(2)
        await client.wait_open()
        await anyio.sleep(120)
        assert (client.state, client.generation) == (State.OPEN, 2)
    assert len(net.peers) == 2


# S45: two tasks want to reconnect at once, or it is down already.


@NETS
async def test_s45_two_tasks_that_reconnect_at_once_make_one_dial(
    net_of: type[Net],
) -> None:
    async with net_of() as net, net.client() as client:

        async def again() -> None:
            client.reconnect()
            await client.wait_open()

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(again)
        await net.until_accepted(2)
        await client.wait_open()
        await anyio.sleep(100)
        assert client.generation == 2
    assert len(net.dials) == 2
    assert net.peers[0].close_code == 1001


@NETS
async def test_s45_reconnecting_in_backoff_dials_now_and_once(
    net_of: type[Net],
) -> None:
    async with (
        net_of(ConnectionRefusedError()) as net,
        net.client(wait=waits(1000), first="background") as client,
    ):
        await anyio.sleep(10)
        for _ in range(3):
            client.reconnect()
        begin = anyio.current_time()
        await client.wait_open()
        assert anyio.current_time() - begin < 1
        await anyio.sleep(2000)
    assert len(net.dials) == 2


@NETS
async def test_s45_reconnecting_while_it_dials_changes_nothing(
    net_of: type[Net],
) -> None:
    async def slow(peer: Peer) -> None:
        await anyio.sleep(5)
        await peer.accept()

    async with net_of(slow) as net, net.client(first="background") as client:
        await anyio.sleep(1)
        assert client.state == State.CONNECTING
        client.reconnect()
        await client.wait_open()
        await anyio.sleep(100)
    assert len(net.dials) == 1


# S46: a thousand connections, a thousand failures.


class Footprint:
    """What the process holds now."""

    def __init__(self) -> None:
        gc.collect()
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.tasks = len(anyio.get_running_tasks())
        self.threads = threading.active_count()
        self.objects = len(gc.get_objects())

    def __sub__(self, before: Footprint) -> tuple[int, int, int]:
        return (
            self.descriptors - before.descriptors,
            self.tasks - before.tasks,
            self.threads - before.threads,
        )


@pytest.mark.real
async def test_s46_a_thousand_connections_leave_nothing_behind() -> None:
    served = 0
    live = most = 0
    said: set[int] = set()

    async def drops(connection: wsclient.Connection) -> None:
        nonlocal served, live, most
        served += 1
        live += 1
        most = max(most, live)
        try:
            said.add(len([await connection.recv() for _ in range(3)]))
        finally:
            live -= 1
        if served % 2:
            await connection.close(1001)

    with anyio.fail_after(4 * HANG):
        async with (
            wsclient.serve(drops, "127.0.0.1") as server,
            wsclient.Client(
                f"ws://127.0.0.1:{server.addresses[0][1]}/",
                subprotocol=TOPICS,
                wait=waits(0),
                first="background",
            ) as client,
        ):
            await client.subscribe({"ch": "a"})
            await client.subscribe({"ch": "b"})
            footprints = []
            cycle = 0
            async for event in client.events():
                if not isinstance(event, StateChanged) or event.after != State.OPEN:
                    continue
                client.mark_healthy()  # else the flap window would slow it down
                cycle += 1
                if cycle in (200, 600, 1000):
                    footprints.append(Footprint())
                if cycle == 1000:
                    break
                await client.send({"drop": "me"})
    early, *later = footprints
    assert served == 1000
    assert most == 1
    assert said == {3}, "two subscriptions and one message in each"
    for footprint in later:
        descriptors, tasks, threads = footprint - early
        # The server may still be closing its end of the one before.
        assert abs(descriptors) <= 2
        assert abs(tasks) <= 4
        assert threads <= 0
        assert footprint.objects <= early.objects * 1.01 + 300


async def test_s46_a_thousand_failed_dials_leave_nothing_behind() -> None:
    footprints = []
    async with Net(*[ConnectionRefusedError() for _ in range(1000)]) as net:
        async with net.client(first="background", wait=waits(1)) as client:
            for seconds in (200, 400, 390):
                await anyio.sleep(seconds)
                footprints.append(Footprint())
            await client.wait_open()
        assert len(net.dials) == 1001
    early, *later = footprints
    for footprint in later:
        *left, threads = footprint - early
        assert left == [0, 0]
        assert threads <= 0  # idle ones of earlier tests end in the meantime
        assert footprint.objects <= early.objects * 1.01 + 100


# S47: what the user's own code does in the loop's body.


class Mine(Exception):
    """Of the user's."""


async def publishes(peer: Peer) -> None:
    await peer.accept()
    n = 0
    while not peer.ended:
        peer.send(f"{n}")
        n += 1
        await anyio.sleep(0.05)


async def read_until(last: str, client: wsclient.Client[Any], error: Exception) -> None:
    async with client:
        async for message in client:
            if message == last:
                raise error


@WORLDS
async def test_s47_an_exception_in_the_body_leaves_as_it_is(
    world: type[Net] | type[Loopback],
) -> None:
    mine = Mine("in the body")
    async with world(publishes) as server:
        client = server.client()
        with pytest.raises(Mine) as caught:
            await read_until("2", client, mine)
        assert client.state == State.CLOSED
        await server.peer.until_gone()
    assert caught.value is mine
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert server.peer.close_code == 1001


@WORLDS
async def test_s47_breaking_out_of_iteration_ends_nothing(
    world: type[Net] | type[Loopback],
) -> None:
    got: list[str | bytes] = []
    async with world(publishes) as server:
        async with server.client() as client:
            for _ in range(3):
                async for message in client:
                    got.append(message)
                    break
            assert client.state == State.OPEN
        assert server.peer.close_code == 1000
    assert got == ["0", "1", "2"]


@WORLDS
async def test_s47_returning_from_the_body_closes_with_1000(
    world: type[Net] | type[Loopback],
) -> None:
    async def first(server: Net | Loopback) -> Any:
        async with server.client() as client:
            async for message in client:
                return message
        raise AssertionError("it goes on for ever")

    async with world(publishes) as server:
        assert await first(server) == "0"
        assert server.peer.close_code == 1000


async def test_s47_an_iterator_that_is_dropped_leaves_the_client_as_it_was() -> None:
    async with Net(publishes) as net, net.client() as client:
        iterator = aiter(client)
        assert await anext(iterator) == "0"
        del iterator
        gc.collect()
        gaps = client.with_gaps()
        assert await anext(gaps) == "1"
        del gaps
        gc.collect()
        assert await client.recv() == "2"
    assert net.peer.close_code == 1000


async def test_s47_a_generator_of_the_users_that_is_abandoned_closes_it() -> None:
    """The user's own async generator around a client, closed as such should be."""

    async def messages(net: Net) -> AsyncIterator[str | bytes]:
        async with net.client() as client:
            async for message in client:
                yield message

    async with Net(publishes) as net:
        async with anyio.create_task_group():
            generator = messages(net)
            assert await anext(generator) == "0"
            await generator.aclose()  # type: ignore[attr-defined]
        assert net.clients[0].state == State.CLOSED
        await net.peer.until_gone()
    assert net.peer.close_code == 1001


async def test_s47_a_handler_that_raises_in_a_task_cancels_only_what_it_should() -> (
    None
):
    async def fails(client: wsclient.Client[Any]) -> None:
        async for _ in client:
            raise Mine

    async def starts(client: wsclient.Client[Any]) -> None:
        async with client, anyio.create_task_group() as group:
            group.start_soon(fails, client)
            await anyio.sleep_forever()

    async with Net(publishes) as net:
        client = net.client()
        with pytest.raises(ExceptionGroup) as caught:
            await starts(client)
        assert client.state == State.CLOSED
        await anyio.sleep(1)  # the run goes on
        await net.peer.until_gone()
    assert [type(error) for error in caught.value.exceptions] == [Mine]
    assert net.peer.close_code == 1001
