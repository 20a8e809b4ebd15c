"""Our client and our server with a real reverse proxy between them."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute

import wsclient

from .proxies import Proxy

pytestmark = pytest.mark.real

QUICK = wsclient.FullJitter(base=0.02, cap=0.1)


@asynccontextmanager
async def behind(
    proxy: Proxy, handler: Any, **options: Any
) -> AsyncIterator[wsclient.Server]:
    """Serve where the proxy looks for it, without pings, so that links can be idle."""
    options = {"ping_interval": None, **options}
    async with wsclient.serve(handler, "127.0.0.1", proxy.backend, **options) as server:
        yield server


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def refused(url: str, **options: Any) -> wsclient.HandshakeRejected:
    """Connect in vain; return what was answered."""
    with pytest.raises(wsclient.HandshakeRejected) as caught:
        async with wsclient.connect(url, **options):
            raise AssertionError("refused, and yet open")
    return caught.value


async def take(events: Any, kind: type, count: int) -> AsyncIterator[Any]:
    """Give the first events of one kind."""
    async for event in events:
        if isinstance(event, kind):
            yield event
            count -= 1
            if not count:
                return


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_pass_as_they_are(
    proxy: Proxy, scheme: str, tls: ssl.SSLContext | None, compression: str | None
) -> None:
    with anyio.fail_after(30):
        async with (
            behind(proxy, echo),
            wsclient.connect(
                proxy.url("/", scheme), tls=tls, compression=compression
            ) as ws,
        ):
            for size in 0, 1, 125, 126, 65535, 65536, 1 << 20:
                for message in "x" * size, random.Random(size).randbytes(size):
                    await ws.send(message)
                    assert await ws.recv() == message
            await ws.send(["a", "", "b"])
            assert await ws.recv() == "ab"
            assert await ws.ping() > 0


async def test_the_server_is_told_who_asks_and_how(
    proxy: Proxy, scheme: str, tls: ssl.SSLContext | None
) -> None:
    seen: list[dict[str, str]] = []

    def look(connection: wsclient.Connection, request: wsclient.Request) -> None:
        seen.append({name.lower(): value for name, value in request.headers})

    url = proxy.url("/", scheme)
    with anyio.fail_after(30):
        async with (
            behind(proxy, echo, process_request=look, subprotocols=["chat"]),
            wsclient.connect(url, tls=tls, subprotocols=["chat"]) as ws,
        ):
            assert ws.subprotocol == "chat"
    assert seen[0]["x-forwarded-for"] == "127.0.0.1"
    assert seen[0]["x-forwarded-proto"] == ("https" if scheme == "wss" else "http")
    assert url.endswith(f"{seen[0]['host']}/")


async def test_codes_and_reasons_pass_in_both_directions(proxy: Proxy) -> None:
    heard: list[str] = []

    async def converse(ws: wsclient.Connection) -> None:
        if await ws.recv() == "close":
            await ws.close(4003, "not yöu")
        with pytest.raises(wsclient.ConnectionClosed) as caught:
            await ws.recv()
        heard.append(str(caught.value.received))

    with anyio.fail_after(30):
        async with behind(proxy, converse):
            async with wsclient.connect(proxy.url()) as ws:
                await ws.send("close")
                with pytest.raises(wsclient.ConnectionClosed, match="4003 not yöu"):
                    await ws.recv()
            async with wsclient.connect(proxy.url()) as ws:
                await ws.send("wait")
                await ws.close(4001, "döne")
    assert heard == ["4003", "4001 döne"]


async def test_an_idle_link_is_cut_and_one_with_pings_outlives_it(
    proxy: Proxy,
) -> None:
    ends: list[wsclient.WebSocketError] = []

    async def listen(ws: wsclient.Connection) -> None:
        try:
            await echo(ws)
        except wsclient.ConnectionLost as end:
            ends.append(end)

    with anyio.fail_after(30):
        async with (
            behind(proxy, listen),
            wsclient.connect(proxy.url(), ping_interval=0.2) as alive,
            wsclient.connect(proxy.url(), ping_interval=None) as idle,
        ):
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await idle.recv()
            await alive.send("still here")
            assert await alive.recv() == "still here"
    assert caught.value.reason in {"EOF", "RESET"}
    assert len(ends) == 1, "the server hears it too"


async def test_a_client_goes_on_when_the_proxy_is_killed_and_started_again(
    proxy: Proxy,
) -> None:
    with anyio.fail_after(30):
        async with (
            behind(proxy, echo),
            wsclient.Client(proxy.url(), wait=QUICK, ping_interval=0.2) as client,
        ):
            await client.subscribe("hello")
            news = client.with_gaps()
            assert await anext(news) == "hello"
            proxy.kill()
            await anyio.to_thread.run_sync(proxy.start)
            assert isinstance(await anext(news), wsclient.Gap)
            assert await anext(news) == "hello"


async def test_a_client_goes_on_when_the_proxy_loads_its_configuration_anew(
    proxy: Proxy,
) -> None:
    """The new workers take connections while the old ones are cut off: no refusal."""
    with anyio.fail_after(30):
        async with (
            behind(proxy, echo),
            wsclient.Client(proxy.url(), wait=QUICK, ping_interval=0.2) as client,
        ):
            await client.subscribe("hello")
            news = client.with_gaps()
            assert await anext(news) == "hello"
            proxy.reload()
            gap = await anext(news)
            assert isinstance(gap, wsclient.Gap)
            assert gap.reason in {"EOF", "RESET"}
            assert await anext(news) == "hello"
            assert client.generation == 2


async def test_what_the_proxy_says_for_a_server_that_is_down_is_tried_again(
    proxy: Proxy,
) -> None:
    with anyio.fail_after(30):
        async with wsclient.Client(
            proxy.url(), wait=QUICK, first="background"
        ) as client:
            failures = [
                event.outcome
                async for event in take(client.events(), wsclient.AttemptFailed, 3)
            ]
            async with behind(proxy, echo):
                await client.wait_open()
                await client.send("at last")
                assert await client.recv() == "at last"
    assert {failure.status for failure in failures} == {proxy.make.backend_down}


async def test_a_server_that_does_not_answer_in_time_is_a_504_and_tried_again(
    proxy: Proxy,
) -> None:
    asked: list[wsclient.Request] = []
    done = anyio.Event()

    async def hang_once(
        connection: wsclient.Connection, request: wsclient.Request
    ) -> None:
        asked.append(request)
        if len(asked) == 1:
            await done.wait()

    with anyio.fail_after(30):
        async with (
            behind(proxy, echo, process_request=hang_once),
            wsclient.Client(proxy.url(), wait=QUICK, first="background") as client,
        ):
            [failure] = [
                event.outcome
                async for event in take(client.events(), wsclient.AttemptFailed, 1)
            ]
            await client.send("at last")
            assert await client.recv() == "at last"
            done.set()
    assert failure.status == 504


async def test_a_refusal_of_the_server_passes_with_its_headers_and_body(
    proxy: Proxy,
) -> None:
    def refuse(
        connection: wsclient.Connection, request: wsclient.Request
    ) -> wsclient.HTTPResponse:
        return wsclient.HTTPResponse(429, "not so fast", {"Retry-After": "7"})

    with anyio.fail_after(30):
        async with behind(proxy, echo, process_request=refuse):
            refusal = await refused(proxy.url())
    assert (refusal.status, refusal.body) == (429, b"not so fast")
    headers = {name.lower(): value for name, value in refusal.headers}
    assert headers["retry-after"] == "7"


async def test_a_server_that_shuts_down_is_1001(proxy: Proxy) -> None:
    with anyio.fail_after(30):
        async with behind(proxy, echo) as server, wsclient.connect(proxy.url()) as ws:
            server.close()
            assert [message async for message in ws] == []
            with pytest.raises(wsclient.ConnectionClosed) as closed:
                await ws.recv()
    assert closed.value.code == 1001


async def test_who_breaks_off_is_a_loss_for_the_other(proxy: Proxy) -> None:
    async def break_off(ws: wsclient.Connection) -> None:
        await ws.recv()
        ws.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)

    with anyio.fail_after(30):
        async with behind(proxy, break_off), wsclient.connect(proxy.url()) as ws:
            await ws.send("now")
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await ws.recv()
    assert caught.value.reason in {"EOF", "RESET"}


async def test_a_large_header_passes_and_one_too_large_is_refused_by_the_proxy(
    proxy: Proxy,
) -> None:
    large = "x" * 7000
    seen: list[str] = []

    def look(connection: wsclient.Connection, request: wsclient.Request) -> None:
        seen.append(dict(request.headers)["x-large"])

    with anyio.fail_after(30):
        async with behind(proxy, echo, process_request=look):
            async with wsclient.connect(proxy.url(), headers={"X-Large": large}):
                pass
            refusal = await refused(proxy.url(), headers={"X-Large": large * 9})
    assert refusal.status in {400, 431}
    assert seen == [large]


@pytest.mark.parametrize("proxy", ["nginx"], indirect=True)
async def test_a_proxy_that_was_not_told_of_upgrades_is_refused_with_426(
    proxy: Proxy,
) -> None:
    """It asks in HTTP/1.0, whatever it was asked in, and hands no Upgrade on."""
    with anyio.fail_after(30):
        async with behind(proxy, echo):
            refusal = await refused(proxy.url("/plain"))
    assert (refusal.status, refusal.body) == (426, b"the request asks for no upgrade\n")


@pytest.mark.parametrize("proxy", ["haproxy"], indirect=True)
async def test_the_proxys_health_checks_are_answered(proxy: Proxy) -> None:
    asked: list[str] = []

    def health(
        connection: wsclient.Connection, request: wsclient.Request
    ) -> wsclient.HTTPResponse | None:
        asked.append(request.target)
        return wsclient.HTTPResponse(200) if request.target == "/health" else None

    with anyio.fail_after(30):
        async with (
            wsclient.serve(echo, "127.0.0.1", proxy.checked, process_request=health),
            wsclient.Client(proxy.url("/checked"), wait=QUICK) as client,
        ):
            await client.send("alive")
            assert await client.recv() == "alive"
    assert asked.index("/health") < asked.index("/checked")
