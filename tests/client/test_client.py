"""What Client adds, as its user sees it: making one, entering, speaking, leaving."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, assert_type

import anyio
import anyio.lowlevel
import pytest

import wsclient
from wsclient import ArgumentError, Attempt, JsonTopics, State
from wsclient.subprotocols import Base

from .inv import anyio_backend, inv
from .world import Net, Peer, header

__all__ = ("anyio_backend", "inv")

URL = "ws://server.test/"


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


async def echoes(peer: Peer) -> None:
    await peer.accept()
    while True:
        peer.send(await peer.recv())


async def refuses(peer: Peer) -> None:
    await peer.reject(503)


async def forbids(peer: Peer) -> None:
    await peer.reject(403)


# Making one.


@pytest.mark.parametrize(
    ("url", "options", "name"),
    [
        ("http://server.test/", {}, "ws"),
        ("ws://server.test/#top", {}, "fragment"),
        (lambda: URL, {}, "url"),
        (URL, {"headers": "Authorization: x"}, "headers"),
        (URL, {"headers": lambda: {"X-A": "a"}}, "headers"),
        (URL, {"headers": {"X-A": "a\r\nX-B: b"}}, "X-A"),
        (URL, {"headers": {"Upgrade": "h2c"}}, "(?i)upgrade"),
        (URL, {"on_connect": 1}, "on_connect"),
        (URL, {"subprotocol": "chat"}, "subprotocol"),
        (URL, {"subprotocols": "chat"}, "subprotocols"),
        (URL, {"subprotocols": ["two words"]}, "two words"),
        (URL, {"classify": 1}, "classify"),
        (URL, {"wait": 1}, "wait"),
        (URL, {"stop": 1}, "stop"),
        (URL, {"first": "maybe"}, "first"),
        (URL, {"open_timeout": math.nan}, "open_timeout"),
        (URL, {"open_timeout": -1}, "open_timeout"),
        (URL, {"prepare_timeout": "10"}, "prepare_timeout"),
        (URL, {"recv_timeout": math.nan}, "recv_timeout"),
        (URL, {"stable_after": -1}, "stable_after"),
        (URL, {"ack_timeout": -1}, "ack_timeout"),
        (URL, {"slow_timeout": -1}, "slow_timeout"),
        (URL, {"max_retry_after": math.nan}, "max_retry_after"),
        (URL, {"close_timeout": math.nan}, "close_timeout"),
        (URL, {"ping_interval": 0}, "ping_interval"),
        (URL, {"ping_timeout": -1}, "ping_timeout"),
        (URL, {"write_timeout": math.nan}, "write_timeout"),
        (URL, {"max_message_size": 0}, "max_message_size"),
        (URL, {"compression": "gzip"}, "compression"),
        (URL, {"tls": True}, "tls"),
        (URL, {"dial": 1}, "dial"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_call_by_name(
    url: Any, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(ArgumentError, match=name):
        wsclient.Client(url, **options)


async def test_a_client_is_entered_once() -> None:
    async with Net() as net:
        client = net.client()
        async with client:
            pass
        with pytest.raises(wsclient.LocalProtocolError, match="make a new one"):
            async with client:
                raise AssertionError("it was used before")


# The opening handshake, for each attempt.


async def test_url_and_headers_are_asked_for_at_each_attempt() -> None:
    def url(attempt: Attempt) -> str:
        return f"ws://server.test/life/{attempt.generation}"

    async def headers(attempt: Attempt) -> Sequence[tuple[str, str]]:
        await anyio.sleep(0.1)
        return [("X-Attempt", f"{attempt.number}")]

    async with Net(refuses, default=echoes) as net:
        made = net.client(url, headers=headers, wait=waits(1))
        async with made as client:
            client.mark_healthy()
            client.reconnect()
            await net.until_accepted(3)
    requests = [peer.endpoint.request for peer in net.peers]
    assert [(r.target, header(r, "x-attempt")) for r in requests if r] == [
        ("/life/1", "1"),
        ("/life/1", "2"),
        ("/life/2", "2"),
    ]


class Trades(Base[str]):
    """Speaks an application protocol that has a name."""

    names: Sequence[str] = ("trades.v2", "trades.v1")

    def encode(self, item: str) -> str:
        return item

    def decode(self, data: str | bytes) -> list[str]:
        return str(data).split("|")

    async def hello(self, conversation: wsclient.Conversation[str]) -> None:
        await conversation.send(
            f"hello {conversation.subprotocol} {conversation.generation} "
            f"{dict(conversation.response_headers)['x-server']}"
        )


async def test_the_names_of_both_kinds_of_subprotocols_are_offered_and_told() -> None:
    async def agrees(peer: Peer) -> None:
        await peer.accept([("X-Server", "seven")], subprotocol="trades.v1")

    async with Net(agrees) as net:
        names = ["chat", "trades.v1"]
        async with net.client(subprotocol=Trades, subprotocols=names):
            pass
        request = net.peer.endpoint.request
        assert request is not None
        offered = header(request, "sec-websocket-protocol")
    assert offered == "trades.v2, trades.v1, chat"
    assert net.peer.messages == ["hello trades.v1 1 seven"]


async def test_on_connect_comes_before_hello_and_takes_raw_messages() -> None:
    async def asks(peer: Peer) -> None:
        await peer.accept()
        peer.send("password?", "a|b", "c")

    async def login(conversation: wsclient.Conversation[str | bytes]) -> None:
        assert await conversation.recv() == "password?"
        await conversation.send(b"secret")

    class Greets(Trades):
        async def hello(self, conversation: wsclient.Conversation[str]) -> None:
            assert await conversation.recv() == "a"
            await conversation.send("hello")

    async with (
        Net(asks) as net,
        net.client(subprotocol=Greets, on_connect=login) as client,
    ):
        assert [await client.recv(), await client.recv()] == ["b", "c"]
    assert net.peer.messages == [b"secret", "hello"]


# What a message is.


async def test_plain_clients_speak_str_and_bytes() -> None:
    async with Net(echoes) as net:
        client: wsclient.Client[str | bytes] = net.client()
        async with client:
            for message in ("text", b"binary", "", b""):
                await client.send(message)
                got = await client.recv()
                assert (got, type(got)) == (message, type(message))
            with pytest.raises(wsclient.MessageTypeError, match="JsonTopics"):
                await client.send({"op": "order"})  # type: ignore[arg-type]
            trades = await client.subscribe("trades")
            with pytest.raises(wsclient.LocalProtocolError, match="does not route"):
                await anext(aiter(trades))
    assert net.peer.messages == ["text", b"binary", "", b"", "trades"]


async def test_json_topics_route_each_message_to_its_subscriptions() -> None:
    async def publishes(peer: Peer) -> None:
        await peer.accept()
        await peer.until(lambda: len(peer.messages) == 2)
        peer.send(*(f'{{"channel":"{c}","n":{n}}}' for n in range(2) for c in "abc"))

    topics = JsonTopics(unsubscribe=lambda topic: {"bye": topic["channel"]})
    async with Net(publishes) as net, net.client(subprotocol=topics) as client:
        async with client.subscribe({"channel": "a"}) as a:
            b = await client.subscribe({"channel": "b"})
            twin = await client.subscribe({"channel": "b"})
            for n in range(2):
                assert await a.recv() == {"channel": "a", "n": n}
                assert await b.recv() == {"channel": "b", "n": n}
                assert await twin.recv() == {"channel": "b", "n": n}
                assert await client.recv() == {"channel": "c", "n": n}
        await b.unsubscribe()
        await twin.unsubscribe()
    assert net.peer.messages == [
        '{"channel":"a"}',
        '{"channel":"b"}',
        '{"bye":"a"}',
        '{"bye":"b"}',
    ]


async def test_a_type_checker_knows_what_a_client_gives() -> None:
    async with Net(echoes) as net:
        client = wsclient.Client(net.url(), dial=net.dial)
        net.clients.append(client)
        assert_type(client, wsclient.Client[str | bytes])
        async with client:
            await client.send("x")
            assert_type(await client.recv(), str | bytes)
        trades = wsclient.Client(net.url(), dial=net.dial, subprotocol=Trades)
        assert_type(trades, wsclient.Client[str])
        assert_type(trades.subscribe("x"), wsclient.supervisor.Subscribing[str])


# Entering.


async def test_first_wait_returns_at_the_first_open() -> None:
    async with Net(refuses, ConnectionRefusedError(), echoes) as net:
        begin = anyio.current_time()
        async with net.client(wait=waits(7)) as client:
            assert anyio.current_time() - begin == pytest.approx(14, abs=0.5)
            assert client.state == State.OPEN
    assert len(net.dials) == 3


async def test_first_wait_raises_what_is_fatal() -> None:
    async with Net(refuses, forbids) as net:
        with pytest.raises(wsclient.GaveUp) as caught:
            async with net.client(wait=waits(1)):
                raise AssertionError("it cannot be open")
    assert isinstance(caught.value.__cause__, wsclient.HandshakeRejected)
    assert [attempt.number for attempt in caught.value.attempts] == [1, 2]


async def test_first_raise_raises_any_first_failure_as_it_is() -> None:
    async with Net(refuses) as net:
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with net.client(first="raise"):
                raise AssertionError("it cannot be open")
        assert net.clients[0].state == State.FAILED
    assert caught.value.status == 503
    assert len(net.dials) == 1


async def test_first_raise_retries_what_fails_later() -> None:
    async def drops(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(1)
        peer.reset()

    async with (
        Net(drops, refuses, echoes) as net,
        net.client(first="raise", wait=waits(1)) as client,
    ):
        await net.until_accepted(3)
        await client.wait_open()


async def test_first_background_returns_at_once_and_the_next_call_is_told() -> None:
    async with Net(refuses, forbids) as net:
        begin = anyio.current_time()
        async with net.client(first="background", wait=waits(5)) as client:
            assert anyio.current_time() == begin
            with pytest.raises(wsclient.GaveUp):
                await client.recv()
            assert client.state == State.FAILED


async def stay(client: wsclient.Client[Any], error: Exception | None = None) -> None:
    """Be there until it has failed, and make no call."""
    async with client:
        await anyio.sleep(1)
        assert client.state == State.FAILED
        if error is not None:
            raise error


async def test_who_was_not_told_of_the_failure_is_told_on_leaving() -> None:
    async with Net(forbids) as net:
        with pytest.raises(wsclient.GaveUp):
            await stay(net.client(first="background"))


async def test_an_exception_of_the_body_is_not_replaced_by_the_failure() -> None:
    async with Net(forbids) as net:
        with pytest.raises(ZeroDivisionError):
            await stay(net.client(first="background"), ZeroDivisionError())


# Frameworks that enter and leave in different tasks.


async def test_run_is_started_in_one_task_and_ended_from_another() -> None:
    async with Net(refuses, echoes) as net:
        client = net.client(wait=waits(1))

        async def teardown() -> None:
            await client.send("from another task")
            assert await client.recv() == "from another task"
            await client.close()

        async with anyio.create_task_group() as group:
            await group.start(client.run)
            assert client.state == State.OPEN
            group.start_soon(teardown)
        assert client.state == State.CLOSED
        assert net.peer.close_code == 1000


async def test_run_is_ended_by_cancelling_its_task_group() -> None:
    async with Net(echoes) as net:
        client = net.client()
        async with anyio.create_task_group() as group:
            await group.start(client.run)
            group.cancel_scope.cancel()
        assert client.state == State.CLOSED
        await net.peer.until_gone()
        assert net.peer.close_code == 1001


async def test_run_raises_the_failure_even_if_a_call_has_told_it() -> None:
    async with Net(refuses, forbids) as net:
        client = net.client(first="background", wait=waits(1))
        told: list[Exception] = []

        async def run(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            try:
                await client.run(task_status=task_status)
            except wsclient.GaveUp as exc:
                told.append(exc)

        async with anyio.create_task_group() as group:
            await group.start(run)
            with pytest.raises(wsclient.GaveUp):
                await client.wait_open()
        assert len(told) == 1


async def test_run_that_cannot_start_raises_in_the_one_who_starts_it() -> None:
    async def starts(client: wsclient.Client[Any]) -> None:
        async with anyio.create_task_group() as group:
            await group.start(client.run)
            raise AssertionError("it cannot be open")

    async with Net(forbids) as net:
        with pytest.raises(ExceptionGroup) as caught:
            await starts(net.client())
    assert [type(error) for error in caught.value.exceptions] == [wsclient.GaveUp]


# Leaving: what the server hears.


async def test_leaving_says_1000() -> None:
    async with Net() as net:
        async with net.client() as client:
            assert client.state == State.OPEN
        assert (client.state, net.peer.close_code) == (State.CLOSED, 1000)


async def test_closing_says_what_it_is_told_to_say() -> None:
    async with Net() as net:
        async with net.client() as client:
            await client.close(4002, "enough")
            assert client.state == State.CLOSED
            with pytest.raises(wsclient.NotSent):
                await client.send("too late")
            with pytest.raises(wsclient.ConnectionClosed):
                await client.recv()
        close = net.peer.endpoint.close_received
        assert close == wsclient.Close(4002, "enough")


async def test_leaving_by_an_exception_says_1001_and_lets_it_through() -> None:
    async with Net() as net:
        with pytest.raises(ZeroDivisionError) as caught:
            async with net.client():
                raise ZeroDivisionError("mine")
        assert net.peer.close_code == 1001
    assert str(caught.value) == "mine"


async def test_leaving_by_a_cancellation_says_1001_and_waits_for_nothing() -> None:
    async def mute(peer: Peer) -> None:
        await peer.accept()
        peer.polite = False

    async with Net(mute) as net:
        with anyio.CancelScope() as scope:
            async with net.client() as client:
                begin = anyio.current_time()
                scope.cancel()
                await anyio.sleep_forever()
        assert anyio.current_time() == begin
        assert client.state == State.CLOSED
        await net.peer.until_gone()
        assert net.peer.close_code == 1001


async def test_leaving_while_down_waits_for_nothing() -> None:
    async with Net(default=refuses) as net:
        async with net.client(first="background", wait=waits(1000)) as client:
            await anyio.sleep(10)
            before = client.state
            begin = anyio.current_time()
        assert anyio.current_time() == begin
        assert (before, client.state) == (State.DOWN, State.CLOSED)
