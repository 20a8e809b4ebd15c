"""S42: a send in every state, by every policy: nothing is silently dropped."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
import tenacity

from wsclient.errors import (
    ArgumentError,
    ConnectionClosed,
    GaveUp,
    LocalProtocolError,
    MaybeSent,
    MessageTypeError,
    NotSent,
    QueueFull,
)
from wsclient.supervisor import Fate, State, WhenDown

from .clients import Raw, Words, fixed, plain, settle, words
from .network import FakeLink, Network, refused


async def reach(state: State, network: Network) -> Raw:
    """A client in the state; whoever calls this has to leave it."""

    async def hook(connection: Any) -> None:
        if state is State.PREPARING:
            await anyio.sleep(5)

    network.answers.append(5 if state is State.CONNECTING else None)
    client = plain(
        network, on_connect=hook, first="background", wait=fixed(5), open_timeout=60
    )
    if state is State.NEW:
        return client
    if state is State.FAILED:
        network.answers.clear()
        network.default = refused()
        client = plain(network, first="background", stop=tenacity.stop_after_attempt(1))
    await client.__aenter__()
    await settle()
    if state is State.DOWN:
        network.link.lose()
    elif state is State.CLOSED:
        await client.close()
    await settle()
    assert client.state is state
    return client


LIVE = [State.CONNECTING, State.PREPARING, State.OPEN, State.DOWN]


@pytest.mark.parametrize("policy", WhenDown)
@pytest.mark.parametrize("state", LIVE)
async def test_what_a_send_does_while_the_client_lives(
    network: Network, state: State, policy: WhenDown
) -> None:
    client = await reach(state, network)
    is_open = state is State.OPEN
    send = client.send("x", when_down=policy.value)
    if policy is WhenDown.RAISE and not is_open:
        with pytest.raises(NotSent) as caught:
            await send
        assert caught.value.message == "x"
        assert caught.value.__cause__ is not None
    else:
        receipt = await send
        assert (
            receipt.fate
            == {
                WhenDown.WAIT: Fate.SENT,
                WhenDown.RAISE: Fate.SENT,
                WhenDown.QUEUE: Fate.SENT if is_open else Fate.QUEUED,
                WhenDown.DROP: Fate.SENT if is_open else Fate.DROPPED,
            }[policy]
        )
        await client.wait_open()
        await settle()
        leaves = is_open or policy in {WhenDown.WAIT, WhenDown.QUEUE}
        assert network.link.sent == (["x"] if leaves else [])
        assert await receipt.wait() == (Fate.SENT if leaves else Fate.DROPPED)
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("policy", WhenDown)
@pytest.mark.parametrize("state", [State.CLOSED, State.FAILED, State.NEW])
async def test_what_a_send_does_where_it_cannot_leave_any_more(
    network: Network, state: State, policy: WhenDown
) -> None:
    client = await reach(state, network)
    if state is State.NEW:
        with pytest.raises(LocalProtocolError, match="before the client was entered"):
            await client.send("x", when_down=policy.value)
        return
    with pytest.raises(NotSent) as caught:
        await client.send("x", when_down=policy.value)
    expected = GaveUp if state is State.FAILED else ConnectionClosed
    assert isinstance(caught.value.__cause__, expected)
    if state is State.FAILED:
        with pytest.raises(GaveUp):
            await client.__aexit__(None, None, None)
    else:
        await client.__aexit__(None, None, None)


@pytest.mark.parametrize("policy", WhenDown)
async def test_a_send_while_closing_is_refused(
    network: Network, policy: WhenDown
) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.close_takes = 3
        group.start_soon(client.close)
        await settle()
        assert client.state is State.CLOSING
        with pytest.raises(NotSent):
            await client.send("x", when_down=policy.value)
    assert network.link.sent == []


@pytest.mark.parametrize("policy", WhenDown)
async def test_what_waits_for_room_when_the_connection_drops(
    network: Network, policy: WhenDown
) -> None:
    async with plain(network) as client:
        network.link.make_room(0)
        found: list[Any] = []

        async def send() -> None:
            try:
                receipt = await client.send("x", when_down=policy.value)
                found.append(receipt)
            except NotSent as exc:
                found.append(exc)

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await settle()
            network.link.lose()
            await settle()
            if policy is WhenDown.RAISE:
                assert isinstance(found[0], NotSent)
            elif policy is WhenDown.DROP:
                assert found[0].fate is Fate.DROPPED
            else:
                assert not found or found[0].fate is Fate.QUEUED
            await anyio.sleep(1.5)
        kept = policy in {WhenDown.WAIT, WhenDown.QUEUE}
        assert network.link.sent == (["x"] if kept else [])


async def test_live_and_queued_sends_are_one_queue(network: Network) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.make_room(0)
        group.start_soon(client.send, "1")
        await settle()
        await client.send("2", when_down="queue")
        group.start_soon(client.send, "3")
        await settle()
        network.link.lose()
        await settle()
        group.start_soon(client.send, "4")
        await settle()
        await client.send("5", when_down="queue")
        await anyio.sleep(2)
        assert network.link.sent == list("12345")


async def test_what_is_asked_of_compression_travels_with_the_message(
    network: Network,
) -> None:
    """At once, from the queue, and across connections."""
    async with plain(network) as client, anyio.create_task_group() as group:
        await client.send("1", compress=True)
        await client.send("2")
        await client.send_many(["3", "4"], compress=False)
        assert network.link.compressed == [True, None, False, False]
        network.link.lose()
        await settle()
        await client.send("5", when_down="queue", compress=False)
        for text, compress in (("6", True), ("7", None)):
            group.start_soon(partial(client.send, text, compress=compress))
            await settle()
        group.start_soon(partial(client.send_many, ["8", "9"], compress=True))
        await anyio.sleep(2)
        assert network.link.sent == list("56789")
        assert network.link.compressed == [False, True, None, True, True]


async def test_the_queue_of_sends_is_bounded(network: Network) -> None:
    network.answers.append(5)
    async with plain(network, max_queued=2, first="background") as client:
        await client.send("1", when_down="queue")
        await client.send("2", when_down="queue")
        with pytest.raises(QueueFull) as caught:
            await client.send("3", when_down="queue")
        assert caught.value.message == "3"
        assert client.stats.queued == 2
        await client.wait_open()
        assert network.link.sent == ["1", "2"]
        assert client.stats.queued == 0
        assert client.stats.sent == 2


async def test_a_cancelled_send_that_waits_is_not_sent(network: Network) -> None:
    async with plain(network) as client:
        network.link.make_room(0)
        with anyio.move_on_after(1) as scope:
            await client.send("never")
        assert scope.cancelled_caught
        assert client.stats.waiting == 0
        network.link.make_room()
        await client.send("x")
        assert network.link.sent == ["x"]


async def test_a_send_cancelled_on_its_way_still_goes(network: Network) -> None:
    async with plain(network) as client:
        network.link.kernel = False
        with anyio.move_on_after(1) as scope:
            await client.send("x")
        assert scope.cancelled_caught
        assert network.link.sent == ["x"]


@pytest.mark.parametrize("room", [True, False])
async def test_a_drop_on_the_way_is_maybe_sent_and_never_sent_again(
    network: Network, room: bool
) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.kernel = False

        async def send() -> None:
            with pytest.raises(MaybeSent) as caught:
                await client.send("x")
            assert caught.value.message == "x"
            assert caught.value.__cause__ is not None

        if not room:
            network.link.make_room(0)
        group.start_soon(send)
        await settle()
        network.link.make_room()
        await settle()
        assert network.links[0].sent == ["x"]
        receipt = await client.send("q", when_down="queue")
        network.link.lose()
        await anyio.sleep(1.5)
        assert receipt.fate is Fate.MAYBE_SENT
        assert network.links[1].sent == []


async def test_the_kernel_taking_it_ends_a_send_and_settles_a_receipt(
    network: Network,
) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.kernel = False
        group.start_soon(client.send, "a")
        await settle()
        direct = await client.send("b", when_down="queue")
        network.link.make_room(0)
        behind = await client.send("c", when_down="queue")
        group.start_soon(client.send, "d")
        await settle()
        network.link.make_room()
        await settle()
        assert network.link.sent == list("abcd")
        assert (direct.fate, behind.fate) == (Fate.QUEUED, Fate.QUEUED)
        network.link.flush_kernel()
        await settle()
        assert (direct.fate, behind.fate) == (Fate.SENT, Fate.SENT)


async def test_leaving_never_waits_for_open(network: Network) -> None:
    network.default = refused()
    client = plain(network, first="background")
    caught: list[NotSent] = []

    async def send() -> None:
        with pytest.raises(NotSent) as info:
            await client.send("waiting")
        caught.append(info.value)

    async with anyio.create_task_group() as group:
        async with client:
            group.start_soon(send)
            receipt = await client.send("queued", when_down="queue")
            await anyio.sleep(10)
            assert (client.stats.waiting, client.stats.queued) == (1, 1)
        assert anyio.current_time() == pytest.approx(10, abs=0.01)
    assert isinstance(caught[0].__cause__, ConnectionClosed)
    assert receipt.fate is Fate.NOT_SENT
    with pytest.raises(NotSent):
        await receipt.wait()


async def test_a_dropping_send_that_waits_while_we_leave_is_not_sent(
    network: Network,
) -> None:
    client = plain(network)

    async def send() -> None:
        with pytest.raises(NotSent):
            await client.send("x", when_down="drop")

    async with anyio.create_task_group() as group, client:
        network.link.make_room(0)
        group.start_soon(send)
        await settle()


async def test_a_bad_word_and_a_bad_item_fail_at_the_call(network: Network) -> None:
    async with plain(network) as client:
        with pytest.raises(ArgumentError, match=r"when_down='later'.*'wait'"):
            await client.send("x", when_down="later")  # type: ignore[arg-type]
        for item in {"op": 1}, ["a"], None, bytearray(b"x"):
            with pytest.raises(MessageTypeError, match="JsonTopics"):
                await client.send(item, when_down="queue")  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="lone surrogates"):
            await client.send("\ud800", when_down="queue")
    assert network.link.sent == []


async def test_what_encode_raises_is_the_callers(network: Network) -> None:
    async with words(network, subprotocol=Words) as client:
        with pytest.raises(TypeError):
            await client.send(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("many", [False, True])
async def test_a_busy_sender_lets_others_run(network: Network, many: bool) -> None:
    """Every 32nd call is a checkpoint, sends and receives counted together."""
    turns = 0

    async def sibling() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with plain(network, max_messages=10_000) as client:
        network.link.deliver(*(["x"] * 500))
        async with anyio.create_task_group() as group:
            group.start_soon(sibling)
            await anyio.lowlevel.checkpoint()
            before = turns
            for _ in range(500):
                await (client.send_many(["x"]) if many else client.send("x"))
                await client.recv()
            assert turns - before >= 1000 // 33 - 1
            group.cancel_scope.cancel()


async def test_a_send_finds_its_link_gone_before_the_loop_does(
    network: Network,
) -> None:
    def server(link: FakeLink) -> None:
        link.lose()

    async with plain(network) as client:
        network.link.lose()
        await client.send("x")
        assert network.links[0].sent == []
        assert network.links[1].sent == ["x"]


# Many at a time.


async def test_many_leave_in_order_each_as_its_own(network: Network) -> None:
    async with plain(network) as client:
        await client.send_many(["a", b"b"])
        await client.send_many(f"{number}" for number in range(3))
        await client.send_many([])
        assert network.link.sent == ["a", b"b", "0", "1", "2"]
        assert client.stats.sent == 5


async def test_many_wait_for_a_connection_and_for_room(network: Network) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.make_room(2)
        group.start_soon(client.send_many, ["a", "b", "c", "d"])
        await settle()
        assert network.link.sent == ["a", "b"]
        network.link.lose()
        await settle()
        await client.wait_open()
        await settle()
        assert network.link.sent == ["c", "d"]


async def test_many_may_refuse_to_wait(network: Network) -> None:
    async with plain(network) as client:
        network.link.lose()
        await settle()
        with pytest.raises(NotSent) as caught:
            await client.send_many(["a", "b"], when_down="raise")
        assert caught.value.message == ["a", "b"]
        with pytest.raises(ArgumentError, match="when_down='queue'"):
            await client.send_many(["a"], when_down="queue")  # type: ignore[arg-type]


async def test_of_many_the_error_has_those_from_the_first_in_doubt_on(
    network: Network,
) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.make_room(2)
        await client.send_many(["a"])
        network.link.kernel = False

        @group.start_soon
        async def send() -> None:
            with pytest.raises(MaybeSent) as caught:
                await client.send_many(["b", "c", "d"])
            assert caught.value.message == ["b", "c", "d"]

        await settle()
        network.link.lose()


async def test_if_one_of_many_cannot_be_sent_none_is(network: Network) -> None:
    async with plain(network) as client:
        with pytest.raises(MessageTypeError):
            await client.send_many(["a", 3])  # type: ignore[list-item]
        with pytest.raises(ArgumentError):
            await client.send_many(["a", "\ud800"])
        with pytest.raises(MessageTypeError, match="is one message"):
            await client.send_many("text")
        assert network.link.sent == []


async def test_many_come_behind_what_waits(network: Network) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.make_room(0)
        group.start_soon(client.send, "first")
        await settle()
        group.start_soon(client.send_many, ["a", "b"])
        await settle()
        network.link.make_room()
        await settle()
        assert network.link.sent == ["first", "a", "b"]
