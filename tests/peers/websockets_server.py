"""
The ``websockets`` library as a server: the same services as ``ws_server.mjs``.

Its arguments are CHAIN KEY PORT TLS_PORT. Says a line when it listens and
ends when stdin ends.

"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Query = dict[str, str]
Service = Callable[[ServerConnection, Query], Awaitable[None]]

reports: dict[str, asyncio.Future[object]] = {}
room: set[ServerConnection] = set()


def report(number: str) -> asyncio.Future[object]:
    return reports.setdefault(number, asyncio.get_running_loop().create_future())


async def echo(ws: ServerConnection, query: Query) -> None:
    async for message in ws:
        await ws.send(message)


async def fragments(ws: ServerConnection, query: Query) -> None:
    async for message in ws:
        third = -(-len(message) // 3)
        await ws.send([message[part * third : (part + 1) * third] for part in range(3)])


async def headers(ws: ServerConnection, query: Query) -> None:
    assert ws.request is not None
    pairs = [part for pair in ws.request.headers.raw_items() for part in pair]
    await ws.send(json.dumps(pairs))
    await ws.wait_closed()


async def close(ws: ServerConnection, query: Query) -> None:
    await ws.close(int(query["code"]), query.get("reason", ""))


async def leave(ws: ServerConnection, query: Query) -> None:
    # close() always gives a code; the protocol below it can send an empty Close.
    ws.protocol.send_close()
    for data in ws.protocol.data_to_send():
        ws.transport.write(data)
    await ws.wait_closed()


async def terminate(ws: ServerConnection, query: Query) -> None:
    async for _ in ws:
        ws.transport.abort()


async def ping(ws: ServerConnection, query: Query) -> None:
    payload = "are you there?"
    await (await ws.ping(payload))
    await ws.send(payload)
    await ws.wait_closed()


async def everybody(ws: ServerConnection, query: Query) -> None:
    room.add(ws)
    try:
        async for message in ws:
            broadcast(room, message)
    finally:
        room.discard(ws)


async def schedule(ws: ServerConnection, query: Query) -> None:
    for number in range(int(query["count"])):
        await ws.send(str(number))
    if query.get("then") == "close":
        await ws.close(4000, "end of schedule")
    await ws.wait_closed()


async def tell(ws: ServerConnection, query: Query) -> None:
    await ws.send(json.dumps(await report(query["id"])))
    await ws.close()


SERVICES: dict[str, Service] = {
    "/echo": echo,
    "/fragments": fragments,
    "/headers": headers,
    "/close": close,
    "/leave": leave,
    "/terminate": terminate,
    "/ping": ping,
    "/broadcast": everybody,
    "/schedule": schedule,
    "/report": tell,
}


async def converse(ws: ServerConnection) -> None:
    """Serve one connection and remember how it ended."""
    assert ws.request is not None
    url = urlsplit(ws.request.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    try:
        await SERVICES[url.path](ws, query)
    except ConnectionClosed:
        return  # the report says how
    finally:
        if "id" in query and url.path != "/report":
            await ws.close()
            ended = {"code": ws.close_code, "reason": ws.close_reason}
            report(query["id"]).set_result(ended)


def refuse(ws: ServerConnection, request: Request) -> Response | None:
    """Answer a path without a service with plain HTTP."""
    url = urlsplit(request.path)
    if url.path in SERVICES:
        return None
    query = parse_qs(url.query)
    response = ws.respond(HTTPStatus(int(query.get("status", ["404"])[0])), "nope")
    if "retry-after" in query:
        response.headers["Retry-After"] = query["retry-after"][0]
    return response


async def main() -> None:
    chain, key, *ports = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    names = [Subprotocol("chat.v2"), Subprotocol("chat")]
    for port, tls in zip(ports, (None, context), strict=True):
        await serve(
            converse,
            "127.0.0.1",
            int(port),
            ssl=tls,
            subprotocols=names,
            select_subprotocol=lambda ws, offered: next(
                (name for name in names if name in offered), None
            ),
            process_request=refuse,
            max_size=2 << 20,
        )
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
