"""Our client against servers nobody here wrote, that end its connections."""

from __future__ import annotations

import ssl

import anyio
import pytest

import wsclient

from .servers import Server

pytestmark = pytest.mark.real


async def test_a_client_goes_on_when_the_server_closes_each_life(
    server: Server, scheme: str, tls: ssl.SSLContext | None
) -> None:
    got: list[str | bytes] = []
    gaps: list[wsclient.Gap] = []
    with anyio.fail_after(30):
        async with wsclient.Client(
            server.url("/schedule?count=20&then=close", scheme),
            tls=tls,
            wait=wsclient.FullJitter(base=0.01, cap=0.05),
            first="background",  # all may come, and end, before it can be OPEN
        ) as client:
            async for item in client.with_gaps():
                if isinstance(item, wsclient.Gap):
                    gaps.append(item)
                else:
                    got.append(item)
                if len(got) == 60:
                    break
    assert got == [str(n) for n in range(20)] * 3
    assert [gap.generation for gap in gaps] == [2, 3]
    assert {gap.reason for gap in gaps} == {"PEER_CLOSED"}


async def test_a_subscription_is_said_again_to_a_server_that_was_killed(
    server: Server,
) -> None:
    with anyio.fail_after(30):
        async with wsclient.Client(
            server.url("/echo"), wait=wsclient.FullJitter(base=0.01, cap=0.05)
        ) as client:
            await client.subscribe("hello")
            news = client.with_gaps()
            assert await anext(news) == "hello"
            server.kill()
            await anyio.to_thread.run_sync(server.start)
            gap = await anext(news)
            assert isinstance(gap, wsclient.Gap)
            assert gap.reason in {"EOF", "RESET"}
            assert await anext(news) == "hello"
            assert gap.generation == client.generation == 2
