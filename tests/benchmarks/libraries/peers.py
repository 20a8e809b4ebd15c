"""Other libraries, on whichever event loop they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, cast

from ..job import LIMIT, MEMORY, WINDOW, Job
from .session import Connect, Session, opened, tls_of

# Each is imported by who uses it, so that a process holds nothing of the others, and
# a library that is not installed costs only its own rows.

__all__ = (
    "aiohttp",
    "httpx_ws",
    "keep_picows",
    "keep_websockets",
    "picows",
    "picows_callbacks",
    "trio_websocket",
    "websockets",
)


def _of_websockets(job: Job) -> dict[str, Any]:
    """Make the arguments of ``websockets``' interface, compression apart."""
    return {
        "ssl": tls_of(job),
        "max_size": LIMIT,
        "max_queue": job.queue,
        "ping_interval": job.keepalive or 20,
        "proxy": None,
    }


@asynccontextmanager
async def websockets(job: Job) -> AsyncIterator[Connect]:
    from websockets.asyncio.client import connect
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

    arguments = _of_websockets(job) | {"compression": None}
    if job.deflate:
        memory = {"memLevel": MEMORY}
        arguments["extensions"] = [
            ClientPerMessageDeflateFactory(
                client_max_window_bits=True, compress_settings=memory
            )
        ]
    yield lambda url: opened(connect(url, **arguments))


@asynccontextmanager
async def picows(job: Job) -> AsyncIterator[Connect]:
    from picows.websockets.asyncio.client import connect

    compression = "deflate" if job.deflate else None
    arguments = _of_websockets(job) | {"compression": compression}
    yield lambda url: opened(connect(url, **arguments))


@asynccontextmanager
async def picows_callbacks(job: Job) -> AsyncIterator[Connect]:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Listener(WSListener):
        left = 0
        done: asyncio.Future[None]

        def __init__(self) -> None:
            self.writable = asyncio.Event()
            self.writable.set()

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            frame.get_payload_as_utf8_text()
            self.left -= 1
            if self.left == 0:
                self.done.set_result(None)

        def pause_writing(self) -> None:
            self.writable.clear()

        def resume_writing(self) -> None:
            self.writable.set()

    context = tls_of(job)

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Session]:
        transport, made = await ws_connect(
            Listener, url, ssl_context=context, max_frame_size=LIMIT
        )
        listener = cast(Listener, made)
        loop = asyncio.get_running_loop()

        async def take(count: int) -> None:
            listener.left += count  # fewer than none: some came before
            if listener.left > 0:
                listener.done = loop.create_future()
                await listener.done

        async def recv() -> None:
            await take(1)

        async def send(text: str) -> None:
            transport.send(WSMsgType.TEXT, text.encode())
            if not listener.writable.is_set():
                await listener.writable.wait()

        async def send_many(messages: list[bytes]) -> None:
            for message in messages:
                transport.send(WSMsgType.TEXT, message)
            if not listener.writable.is_set():
                await listener.writable.wait()

        def prepare(texts: list[str]) -> list[bytes]:
            return [text.encode() for text in texts]

        yield Session(recv, send, None, take, send_many, prepare)
        transport.disconnect()

    yield connect


@asynccontextmanager
async def aiohttp(job: Job) -> AsyncIterator[Connect]:
    import aiohttp as library

    if job.deflate and job.settings:
        library.set_zlib_backend(import_module(job.settings["backend"]))
    context = tls_of(job)
    connector = library.TCPConnector(limit=0, ssl=True if context is None else context)
    async with library.ClientSession(connector=connector) as session:

        @asynccontextmanager
        async def connect(url: str) -> AsyncIterator[Session]:
            async with session.ws_connect(
                url,
                compress=WINDOW if job.deflate else 0,
                heartbeat=job.keepalive,
                max_msg_size=LIMIT,
            ) as ws:
                yield Session(ws.receive, ws.send_str, aiter(ws))

        yield connect


@asynccontextmanager
async def trio_websocket(job: Job) -> AsyncIterator[Connect]:
    from trio_websocket import open_websocket_url

    context = tls_of(job)

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Session]:
        async with open_websocket_url(
            url,
            context,
            message_queue_size=job.queue,
            max_message_size=LIMIT,
            receive_buffer_size=65536,
        ) as ws:
            yield Session(ws.get_message, ws.send_message)

    yield connect


@asynccontextmanager
async def httpx_ws(job: Job) -> AsyncIterator[Connect]:
    import httpx
    from httpx_ws import aconnect_ws

    context = tls_of(job)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        limits=limits, verify=True if context is None else context, trust_env=False
    ) as client:

        @asynccontextmanager
        async def connect(url: str) -> AsyncIterator[Session]:
            making: Any = aconnect_ws(
                url,
                client,
                max_message_size_bytes=LIMIT,
                queue_size=job.queue,
                keepalive_ping_interval_seconds=job.keepalive or 20,
            )
            async with making as ws:
                yield Session(ws.receive_text, ws.send_text)

        yield connect


async def keep_websockets(job: Job, tell: Callable[[float | None], None]) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async for ws in connect(job.url, compression=None, proxy=None):
        tell(None)
        try:
            await ws.recv()
        except ConnectionClosed:
            continue


async def keep_picows(job: Job, tell: Callable[[float | None], None]) -> None:
    from picows.websockets.asyncio.client import connect
    from picows.websockets.exceptions import ConnectionClosed

    async for ws in connect(job.url, compression=None, proxy=None):
        tell(None)
        try:
            await ws.recv()
        except ConnectionClosed:
            continue
