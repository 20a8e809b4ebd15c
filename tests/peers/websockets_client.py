"""The ``websockets`` library as a client; its orders stand in ``orders.py``."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .orders import Orders, Saw, binary, obey, text


async def converse(ws: ClientConnection, orders: Orders, saw: Saw) -> None:
    for size in orders.get("texts", ()):
        await ws.send(text(size))
        saw["echoed"].append(await ws.recv() == text(size))
    for size in orders.get("binaries", ()):
        await ws.send(binary(size))
        saw["echoed"].append(await ws.recv() == binary(size))
    if "fragments" in orders:
        await ws.send(orders["fragments"])
        saw["fragments"] = await ws.recv()
    if "ping" in orders:
        await (await ws.ping(orders["ping"]))
        saw["pong"] = orders["ping"]  # it waits for a pong with this payload
    if orders.get("abort"):
        ws.transport.abort()
    elif "close" in orders:
        await ws.close(*orders["close"])
    while True:
        saw["messages"].append(await ws.recv())


async def visit(orders: Orders) -> Saw:
    options: dict[str, Any] = {}
    if "ca" in orders:
        options["ssl"] = ssl.create_default_context(cafile=orders["ca"])
    saw: Saw = {"echoed": [], "messages": []}
    try:
        async with connect(
            orders["url"],
            subprotocols=orders.get("subprotocols"),
            additional_headers=orders.get("headers"),
            max_size=8 << 20,
            proxy=None,
            **options,
        ) as ws:
            saw["subprotocol"] = ws.subprotocol
            assert ws.response is not None
            saw["extensions"] = ws.response.headers.get("Sec-WebSocket-Extensions")
            with suppress(ConnectionClosed):  # the code below tells
                await converse(ws, orders, saw)
        saw["code"], saw["reason"] = ws.close_code, ws.close_reason
    except InvalidStatus as error:
        saw["status"] = error.response.status_code
        headers = error.response.headers.raw_items()
        saw["headers"] = {name.lower(): value for name, value in headers}
    return saw


if __name__ == "__main__":
    obey(visit)
