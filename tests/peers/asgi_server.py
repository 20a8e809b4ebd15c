"""
An ASGI application with the services of ``ws_server.mjs``, as far as ASGI has words.

Its arguments are SERVER CHAIN KEY PORT TLS_PORT, where SERVER is ``hypercorn`` or what
uvicorn calls an implementation of WebSocket, and for that, optionally, the seconds it
waits for a pong. Says a line when it listens and ends when stdin ends.

"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

Query = dict[str, str]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

MAX_SIZE = 2 << 20
NAMES = ("chat.v2", "chat")  # the better one first

reports: dict[str, asyncio.Future[object]] = {}
room: set[Send] = set()


def report(number: str) -> asyncio.Future[object]:
    return reports.setdefault(number, asyncio.get_running_loop().create_future())


class Disconnected(Exception):
    """The peer is gone; the argument is ASGI's message."""


class Conversation:
    """ASGI's two callables as the methods that services want."""

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send

    async def take(self) -> dict[str, Any]:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected(message)
        return message

    async def echo(self, message: dict[str, Any], send: Send | None = None) -> None:
        content = {name: message.get(name) for name in ("text", "bytes")}
        await (send or self._send)({"type": "websocket.send", **content})

    async def say(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def until_closed(self) -> None:
        while True:
            await self.take()


async def echo(ws: Conversation, query: Query) -> None:
    while True:
        await ws.echo(await ws.take())


async def headers(ws: Conversation, query: Query) -> None:
    pairs = [part.decode("latin-1") for pair in ws.scope["headers"] for part in pair]
    await ws.say(json.dumps(pairs))


async def close(ws: Conversation, query: Query) -> None:
    await ws.close(int(query["code"]), query.get("reason", ""))


async def everybody(ws: Conversation, query: Query) -> None:
    room.add(ws._send)
    try:
        while True:
            message = await ws.take()
            for send in room:
                await ws.echo(message, send)
    finally:
        room.discard(ws._send)


async def schedule(ws: Conversation, query: Query) -> None:
    for number in range(int(query["count"])):
        await ws.say(str(number))
    if query.get("then") == "close":
        await ws.close(4000, "end of schedule")


async def tell(ws: Conversation, query: Query) -> None:
    await ws.say(json.dumps(await report(query["id"])))
    await ws.close()


SERVICES: dict[str, Callable[[Conversation, Query], Awaitable[None]]] = {
    "/echo": echo,
    "/headers": headers,
    "/close": close,
    "/broadcast": everybody,
    "/schedule": schedule,
    "/report": tell,
}


async def refuse(query: Query, send: Send) -> None:
    """Answer a path without a service with plain HTTP."""
    headers = [(b"content-length", b"4")]
    if "retry-after" in query:
        headers.append((b"retry-after", query["retry-after"].encode()))
    status = int(query.get("status", "404"))
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": b"nope"})


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one connection and remember how it ended."""
    query = dict(parse_qsl(scope["query_string"].decode()))
    await receive()  # websocket.connect
    service = SERVICES.get(scope["path"])
    if service is None:
        await refuse(query, send)
        return
    offered = scope["subprotocols"]
    chosen = next((name for name in NAMES if name in offered), None)
    await send({"type": "websocket.accept", "subprotocol": chosen})
    ws = Conversation(scope, receive, send)
    try:
        await service(ws, query)
        await ws.until_closed()
    except Disconnected as end:
        if "id" in query and service is not tell:
            message = end.args[0]
            ended = {"code": message["code"], "reason": message.get("reason", "")}
            report(query["id"]).set_result(ended)


async def hypercorn(chain: str, key: str, plain: int, secure: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{secure}"]
    config.insecure_bind = [f"127.0.0.1:{plain}"]
    config.certfile, config.keyfile = chain, key
    config.websocket_max_message_size = MAX_SIZE
    sockets = config.create_sockets()  # bound here, so that we can say so
    for family in (sockets.secure_sockets, sockets.insecure_sockets):
        for one in family:
            one.listen()
    config.create_sockets = lambda: sockets  # type: ignore[method-assign]
    print("listening", flush=True)
    await serve(application, config)  # type: ignore[arg-type]


async def uvicorn(
    ws: str, chain: str, key: str, plain: int, secure: int, patience: float = 20
) -> None:
    from uvicorn import Config, Server

    listening = 0

    class Telling(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            nonlocal listening
            await super().startup(sockets)
            listening += 1
            if listening == 2:
                print("listening", flush=True)

    quiet = {"lifespan": "off", "log_level": "error"}
    keepalive = {"ws_ping_interval": patience / 10, "ws_ping_timeout": patience}
    common = {"ws": ws, "ws_max_size": MAX_SIZE, **keepalive, **quiet}
    tls = {"ssl_certfile": chain, "ssl_keyfile": key}
    async with asyncio.TaskGroup() as group:
        for options in {"port": plain}, {"port": secure, **tls}:
            config = Config(application, **common, **options)  # type: ignore[arg-type]
            group.create_task(Telling(config)._serve())


async def main() -> None:
    kind, chain, key, plain, secure, *patience = sys.argv[1:]
    ports = int(plain), int(secure)
    if kind == "hypercorn":
        serving = asyncio.create_task(hypercorn(chain, key, *ports))
    else:
        serving = asyncio.create_task(
            uvicorn(kind, chain, key, *ports, *map(float, patience))
        )
    orphaned = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({serving, orphaned}, return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()


if __name__ == "__main__":
    asyncio.run(main())
