"""
One measurement in a process of its own: one library, one event loop, one count.

Each library is imported by its own opener, so that a process holds nothing of the
others, and a library that is not installed costs only its own rows.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import anyio

QUEUE = 4096  # messages; nobody shall stop and start reading for a short queue
MISSING = 3  # exit status: this library is not installed


@dataclass(frozen=True, slots=True)
class Session:
    """
    One open connection, as the calls that a library has.

    ``take(n)`` receives n messages as fast as the library can give them;
    ``send_many`` sends a list of them.

    """

    recv: Callable[[], Awaitable[object]] | None = None
    send: Callable[[str], Awaitable[object]] | None = None
    messages: AsyncIterator[object] | None = None
    take: Callable[[int], Awaitable[object]] | None = None
    send_many: Callable[[list[str]], Awaitable[object]] | None = None


@asynccontextmanager
async def opened(making: Any) -> AsyncIterator[Session]:
    """Enter what ``websockets``, and who has its interface, give for a connection."""
    async with making as ws:
        yield Session(ws.recv, ws.send, aiter(ws))


def open_websockets(url: str) -> AbstractAsyncContextManager[Session]:
    from websockets.asyncio.client import connect

    return opened(connect(url, compression=None, max_queue=QUEUE, proxy=None))


def open_picows(url: str) -> AbstractAsyncContextManager[Session]:
    from picows.websockets.asyncio.client import connect

    return opened(connect(url, compression=None, max_queue=QUEUE, proxy=None))


@asynccontextmanager
async def open_trio_websocket(url: str) -> AsyncIterator[Session]:
    from trio_websocket import open_websocket_url

    async def iterate() -> AsyncIterator[object]:
        while True:
            yield await ws.get_message()

    async with open_websocket_url(
        url, message_queue_size=QUEUE, receive_buffer_size=65536
    ) as ws:
        yield Session(ws.get_message, ws.send_message, iterate())


@asynccontextmanager
async def opened_of_ours(making: Any) -> AsyncIterator[Session]:
    """Enter a connection or a client."""
    async with making as ws:
        take = partial(in_batches, ws.recv_many)
        yield Session(ws.recv, ws.send, aiter(ws), take, ws.send_many)


def open_connection(url: str) -> AbstractAsyncContextManager[Session]:
    from wsclient import connect

    return opened_of_ours(connect(url, compression=None))


def open_client(url: str) -> AbstractAsyncContextManager[Session]:
    from wsclient import Client

    return opened_of_ours(Client(url, compression=None))


async def in_batches(recv_many: Callable[[], Awaitable[Any]], count: int) -> None:
    while count > 0:
        count -= len(await recv_many())


@asynccontextmanager
async def open_picows_callbacks(url: str) -> AsyncIterator[Session]:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Listener(WSListener):
        left = 0
        done: asyncio.Future[None]

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            frame.get_payload_as_utf8_text()
            self.left -= 1
            if self.left == 0:
                self.done.set_result(None)

    transport, made = await ws_connect(Listener, url)
    listener = cast(Listener, made)

    async def take(count: int) -> None:
        listener.done = asyncio.get_running_loop().create_future()
        listener.left = count
        await listener.done

    async def send_many(messages: list[str]) -> None:
        for message in messages:
            transport.send(WSMsgType.TEXT, message.encode())
        await asyncio.sleep(0)

    yield Session(take=take, send_many=send_many)


@asynccontextmanager
async def open_aiohttp(url: str) -> AsyncIterator[Session]:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=0) as ws,
    ):
        yield Session(ws.receive, ws.send_str, aiter(ws))


OPENERS = {
    "wsclient": open_connection,
    "Client": open_client,
    "picows": open_picows,
    "picows callbacks": open_picows_callbacks,
    "aiohttp": open_aiohttp,
    "websockets": open_websockets,
    "trio-websocket": open_trio_websocket,
}


async def receive(session: Session, count: int, size: int) -> None:
    recv = session.recv
    assert recv is not None
    for _ in range(count):
        await recv()


async def iterate(session: Session, count: int, size: int) -> None:
    assert session.messages is not None
    async for _ in session.messages:
        count -= 1
        if not count:
            return


async def take(session: Session, count: int, size: int) -> None:
    assert session.take is not None
    await session.take(count)


async def send(session: Session, count: int, size: int) -> None:
    call, message = session.send, "x" * size
    assert call is not None
    for _ in range(count):
        await call(message)


async def send_many(session: Session, count: int, size: int) -> None:
    assert session.send_many is not None
    batch = ["x" * size] * 1000
    for _ in range(-(-count // len(batch))):
        await session.send_many(batch)


async def round_trip(session: Session, count: int, size: int) -> None:
    call, recv, message = session.send, session.recv, "x" * size
    assert call is not None
    assert recv is not None
    for _ in range(count):
        await call(message)
        await recv()


MEASURES = {
    "receive": ("flood", receive),
    "iterate": ("flood", iterate),
    "take": ("flood", take),
    "send": ("sink", send),
    "send-many": ("sink", send_many),
    "roundtrip": ("echo", round_trip),
}


async def measure(name: str, library: str, port: int, count: int, size: int) -> None:
    """Print the CPU and wall seconds of ``count`` messages, then end at once."""
    path, run = MEASURES[name]
    async with OPENERS[library](f"ws://127.0.0.1:{port}/{path}/{size}") as session:
        await run(session, max(1, count // 20), size)  # warm: caches, buffers, queues
        wall, cpu = time.perf_counter(), time.process_time()
        await run(session, count, size)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)
        # How a library leaves a peer that never stops flooding is another story.
        os._exit(0)


def main() -> None:
    name, library, backend, *numbers = sys.argv[1:]
    port, count, size, *core = map(int, numbers)
    if core:
        os.sched_setaffinity(0, set(core))
    try:
        if backend == "trio":
            anyio.run(measure, name, library, port, count, size, backend="trio")
        else:
            asyncio.run(measure(name, library, port, count, size))
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)


if __name__ == "__main__":
    main()
