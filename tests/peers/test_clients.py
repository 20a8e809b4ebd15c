"""Clients nobody here wrote against our server."""

from __future__ import annotations

import socket

import anyio
import pytest
from anyio.abc import SocketAttribute

import wsclient

from .certificates import Certificates
from .clients import Visitor, taking
from .orders import Saw

pytestmark = pytest.mark.real

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]


def url(server: wsclient.Server, scheme: str = "ws") -> str:
    return f"{scheme}://localhost:{server.addresses[0][1]}/"


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


class Listener:
    """A handler that waits for the end and tells it."""

    def __init__(self) -> None:
        self.there = anyio.Event()
        self.ended = anyio.Event()
        self.end: wsclient.ConnectionClosed | wsclient.ConnectionLost | None = None

    async def __call__(self, ws: wsclient.Connection) -> None:
        self.there.set()
        try:
            await ws.recv()
        except (wsclient.ConnectionClosed, wsclient.ConnectionLost) as end:
            self.end = end
            self.ended.set()


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_of_every_length_form_come_back_as_they_went(
    visitor: Visitor,
    certificates: Certificates,
    scheme: str,
    compression: str | None,
) -> None:
    secure = scheme == "wss"
    with anyio.fail_after(30):
        async with wsclient.serve(
            echo,
            "127.0.0.1",
            tls=certificates.server_context() if secure else None,
            compression=compression,
        ) as server:
            saw = await visitor.order(
                url=url(server, scheme),
                texts=SIZES,
                binaries=[*SIZES, 2, 3],
                close=[1000, ""],
                **({"ca": str(certificates.authority)} if secure else {}),
            )
    assert saw["echoed"] == [True] * (2 * len(SIZES) + 2)
    assert bool(saw["extensions"]) == (compression is not None)
    assert saw["code"] == 1000


@taking("fragments")
async def test_its_fragments_are_one_message(visitor: Visitor) -> None:
    with anyio.fail_after(30):
        async with wsclient.serve(echo, "127.0.0.1") as server:
            saw = await visitor.order(
                url=url(server), fragments=["one ", "", "méssage"], close=[1000, ""]
            )
    assert saw["fragments"] == "one méssage"


async def test_our_fragments_are_one_message(visitor: Visitor) -> None:
    async def tell(ws: wsclient.Connection) -> None:
        await ws.send(["", "one ", "", "méssage", "."])
        await ws.send(["x" * 70_000, "y"])

    with anyio.fail_after(30):
        async with wsclient.serve(tell, "127.0.0.1") as server:
            saw = await visitor.order(url=url(server))
    assert saw["messages"] == ["one méssage.", "x" * 70_000 + "y"]


@taking("ping")
async def test_its_pings_are_answered(visitor: Visitor) -> None:
    with anyio.fail_after(30):
        async with wsclient.serve(echo, "127.0.0.1") as server:
            saw = await visitor.order(
                url=url(server), ping="are you there?", close=[1000, ""]
            )
    assert saw["pong"] == "are you there?"


async def test_it_answers_our_pings(visitor: Visitor) -> None:
    async def ask(ws: wsclient.Connection) -> None:
        assert await ws.ping() > 0
        await ws.send("it did")

    with anyio.fail_after(30):
        async with wsclient.serve(ask, "127.0.0.1") as server:
            saw = await visitor.order(url=url(server))
    assert saw["messages"] == ["it did"]


async def test_the_handler_hears_the_code_it_closes_with(visitor: Visitor) -> None:
    listener = Listener()
    with anyio.fail_after(30):
        async with wsclient.serve(listener, "127.0.0.1") as server:
            saw = await visitor.order(url=url(server), close=[4001, "dône"])
            await listener.ended.wait()
    assert isinstance(listener.end, wsclient.ConnectionClosed)
    assert str(listener.end.received) == "4001 dône"
    assert saw["code"] == 4001


