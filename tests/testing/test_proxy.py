"""The fault proxy: who comes, who goes, and WebSocket through it."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trustme
import websockets
from anyio.lowlevel import checkpoint

import wsclient
from wsclient.testing import Proxy, ProxyLink

from .relay import HANG, exactly, relaying, rest

pytestmark = pytest.mark.real


# -- who comes and who goes -------------------------------------------------------


async def test_each_client_has_a_link_of_its_own() -> None:
    async with relaying() as relay:
        one, one_server, first = await relay.pair()
        two, two_server, second = await relay.pair()
        async with one, one_server, two, two_server:
            assert [first.number, second.number] == [1, 2]
            assert relay.proxy.live == relay.proxy.links == [first, second]
            first.reset()
            assert await rest(one) == (b"", "reset")
            await two.send(b"still here")
            assert await exactly(two_server, 10) == b"still here"
            assert relay.proxy.live == [second]
            assert "1 of 2 links live" in repr(relay.proxy)


async def test_a_verb_of_the_proxy_is_for_every_link() -> None:
    async with relaying() as relay:
        pairs = [await relay.pair() for _ in range(3)]
        relay.proxy.silence("up")
        relay.proxy.stall("down")
        for client, _, link in pairs:
            await client.send(b"words")
            while link.up.held < 5:
                await checkpoint()
        relay.proxy.heal()
        for _, server, _ in pairs:
            assert await exactly(server, 5) == b"words"
        relay.proxy.eof("down")
        for client, _, _ in pairs:
            assert await rest(client) == (b"", "eof")
        relay.proxy.reset()
        assert relay.proxy.live == []
        for client, server, _ in pairs:
            assert (await rest(server))[1] == "reset"
            await client.aclose()
            await server.aclose()


async def test_every_link_may_be_forgotten() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            relay.proxy.forget()
            assert link.ended == "forgotten by the proxy"


async def test_whoever_wants_it_is_told_of_the_beginning_and_the_end() -> None:
    told: list[str] = []

    def began(link: ProxyLink) -> None:
        told.append(f"{link.number} {link.ended}")
        link.silence("down")  # prepared before anything has passed

    def over(link: ProxyLink) -> None:
        told.append(f"{link.number} {link.ended}")

    async with relaying(on_link=began, on_end=over) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await server.send(b"unheard")
            while link.down.held < 7:
                await checkpoint()
            await client.send(b"heard")
            assert await exactly(server, 5) == b"heard"
            link.reset()
            assert await rest(client) == (b"", "reset")
    assert told == ["1 None", "1 reset by the proxy"]


async def test_who_is_refused_finds_nobody_there_and_links_go_on() -> None:
    async with relaying() as relay:
        client, server, _ = await relay.pair()
        async with client, server:
            for _ in range(2):
                relay.proxy.refuses = True
                assert relay.proxy.refuses
                with pytest.raises(OSError, match=r"refused|failed"):
                    await relay.client()
                await client.send(b"still here")
                assert await exactly(server, 10) == b"still here"
                relay.proxy.refuses = False
                assert not relay.proxy.refuses
                again, again_server, _ = await relay.pair()
                await again.aclose()
                await again_server.aclose()


async def test_leaving_resets_what_is_live_and_leaves_nothing_open() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        relay.proxy.refuses = True
        relay.proxy.refuses = False
    async with client, server:
        assert await rest(client) == (b"", "reset")
        assert await rest(server) == (b"", "reset")
        assert link.ended == "reset by the proxy, which was closed"
        with pytest.raises(OSError, match=r"refused|failed"):
            await relay.client()


async def test_leaving_while_refusing_gives_the_port_back() -> None:
    async with relaying() as relay:
        relay.proxy.refuses = True
    with socket.create_server(relay.proxy.address):
        pass


async def test_a_cancelled_proxy_leaves_nothing_behind() -> None:
    with anyio.CancelScope() as scope:
        async with relaying() as relay:
            client, server, link = await relay.pair()
            scope.cancel()
            await anyio.sleep_forever()
    assert not link.live
    async with client, server:
        assert await rest(client) == (b"", "reset")


async def test_what_the_body_raises_leaves_as_it_is() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as raised:
        async with Proxy("127.0.0.1", 9):
            raise error
    assert raised.value is error


@pytest.mark.parametrize("when", ["on_link", "on_end"])
async def test_what_a_callback_raises_is_raised_on_leaving(when: str) -> None:
    """Alone, as it is; until then links are carried and ended as ever."""
    error = KeyError("mine")

    def fails(link: ProxyLink) -> None:
        if link.number == 1:
            raise error

    async def talk() -> None:
        async with relaying(**{when: fails}) as relay:
            for _ in range(2):
                client, server, link = await relay.pair()
                async with client, server:
                    await client.send(b"words")
                    await client.send_eof()
                    assert await rest(server) == (b"words", "eof")
                await link.until_ended()

    with pytest.raises(KeyError) as raised:
        await talk()
    assert raised.value is error


async def test_a_port_in_use_is_told() -> None:
    async with relaying() as relay:
        with pytest.raises(OSError, match="in use"):
            async with Proxy("127.0.0.1", 9, port=relay.proxy.port):
                raise AssertionError("it listens there too")


async def test_where_it_listens_is_said_as_an_address_and_as_a_url() -> None:
    async with Proxy("127.0.0.1", 9) as proxy:
        assert proxy.address == ("127.0.0.1", proxy.port)
        assert proxy.url() == f"ws://127.0.0.1:{proxy.port}/"
        assert proxy.url("/feed?x=1", "wss") == f"wss://127.0.0.1:{proxy.port}/feed?x=1"


async def test_a_name_with_two_families_refuses_and_listens_on_both() -> None:
    with anyio.fail_after(HANG):
        async with Proxy("127.0.0.1", 9, host="localhost") as proxy:
            addresses = {
                str(info[4][0])
                for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)
            }
            for refuses in False, True, False:
                proxy.refuses = refuses
                for host in addresses:
                    if refuses:
                        with pytest.raises(OSError, match=r"refused|failed"):
                            await anyio.connect_tcp(host, proxy.port)
                    else:
                        stream = await anyio.connect_tcp(host, proxy.port)
                        await stream.aclose()


# -- WebSocket through it ---------------------------------------------------------


MESSAGE = random.Random(5).randbytes(250_000)  # deflate makes nothing of it


async def echo(ws: Any) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@asynccontextmanager
async def our_server(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    async with wsclient.serve(echo, "127.0.0.1", tls=tls) as server:
        yield server.addresses[0][1]


@asynccontextmanager
async def their_server(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    async with websockets.serve(echo, "127.0.0.1", 0, ssl=tls) as server:
        [sock] = server.sockets
        yield sock.getsockname()[1]


async def our_client(url: str, tls: ssl.SSLContext | None) -> None:
    async with wsclient.connect(url, tls=tls) as ws:
        await ws.send(MESSAGE)
        assert await ws.recv() == MESSAGE


async def their_client(url: str, tls: ssl.SSLContext | None) -> None:
    async with websockets.connect(url, ssl=tls, proxy=None) as ws:
        await ws.send(MESSAGE)
        assert await ws.recv() == MESSAGE


Talk = Callable[[str, ssl.SSLContext | None], Awaitable[None]]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    ("serving", "talk"),
    [(our_server, their_client), (their_server, our_client)],
    ids=["their client", "their server"],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_any_client_talks_to_any_server_plain_or_by_tls(
    serving: Any, talk: Talk, scheme: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    theirs, ours = tls if scheme == "wss" else (None, None)
    with anyio.fail_after(HANG):
        async with serving(theirs) as port, Proxy("127.0.0.1", port) as proxy:
            await talk(proxy.url(scheme=scheme), ours)
            [link] = proxy.links
            await link.until_ended()
            assert link.up.given > len(MESSAGE)
            assert link.down.given > len(MESSAGE)


async def test_a_client_of_ours_comes_back_after_every_kind_of_loss(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Reset, FIN and a server that refuses for a while, by TLS."""
    theirs, ours = tls
    with anyio.fail_after(HANG):
        async with (
            our_server(theirs) as port,
            Proxy("127.0.0.1", port) as proxy,
            wsclient.Client(
                proxy.url(scheme="wss"),
                tls=ours,
                wait=wsclient.FullJitter(base=0.01, cap=0.05),
            ) as client,
        ):
            for number, fault in enumerate((proxy.reset, proxy.eof), 1):
                await client.send(f"{number}")
                assert await client.recv() == f"{number}"
                fault()
                await proxy.until_link(number + 1)
            proxy.refuses = True
            proxy.reset()
            proxy.refuses = False
            await proxy.until_link(4)
            await client.send("last")
            assert await client.recv() == "last"


async def test_a_link_that_falls_silent_is_left_for_a_new_one() -> None:
    with anyio.fail_after(HANG):
        async with (
            our_server(None) as port,
            Proxy("127.0.0.1", port) as proxy,
            wsclient.Client(
                proxy.url(),
                ping_interval=0.05,
                ping_timeout=0.05,
                wait=wsclient.FullJitter(base=0.01, cap=0.05),
            ) as client,
        ):
            await client.send("before")
            assert await client.recv() == "before"
            proxy.silence()
            second = await proxy.until_link(2)
            await client.send("after")
            assert await client.recv() == "after"
            assert second.live
