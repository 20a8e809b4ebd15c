"""
Floors: what the interpreter and the event loop cost when no library is there.

They send prepared frames and count the bytes that come; nothing is parsed, masked or
made.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from ..framing import frame_of
from ..job import Job
from .session import Connect, Session, tls_of

__all__ = ("protocol", "socket_alone")


def _request(url: str) -> bytes:
    parts = urlsplit(url)
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


@asynccontextmanager
async def socket_alone(job: Job) -> AsyncIterator[Connect]:
    """Block in a socket: no event loop turns while this waits."""
    context = tls_of(job)
    frame = frame_of(b"x" * job.size)
    masked = frame_of(b"x" * job.size, mask=True)

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Session]:
        connection = socket.create_connection(("127.0.0.1", _port(url)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        connection.sendall(_request(url))
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        come = len(head.partition(b"\r\n\r\n")[2])
        buffer = bytearray(65536)

        async def recv() -> None:
            nonlocal come
            while come < len(frame):
                come += connection.recv_into(buffer)
            come -= len(frame)

        async def send(text: str) -> None:
            connection.sendall(masked)

        with connection:
            yield Session(recv, send)

    yield connect


class _Counting(asyncio.BufferedProtocol):
    """Counts bytes; one future for who waits for a number of them."""

    def __init__(self) -> None:
        self.come = 0
        self.wanted = 0
        self.waiter: asyncio.Future[None] | None = None
        self.buffer = bytearray(65536)
        self.head = b""
        self.opened = asyncio.get_running_loop().create_future()
        self.writable = asyncio.Event()
        self.writable.set()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        if not self.head.endswith(b"\r\n\r\n"):
            head, end, rest = bytes(self.buffer[:size]).partition(b"\r\n\r\n")
            self.head += head + end
            size = len(rest)
            if end:
                self.opened.set_result(None)
        self.come += size
        if self.waiter is not None and self.come >= self.wanted:
            self.waiter.set_result(None)
            self.waiter = None

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    async def until(self, wanted: int) -> None:
        if self.come < wanted:
            self.wanted = wanted
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        self.come -= wanted


@asynccontextmanager
async def protocol(job: Job) -> AsyncIterator[Connect]:
    """An asyncio protocol, and a coroutine that waits for its future."""
    context = tls_of(job)
    frame = frame_of(b"x" * job.size)
    masked = frame_of(b"x" * job.size, mask=True)

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Session]:
        loop = asyncio.get_running_loop()
        transport, counting = await loop.create_connection(
            _Counting, "127.0.0.1", _port(url), ssl=context
        )
        transport.write(_request(url))
        await counting.opened

        async def recv() -> None:
            await counting.until(len(frame))

        async def send(text: str) -> None:
            transport.write(masked)
            if not counting.writable.is_set():
                await counting.writable.wait()

        yield Session(recv, send)
        transport.close()

    yield connect
