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
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

QUEUE = 4096  # messages; nobody shall stop and start reading for a short queue
MISSING = 3  # exit status: this library is not installed


@dataclass(frozen=True, slots=True)
class Session:
    """One open connection, as the three calls every library has."""

    recv: Callable[[], Awaitable[object]]
    send: Callable[[str], Awaitable[object]]
    messages: AsyncIterator[object]


@asynccontextmanager
async def open_websockets(url: str) -> AsyncIterator[Session]:
    from websockets.asyncio.client import connect

    async with connect(url, compression=None, max_queue=QUEUE, proxy=None) as ws:
        yield Session(ws.recv, ws.send, aiter(ws))


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
async def open_connection(url: str) -> AsyncIterator[Session]:
    from wsclient import connect

    async with connect(url, compression=None) as ws:
        yield Session(ws.recv, ws.send, aiter(ws))


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[Session]:
    from wsclient import Client

    async with Client(url, compression=None) as client:
        yield Session(client.recv, client.send, aiter(client))


OPENERS = {
    "wsclient": open_connection,
    "Client": open_client,
    "websockets": open_websockets,
    "trio-websocket": open_trio_websocket,
}


async def receive(session: Session, count: int) -> None:
    recv = session.recv
    for _ in range(count):
        await recv()


async def iterate(session: Session, count: int) -> None:
    async for _ in session.messages:
        count -= 1
        if not count:
            return


async def send(session: Session, count: int) -> None:
    call, message = session.send, "x" * 64
    for _ in range(count):
        await call(message)


async def round_trip(session: Session, count: int) -> None:
    call, recv, message = session.send, session.recv, "x" * 32
    for _ in range(count):
        await call(message)
        await recv()


MEASURES = {
    "receive": ("flood", receive),
    "iterate": ("flood", iterate),
    "send": ("sink", send),
    "roundtrip": ("echo", round_trip),
}


async def measure(name: str, library: str, port: int, count: int) -> None:
    """Print the CPU and wall seconds of ``count`` messages, then end at once."""
    path, run = MEASURES[name]
    async with OPENERS[library](f"ws://127.0.0.1:{port}/{path}") as session:
        await run(session, max(1, count // 20))  # warm: caches, buffers, queues
        wall, cpu = time.perf_counter(), time.process_time()
        await run(session, count)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)
        # How a library leaves a peer that never stops flooding is another story.
        os._exit(0)


def main() -> None:
    name, library, backend, port, count, *core = sys.argv[1:]
    if core:
        os.sched_setaffinity(0, {int(core[0])})
    try:
        if backend == "trio":
            anyio.run(measure, name, library, int(port), int(count), backend="trio")
        else:
            asyncio.run(measure(name, library, int(port), int(count)))
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)


if __name__ == "__main__":
    main()
