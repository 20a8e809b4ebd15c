"""A client and a subscription are read with the same calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from wsclient.supervisor.reader import Reader

from .clients import topics
from .network import Network

CALLS: list[Callable[[Reader[Any]], Awaitable[Any]]] = [
    lambda reader: reader.recv(),
    lambda reader: reader.receive(),
    lambda reader: anext(reader),
    lambda reader: anext(aiter(reader)),
    lambda reader: anext(reader.with_gaps()),
]


@pytest.mark.parametrize("call", CALLS)
async def test_the_next_item_can_be_asked_for_in_every_way(
    network: Network, call: Callable[[Reader[Any]], Awaitable[Any]]
) -> None:
    async with topics(network) as client:
        subscription = await client.subscribe("a")
        network.link.deliver('{"channel": "a"}', '{"channel": "b"}')
        assert await call(subscription) == {"channel": "a"}
        assert await call(client) == {"channel": "b"}


async def test_all_that_waits_can_be_asked_for(network: Network) -> None:
    async with topics(network) as client:
        subscription = await client.subscribe("a")
        network.link.deliver(*['{"channel": "a"}', '{"channel": "b"}'] * 3)
        assert await subscription.recv_many() == [{"channel": "a"}] * 3
        assert await client.recv_many(2) == [{"channel": "b"}] * 2
        assert await client.recv_many() == [{"channel": "b"}]
