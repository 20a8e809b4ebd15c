"""
``aiohttp`` as a server: the same services as ``ws_server.mjs``.

Its arguments are CHAIN KEY PORT TLS_PORT. Says a line when it listens and
ends when stdin ends.

"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

MAX_SIZE = 2 << 20
NAMES = ("chat.v2", "chat")  # the better one first

Socket = web.WebSocketResponse[bool]
Service = Callable[[Socket, web.Request], Awaitable[object]]

reports: dict[str, asyncio.Future[object]] = {}
room: set[Socket] = set()


def report(number: str) -> asyncio.Future[object]:
    return reports.setdefault(number, asyncio.get_running_loop().create_future())


async def send(ws: Socket, message: Any) -> None:
    if message.type is WSMsgType.TEXT:
        await ws.send_str(message.data)
    else:
        await ws.send_bytes(message.data)


async def echo(ws: Socket, request: web.Request) -> None:
    async for message in ws:
        await send(ws, message)


async def silent(ws: Socket, request: web.Request) -> None:
    async for message in ws:
        if message.type is not WSMsgType.PING:
            await send(ws, message)


async def headers(ws: Socket, request: web.Request) -> None:
    pairs = [part.decode("latin-1") for pair in request.raw_headers for part in pair]
    await ws.send_str(json.dumps(pairs))
    await ws.receive()


async def close(ws: Socket, request: web.Request) -> None:
    reason = request.query.get("reason", "")
    await ws.close(code=int(request.query["code"]), message=reason.encode())


async def terminate(ws: Socket, request: web.Request) -> None:
    await ws.receive()
    assert request.transport is not None
    request.transport.abort()


async def ping(ws: Socket, request: web.Request) -> None:
    await ws.ping(b"are you there?")
    async for message in ws:
        if message.type is WSMsgType.PING:
            await ws.pong(message.data)
        elif message.type is WSMsgType.PONG:
            await ws.send_str(message.data.decode())


async def everybody(ws: Socket, request: web.Request) -> None:
    room.add(ws)
    try:
        async for message in ws:
            for member in room:
                await send(member, message)
    finally:
        room.discard(ws)


async def schedule(ws: Socket, request: web.Request) -> None:
    for number in range(int(request.query["count"])):
        await ws.send_str(str(number))
    if request.query.get("then") == "close":
        await ws.close(code=4000, message=b"end of schedule")
    await ws.receive()


async def tell(ws: Socket, request: web.Request) -> None:
    await ws.send_str(json.dumps(await report(request.query["id"])))


SERVICES: dict[str, Service] = {
    "/echo": echo,
    "/silent": silent,
    "/headers": headers,
    "/close": close,
    "/terminate": terminate,
    "/ping": ping,
    "/broadcast": everybody,
    "/schedule": schedule,
    "/report": tell,
}


async def serve(request: web.Request) -> web.StreamResponse:
    """Serve one connection and remember how it ended."""
    service = SERVICES.get(request.path)
    if service is None:
        after = request.query.get("retry-after")
        return web.Response(
            status=int(request.query.get("status", "404")),
            text="nope",
            headers={"Retry-After": after} if after else None,
        )
    reason = ""

    class Listening(web.WebSocketResponse[bool]):
        """Keeps the reason, of which aiohttp tells only the code."""

        async def receive(self, timeout: float | None = None) -> Any:
            nonlocal reason
            message = await super().receive(timeout)
            if message.type is WSMsgType.CLOSE:
                reason = message.extra or ""
            return message

    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    spoken = {name.strip() for name in offered}
    ws = Listening(
        max_msg_size=MAX_SIZE,
        autoping=service not in {silent, ping},
        protocols=[name for name in NAMES if name in spoken][:1],
    )
    await ws.prepare(request)
    try:
        await service(ws, request)
    finally:
        await ws.close()
        number = request.query.get("id")
        if number and service is not tell:
            report(number).set_result({"code": ws.close_code, "reason": reason})
    return ws


async def main() -> None:
    chain, key, plain, secure = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    application = web.Application()
    application.router.add_get("/{service}", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(plain)).start()
    await web.TCPSite(runner, "127.0.0.1", int(secure), ssl_context=context).start()
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
