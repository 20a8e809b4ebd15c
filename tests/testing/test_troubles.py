"""Random trouble that is the same each time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random
from typing import Any

import anyio
import pytest

import wsclient
from wsclient.testing import (
    TROUBLES,
    VIRTUAL_BACKENDS,
    Network,
    trouble,
    virtual_backend,
)

URL = "ws://feed.test/"


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture
async def network(anyio_backend: object) -> AsyncIterator[Network]:
    """Where an echo server listens."""

    async def echo(ws: wsclient.Connection) -> None:
        async for message in ws:
            await ws.send(message)

    network = Network(seed=1)
    feed = network.host("feed.test")
    async with wsclient.serve(echo, "feed.test", 80, listen=feed.listen):
        yield network


async def answered(client: wsclient.Client[str | bytes], text: str) -> None:
    """Say it until it is answered: what was sent into a black hole is lost."""
    while True:
        await client.send(text)
        try:
            assert await client.recv(timeout=60) == text
        except wsclient.ReceiveTimeout:
            continue
        return


async def story(network: Network, seed: int, kinds: Sequence[str]) -> list[float]:
    """Ten minutes of a client under trouble; when each of its dials ended."""
    async with wsclient.Client(
        URL, dial=network.dial, recv_timeout=30, random=Random(seed)
    ) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(
                partial(trouble, network, seed=seed, every=30, lasting=20, kinds=kinds)
            )
            await anyio.sleep(600)
            group.cancel_scope.cancel()
        await answered(client, "still here")
    return [dialled.ended for dialled in network.dials]


@pytest.mark.parametrize("kind", TROUBLES)
async def test_a_client_outlives_each_kind_of_trouble(
    network: Network, kind: str
) -> None:
    with anyio.fail_after(1000):
        dials = await story(network, 3, (kind,))
    assert dials
    assert network.most_live == 1


async def test_all_kinds_at_once_are_outlived_too(network: Network) -> None:
    with anyio.fail_after(10_000):
        assert await story(network, 3, ())


async def test_a_kind_that_there_is_not_is_refused(network: Network) -> None:
    with pytest.raises(ValueError, match="'sabotage'"):
        await trouble(network, kinds=["sabotage"])


async def test_without_links_and_hosts_there_is_nothing_to_break() -> None:
    with anyio.move_on_after(10_000):
        await trouble(Network())


async def test_what_was_broken_is_whole_again_when_it_is_cancelled(
    network: Network,
) -> None:
    with anyio.move_on_after(50):
        await trouble(network, every=1, lasting=1e6, kinds=["no DNS", "crash"])
    async with wsclient.connect(URL, dial=network.dial) as ws:
        await ws.send("whole")
        assert await ws.recv() == "whole"
