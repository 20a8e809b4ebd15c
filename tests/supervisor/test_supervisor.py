"""The supervisor as its user sees it."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from wsclient.errors import Reason
from wsclient.subprotocols.json_topics import JsonTopics
from wsclient.subprotocols.plain import Plain
from wsclient.supervisor.lifecycle import State
from wsclient.supervisor.supervisor import Supervisor

from .network import Network


def lowest(a: float, b: float) -> float:
    return a


def highest(a: float, b: float) -> float:
    return b


async def settle() -> None:
    """Let everything happen that can happen now."""
    await anyio.sleep(0.001)


def plain(network: Network, **options: Any) -> Supervisor[str | bytes]:
    return Supervisor(network, Plain(), uniform=highest, **options)


async def test_it_goes_on_across_a_drop(network: Network) -> None:
    async with plain(network) as client:
        network.link.deliver("one")
        assert await client.recv() == "one"
        await client.send("hello")
        assert network.link.sent == ["hello"]
        network.link.lose()
        await client.send("again")
        assert network.links[1].sent == ["again"]
        network.link.deliver("two")
        assert await client.recv() == "two"
    assert network.links[0].ended_at is not None
    assert network.links[1].close_sent is not None
    assert network.links[1].close_sent.code == 1000
    assert network.most_open == 1
    assert client.state is State.CLOSED


async def test_subscriptions_are_said_again(network: Network) -> None:
    client = Supervisor(network, JsonTopics(), uniform=highest)
    async with client:
        async with client.subscribe({"channel": "a"}, unsubscribe={"bye": "a"}) as a:
            b = await client.subscribe({"channel": "b"})
            assert network.link.sent == ['{"channel":"a"}', '{"channel":"b"}']
            network.link.deliver('{"channel":"b","n":1}', '{"channel":"a","n":2}')
            assert await a.recv() == {"channel": "a", "n": 2}
            assert await b.recv() == {"channel": "b", "n": 1}
            network.link.lose(Reason.EOF)
            await anyio.sleep(2)
            assert network.link.sent == ['{"channel":"a"}', '{"channel":"b"}']
        assert network.link.sent[2:] == ['{"bye":"a"}']


async def test_user_exceptions_leave_untouched(network: Network) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with plain(network):
            raise error
    assert caught.value is error
    assert error.__context__ is None
    assert network.link.close_sent is not None
    assert network.link.close_sent.code == 1001
