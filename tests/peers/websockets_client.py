"""
The ``websockets`` library as a client: it does what it is told and tells what it saw.

``python websockets_client.py ORDERS``, where ORDERS is a JSON object: ``url``, and
optionally ``ca`` (a PEM file), ``compression``, ``subprotocols``, ``headers``,
``texts`` (sizes to have echoed), ``binaries`` (the same), ``fragments`` (texts sent as
one message), ``ping``, ``close`` ([code, reason], or null: wait for the server to
close). One JSON object on stdout tells what came of it.

"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


def text(size: int) -> str:
    """Make a text of so many UTF-8 bytes, of letters of one and of two bytes."""
    return "é" * (size // 4) + "x" * (size - 2 * (size // 4))


async def converse(ws: ClientConnection, orders: dict[str, Any]) -> dict[str, Any]:
    echoed = []
    for size in orders.get("texts", ()):
        await ws.send(text(size))
        echoed.append(await ws.recv() == text(size))
    for size in orders.get("binaries", ()):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        await ws.send(data)
        echoed.append(await ws.recv() == data)
    saw: dict[str, Any] = {"echoed": echoed, "subprotocol": ws.subprotocol}
    if "fragments" in orders:
        await ws.send(orders["fragments"])
        saw["fragments"] = await ws.recv()
    if orders.get("ping"):
        saw["latency"] = await (await ws.ping())
    assert ws.response is not None
    saw["headers"] = list(ws.response.headers.raw_items())
    saw["extensions"] = ws.response.headers.get("Sec-WebSocket-Extensions")
    if orders.get("close"):
        await ws.close(*orders["close"])
    else:
        saw["messages"] = []
        with suppress(ConnectionClosed):  # the code below tells
            while True:
                saw["messages"].append(await ws.recv())
    saw["code"], saw["reason"] = ws.close_code, ws.close_reason
    return saw


async def main() -> None:
    orders = json.loads(sys.argv[1])
    options: dict[str, Any] = {}
    if "ca" in orders:
        options["ssl"] = ssl.create_default_context(cafile=orders["ca"])
    try:
        async with connect(
            orders["url"],
            compression=orders.get("compression", "deflate"),
            subprotocols=orders.get("subprotocols"),
            additional_headers=orders.get("headers"),
            max_size=8 << 20,
            proxy=None,
            **options,
        ) as ws:
            saw = await converse(ws, orders)
    except InvalidStatus as error:
        saw = {
            "status": error.response.status_code,
            "headers": list(error.response.headers.raw_items()),
            "body": bytes(error.response.body or b"").decode(),
        }
    print(json.dumps(saw))


if __name__ == "__main__":
    asyncio.run(main())
