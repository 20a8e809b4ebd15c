"""What the pages' snippets talk to, and how one is run."""

from __future__ import annotations

import ast
import inspect
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

import anyio
import anyio.to_thread

import wsclient
from wsclient import Connection, HTTPResponse, Server
from wsclient.errors import Reason
from wsclient.testing import VIRTUAL_BACKENDS, virtual_backend

from .pages import Snippet, recording_on_the_page

HANG = 60  # seconds: far more than any snippet takes
PACE = 0.01  # seconds between two messages of a channel


class Rig:
    """One bundled server, plain and over TLS, and what the snippet has printed."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.plain = wsclient.serve(
            self.converse, process_request=self.admit, subprotocols=["chat.v2"]
        )
        self.secure = wsclient.serve(self.converse, tls=tls)
        self.printed: list[str] = []
        self.said: list[Any] = []
        self._stop: anyio.CancelScope | None = None
        self._awaited = 0

    # What the server does.

    async def admit(
        self, connection: Connection, request: wsclient.server.Request
    ) -> HTTPResponse | None:
        """Refuse what is under /refused, with the status that comes next."""
        match = re.match(r"/refused/(\d+)", request.target)
        return HTTPResponse.of_status(int(match[1])) if match else None

    async def converse(self, ws: Connection) -> None:
        """Echo texts; answer JSON objects; count on the channels subscribed to."""
        channels: list[str] = []
        for n in count(1):
            try:
                await self.answer(ws, channels, await ws.recv(timeout=PACE))
            except wsclient.ReceiveTimeout:
                for channel in channels:
                    await ws.send(json.dumps({"channel": channel, "n": n}))

    async def answer(
        self, ws: Connection, channels: list[str], message: str | bytes
    ) -> None:
        """Do what a client asks for."""
        try:
            asked = json.loads(message)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            self.said.append(message)
            await ws.send(message)
            return
        self.said.append(asked)
        match asked:
            case {"op": "subscribe", "channel": channel}:
                channels.append(channel)
                await ws.send(json.dumps({"subscribed": channel}))
            case {"op": "unsubscribe", "channel": channel}:
                channels.remove(channel)
            case {"op": "login"}:
                await ws.send(json.dumps({"ok": True}))
            case _:
                await ws.send(json.dumps({"done": asked}))

    # What the hidden lines around a snippet may use.

    def print(self, *values: object) -> None:
        """Stand for ``print()``."""
        self.printed.append(" ".join(map(str, values)))
        if self._stop is not None and len(self.printed) >= self._awaited:
            self._stop.cancel()

    @contextmanager
    def prints(self, number: int) -> Iterator[None]:
        """End what is inside when it has printed so often; see that it does."""
        self._awaited = number
        with anyio.CancelScope() as self._stop:
            yield
        self._stop = None
        assert len(self.printed) >= number, self.printed

    def virtually(self, main: Callable[[], Awaitable[object]]) -> None:
        """Run it in virtual time, on each event loop; for snippets in a thread."""
        for name in VIRTUAL_BACKENDS:
            backend, options = virtual_backend(name)
            anyio.run(main, backend=backend, backend_options=options)

    def drop(self) -> None:
        """End every connection, from the server's side."""
        for server in self.plain, self.secure:
            for connection in server.connections:
                connection.end(Reason.LOCAL, "the test drops it", code=1001)

    # Running.

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the context lasts."""
        async with self.plain, self.secure:
            yield

    def adapted(self, source: str) -> str:
        """Let the snippet talk to this server instead of the one it names."""
        scheme, server = (
            ("wss", self.secure) if "ssl." in source else ("ws", self.plain)
        )
        here = f"{scheme}://localhost:{port_of(server)}"
        source = re.sub(r"wss?://(example\.com|localhost:8765)", here, source)
        return source.replace("anyio.run(main)", "await main()")

    async def run(self, snippet: Snippet) -> None:
        """Run one snippet: here if it awaits, else in a thread."""
        names = {
            "__name__": str(snippet),
            "anyio": anyio,
            "drop": self.drop,
            "print": self.print,
            "printed": self.printed,
            "prints": self.prints,
            "recording": recording_on_the_page(),
            "said": self.said,
            "virtually": self.virtually,
            "wsclient": wsclient,
        }
        code = compile(
            self.adapted(snippet.source),
            str(snippet),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, names)
        else:
            await anyio.to_thread.run_sync(exec, code, names)


def port_of(server: Server) -> int:
    """Return the port a server listens on."""
    return int(server.addresses[0][1])