@taking("abort")
async def test_the_handler_hears_no_close_where_it_breaks_off(
    visitor: Visitor,
) -> None:
    listener = Listener()
    with anyio.fail_after(30):
        async with wsclient.serve(listener, "127.0.0.1") as server:
            await visitor.order(url=url(server), abort=True)
            await listener.ended.wait()
    assert isinstance(listener.end, wsclient.ConnectionLost)
    assert listener.end.code == 1006


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999])
async def test_it_hears_the_code_and_reason_the_handler_closes_with(
    visitor: Visitor, code: int
) -> None:
    async def leave(ws: wsclient.Connection) -> None:
        await ws.close(code, "sô it goes")

    with anyio.fail_after(30):
        async with wsclient.serve(leave, "127.0.0.1") as server:
            saw = await visitor.order(url=url(server))
    assert (saw["code"], saw["reason"]) == (code, "sô it goes")


async def test_it_hears_1006_where_the_handler_breaks_off(visitor: Visitor) -> None:
    async def break_off(ws: wsclient.Connection) -> None:
        ws.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)

    with anyio.fail_after(30):
        async with wsclient.serve(break_off, "127.0.0.1") as server:
            saw = await visitor.order(url=url(server))
    assert saw["code"] == 1006


async def test_it_hears_1000_when_the_handler_returns_and_all_it_sent(
    visitor: Visitor,
) -> None:
    async def count(ws: wsclient.Connection) -> None:
        for n in range(500):
            await ws.send(str(n))

    with anyio.fail_after(30):
        async with wsclient.serve(count, "127.0.0.1") as server:
            saw = await visitor.order(url=url(server))
    assert saw["messages"] == [str(n) for n in range(500)]
    assert saw["code"] == 1000


async def test_it_hears_1001_when_the_server_shuts_down(visitor: Visitor) -> None:
    listener = Listener()
    seen: list[Saw] = []

    async def visit(address: str) -> None:
        seen.append(await visitor.order(url=address))

    with anyio.fail_after(30):
        async with (
            anyio.create_task_group() as group,
            wsclient.serve(listener, "127.0.0.1") as server,
        ):
            group.start_soon(visit, url(server))
            await listener.there.wait()
    assert seen[0]["code"] == 1001


async def test_it_hears_1009_where_its_message_is_over_our_limit(
    visitor: Visitor,
) -> None:
    with anyio.fail_after(30):
        async with wsclient.serve(echo, "127.0.0.1", max_message_size=1000) as server:
            saw = await visitor.order(url=url(server), texts=[1000, 1001])
    assert saw["echoed"][0]  # it was not too long
    assert saw["code"] == 1009


async def test_it_agrees_on_a_subprotocol(visitor: Visitor) -> None:
    spoken: list[str | None] = []

    async def look(ws: wsclient.Connection) -> None:
        spoken.append(ws.subprotocol)

    with anyio.fail_after(30):
        async with wsclient.serve(
            look, "127.0.0.1", subprotocols=("chat.v2", "chat")
        ) as server:
            for offered in ["other", "chat"], ["chat", "chat.v2"]:
                saw = await visitor.order(url=url(server), subprotocols=offered)
                assert saw["subprotocol"] == spoken[-1]
    assert spoken == ["chat", "chat.v2"]


@taking("headers")
async def test_its_headers_are_seen(visitor: Visitor) -> None:
    seen: list[dict[str, str]] = []

    async def look(ws: wsclient.Connection) -> None:
        assert ws.request is not None
        seen.append({name.lower(): value for name, value in ws.request.headers})

    with anyio.fail_after(30):
        async with wsclient.serve(look, "127.0.0.1") as server:
            await visitor.order(url=url(server), headers={"Authorization": "Bearer a"})
    assert seen[0]["authorization"] == "Bearer a"


@taking("status")
async def test_it_is_told_the_status_and_headers_of_a_refusal(
    visitor: Visitor,
) -> None:
    def refuse(
        connection: wsclient.Connection, request: wsclient.Request
    ) -> wsclient.HTTPResponse:
        return wsclient.HTTPResponse(503, "later", {"Retry-After": "7"})

    with anyio.fail_after(30):
        async with wsclient.serve(echo, "127.0.0.1", process_request=refuse) as server:
            saw = await visitor.order(url=url(server))
    assert saw["status"] == 503
    assert saw["headers"]["retry-after"] == "7"
