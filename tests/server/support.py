"""Clients that say what they like, and a server to say it to, guarded against hangs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import ByteStream

import wsclient
from wsclient.server import Server, serve

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3


@asynccontextmanager
async def serving(handler: Any, **options: Any) -> AsyncIterator[Server]:
    """A server on loopback; what never ends fails."""
    with anyio.fail_after(30):
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            yield server


def url(server: Server, scheme: str = "ws") -> str:
    return f"{scheme}://localhost:{server.addresses[0][1]}/"


async def dial(server: Server) -> ByteStream:
    """A connection on which nothing has been said."""
    host, port = server.addresses[0][:2]
    return await anyio.connect_tcp(host, port)


async def upgraded(server: Server) -> ByteStream:
    """A raw connection behind its opening handshake."""
    stream = await dial(server)
    try:
        await stream.send(upgrade())
        head = await until(stream, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return stream


def upgrade(*lines: str, target: str = "/", **replaced: str | None) -> bytes:
    """A good request; ``Name=value`` replaces a header of it, None leaves it out."""
    headers = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    for name, value in replaced.items():
        headers.pop(name.replace("_", "-"))
        if value is not None:
            headers[name.replace("_", "-")] = value
    told = [f"{name}: {value}" for name, value in headers.items()]
    return request(*told, *lines, target=target)


def request(*lines: str, method: str = "GET", target: str = "/") -> bytes:
    head = [f"{method} {target} HTTP/1.1", *lines, "", ""]
    return "\r\n".join(head).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: an HTTP response taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> Answer:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        return cls(int(first.split(" ")[1]), headers, body)


async def until(stream: ByteStream, end: bytes) -> bytes:
    data = b""
    while end not in data:
        data += await stream.receive()
    return data


async def rest(stream: ByteStream) -> bytes:
    """All that still comes, however it ends."""
    data = b""
    try:
        while True:
            data += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return data


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame of at most 125 bytes, masked with zeros."""
    first = opcode | (0x80 if fin else 0)
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def still_serves(server: Server) -> None:
    """Nobody has ended it."""
    async with wsclient.connect(url(server)) as ws:
        await ws.send("still there?")
        assert await ws.recv() == "still there?"
