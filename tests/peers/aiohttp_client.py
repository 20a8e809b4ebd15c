"""``aiohttp`` as a client; its orders stand in ``orders.py``, without fragments."""

from __future__ import annotations

import socket
import ssl

from aiohttp import (
    ClientSession,
    ClientWebSocketResponse,
    WSMsgType,
    WSServerHandshakeError,
)

from .orders import Orders, Saw, binary, obey, text

DATA = WSMsgType.TEXT, WSMsgType.BINARY


async def converse(ws: ClientWebSocketResponse[bool], orders: Orders, saw: Saw) -> None:
    for size in orders.get("texts", ()):
        await ws.send_str(text(size))
        saw["echoed"].append((await ws.receive()).data == text(size))
    for size in orders.get("binaries", ()):
        await ws.send_bytes(binary(size))
        saw["echoed"].append((await ws.receive()).data == binary(size))
    if "ping" in orders:
        await ws.ping(orders["ping"].encode())
        answer = await ws.receive()
        assert answer.type is WSMsgType.PONG
        saw["pong"] = answer.data.decode()
    if orders.get("abort"):
        ws.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    elif "close" in orders:
        code, reason = orders["close"]
        await ws.close(code=code, message=reason.encode())
    while (message := await ws.receive()).type in DATA:
        saw["messages"].append(message.data)
    saw["code"], saw["reason"] = ws.close_code, message.extra


async def visit(orders: Orders) -> Saw:
    saw: Saw = {"echoed": [], "messages": []}
    tls = ssl.create_default_context(cafile=orders["ca"]) if "ca" in orders else True
    try:
        async with (
            ClientSession() as session,
            session.ws_connect(
                orders["url"],
                protocols=orders.get("subprotocols", ()),
                headers=orders.get("headers"),
                ssl=tls,
                compress=15,
                # receive() shows pongs only where it shows pings too, which then are
                # not answered: so only who is told to ping sees them.
                autoping="ping" not in orders,
                max_msg_size=8 << 20,
            ) as ws,
        ):
            saw["subprotocol"] = ws.protocol
            saw["extensions"] = ws.compress
            await converse(ws, orders, saw)
    except WSServerHandshakeError as error:
        saw["status"] = error.status
        headers = dict(error.headers or {})
        saw["headers"] = {name.lower(): value for name, value in headers.items()}
    return saw


if __name__ == "__main__":
    obey(visit)
