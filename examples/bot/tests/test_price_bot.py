"""The bot against a server that does what each test says, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from price_bot import PriceBot

from wsclient.testing import Network, Peer, ScriptedServer, rejects

TEA = '{"product":"tea"}'


def offer(price: float) -> str:
    return json.dumps({"product": "tea", "price": price})


def bot(server: ScriptedServer, network: Network) -> PriceBot:
    return PriceBot(server.url(), {"tea": 20.0}, dial=network.dial)


async def test_it_sells_at_the_limit(ws_server: Any, ws_network: Any) -> None:
    sold: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: bot(ws_server, ws_network).run(told=sold.append))
        peer = await ws_server.until_peer(1)
        assert await peer.recv() == TEA
        peer.send(offer(19.5), offer(20.5))
        assert json.loads(await peer.recv()) == {"sell": "tea", "price": 20.5}
    assert sold == ["sold tea at 20.5"]


async def test_it_goes_on_after_a_drop(ws_server: Any, ws_network: Any) -> None:
    async with anyio.create_task_group() as group:
        tested = bot(ws_server, ws_network)
        group.start_soon(tested.run)
        peer = await ws_server.until_peer(1)
        assert await peer.recv() == TEA
        ws_server.drop()
        peer = await ws_server.resubscribed(TEA, within=60)
        peer.send(offer(25))
    assert tested.gaps == 1
    assert tested.prices == {"tea": 25}


@pytest.mark.ws_server(scripts=[rejects(503, retry_after=120)])
async def test_it_waits_as_long_as_a_busy_server_asks(
    ws_server: Any, ws_network: Any, virtual_clock: Any
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(bot(ws_server, ws_network).run)
        peer = await ws_server.until_peer(2)
        assert virtual_clock.now - ws_server.peers[0].came_at >= 120
        assert await peer.recv() == TEA
        peer.send(offer(20))


async def test_a_laptop_may_sleep(
    ws_server: Any, ws_network: Any, virtual_clock: Any
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(bot(ws_server, ws_network).run)
        peer = await ws_server.until_peer(1)
        assert await peer.recv() == TEA
        virtual_clock.suspend(8 * 3600)
        peer = await ws_server.until_peer(2)
        assert await peer.recv() == TEA
        peer.send(offer(20))


@pytest.mark.ws_network(seed=7, latency=(0.2, 0.6))
async def test_a_feed_that_falls_silent_is_left(
    ws_server: Any, ws_network: Any
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(bot(ws_server, ws_network).run)
        assert await (await ws_server.until_peer(1)).recv() == TEA
        ws_network.links[0].silence()
        peer = await ws_server.resubscribed(TEA, within=120)
        peer.send(offer(20))


async def test_it_does_the_same_over_a_real_socket(ws_loopback: Any) -> None:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(PriceBot(ws_loopback.url(), {"tea": 20.0}).run)
            peer: Peer = await ws_loopback.until_peer(1)
            assert await peer.recv() == TEA
            peer.send(offer(20))
