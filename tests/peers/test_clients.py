"""A client nobody here wrote against our server."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio
import pytest

import wsclient

from .certificates import Certificates
from .servers import HERE

pytestmark = pytest.mark.real


async def order(**orders: Any) -> dict[str, Any]:
    """Have the websockets client do something; return what it saw."""
    script = str(HERE / "websockets_client.py")
    done = await anyio.run_process([sys.executable, script, json.dumps(orders)])
    saw = json.loads(done.stdout)
    assert isinstance(saw, dict)
    return saw


def url(server: wsclient.Server, scheme: str = "ws") -> str:
    return f"{scheme}://localhost:{server.addresses[0][1]}/"


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("compression", ["deflate", None])
async def test_it_has_everything_echoed_and_its_pings_answered(
    certificates: Certificates, scheme: str, compression: str | None
) -> None:
    secure = scheme == "wss"
    tls = certificates.server_context() if secure else None
    with anyio.fail_after(30):
        async with wsclient.serve(echo, "127.0.0.1", 0, tls=tls) as server:
            saw = await order(
                url=url(server, scheme),
                compression=compression,
                texts=[0, 125, 126, 65535, 65536, 1 << 20],
                binaries=[0, 1, 65536, 1 << 20],
                fragments=["one ", "", "message"],
                ping=True,
                close=[1000, ""],
                **({"ca": str(certificates.authority)} if secure else {}),
            )
    assert saw["echoed"] == [True] * 10
    assert saw["fragments"] == "one message"
    assert saw["latency"] > 0
    assert bool(saw["extensions"]) == (compression is not None)
    assert saw["code"] == 1000


async def test_the_handler_hears_the_code_it_closes_with() -> None:
    heard: list[wsclient.ConnectionClosed] = []

    async def listen(ws: wsclient.Connection) -> None:
        with pytest.raises(wsclient.ConnectionClosed) as caught:
            await ws.recv()
        heard.append(caught.value)

    with anyio.fail_after(30):
        async with wsclient.serve(listen, "127.0.0.1", 0) as server:
            await order(url=url(server), close=[4001, "done"])
    assert [str(one.received) for one in heard] == ["4001 done"]


async def test_it_hears_1000_when_the_handler_returns_and_all_it_sent() -> None:
    async def count(ws: wsclient.Connection) -> None:
        for n in range(500):
            await ws.send(str(n))

    with anyio.fail_after(30):
        async with wsclient.serve(count, "127.0.0.1", 0) as server:
            saw = await order(url=url(server))
    assert saw["messages"] == [str(n) for n in range(500)]
    assert saw["code"] == 1000


async def test_it_hears_the_code_and_reason_the_handler_closes_with() -> None:
    async def refuse(ws: wsclient.Connection) -> None:
        await ws.close(4003, "not you")

    with anyio.fail_after(30):
        async with wsclient.serve(refuse, "127.0.0.1", 0) as server:
            saw = await order(url=url(server))
    assert (saw["code"], saw["reason"]) == (4003, "not you")


async def test_it_hears_1001_when_the_server_shuts_down() -> None:
    there = anyio.Event()

    async def stay(ws: wsclient.Connection) -> None:
        there.set()
        async for _ in ws:
            raise AssertionError("nothing was sent")

    seen: list[dict[str, Any]] = []

    async def visit(address: str) -> None:
        seen.append(await order(url=address))

    with anyio.fail_after(30):
        async with (
            anyio.create_task_group() as group,
            wsclient.serve(stay, "127.0.0.1", 0) as server,
        ):
            group.start_soon(visit, url(server))
            await there.wait()
    assert seen[0]["code"] == 1001


async def test_it_agrees_on_a_subprotocol_and_is_seen_with_its_headers() -> None:
    seen: list[tuple[str | None, dict[str, str]]] = []

    async def look(ws: wsclient.Connection) -> None:
        assert ws.request is not None
        headers = {name.lower(): value for name, value in ws.request.headers}
        seen.append((ws.subprotocol, headers))

    with anyio.fail_after(30):
        async with wsclient.serve(
            look, "127.0.0.1", 0, subprotocols=("chat.v2", "chat")
        ) as server:
            saw = await order(
                url=url(server),
                subprotocols=["other", "chat"],
                headers={"Authorization": "Bearer a"},
            )
    assert saw["subprotocol"] == "chat"
    subprotocol, headers = seen[0]
    assert subprotocol == "chat"
    assert headers["authorization"] == "Bearer a"
