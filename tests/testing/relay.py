"""A fault proxy between two plain sockets, for the tests to hold both ends."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream

from wsclient.testing.proxy import Proxy
from wsclient.testing.proxy_link import ProxyLink

HANG = 60
"""Seconds after which a test on real sockets has hung."""


@dataclass(slots=True)
class Relay:
    """A proxy and the server's listener behind it."""

    proxy: Proxy
    listener: SocketListener

    async def client(self) -> SocketStream:
        """Dial the proxy."""
        return await anyio.connect_tcp(*self.proxy.address)

    async def pair(self) -> tuple[SocketStream, SocketStream, ProxyLink]:
        """Open a link; return the client's end, the server's and what is between."""
        number = len(self.proxy.links) + 1
        client = await self.client()
        server = await self.listener.accept()
        return client, server, await self.proxy.until_link(number)


@asynccontextmanager
async def relaying(**rules: Any) -> AsyncIterator[Relay]:
    """Run a proxy to a listener of its own."""
    with anyio.fail_after(HANG):
        multi = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with multi:
            [listener] = multi.listeners
            assert isinstance(listener, SocketListener)
            port = listener.extra(SocketAttribute.local_port)
            async with Proxy("127.0.0.1", port, **rules) as proxy:
                yield Relay(proxy, listener)


async def exactly(stream: SocketStream, size: int) -> bytes:
    """Receive so many bytes."""
    data = bytearray()
    while len(data) < size:
        data += await stream.receive(size - len(data))
    return bytes(data)


async def rest(stream: SocketStream) -> tuple[bytes, str]:
    """Receive up to the end; return what came, and "eof" or "reset"."""
    data = bytearray()
    try:
        async for chunk in stream:
            data += chunk
    except anyio.BrokenResourceError:
        return bytes(data), "reset"
    return bytes(data), "eof"


async def reset(stream: SocketStream) -> None:
    """Leave with a RST."""
    sock = stream.extra(SocketAttribute.raw_socket)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()
