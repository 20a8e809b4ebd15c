"""Third-party WebSocket servers that offer the same services, plain and over TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from .certificates import Certificates
from .commands import Command, node, python
from .processes import Peer, free_ports


@dataclass(frozen=True, slots=True)
class Make:
    """A make of server: how it is run, and which services it cannot offer."""

    command: Callable[[], Command]
    lacks: frozenset[str] = frozenset()


# What ASGI has no word for: an application there is shown messages, not the wire.
BELOW_ASGI = frozenset({"fragments", "leave", "ping", "silent", "terminate"})


def _asgi(server: str, *needs: str) -> Callable[[], Command]:
    return partial(python, "asgi_server", server, needs=needs)


MAKES = {
    "ws": Make(partial(node, "ws_server.mjs")),
    "websockets": Make(
        partial(python, "websockets_server", needs=("websockets",)),
        frozenset({"silent"}),
    ),
    "aiohttp": Make(
        partial(python, "aiohttp_server", needs=("aiohttp",)),
        frozenset({"fragments", "leave"}),
    ),
    "uvicorn-websockets": Make(
        _asgi("websockets-sansio", "uvicorn", "websockets"), BELOW_ASGI
    ),
    "uvicorn-wsproto": Make(_asgi("wsproto", "uvicorn", "wsproto"), BELOW_ASGI),
    # Hypercorn tells its application no close code of the client's.
    "hypercorn": Make(_asgi("hypercorn", "hypercorn"), BELOW_ASGI | {"report"}),
}


def offering(*services: str) -> pytest.MarkDecorator:
    """Run a test with each server that offers all of these."""
    names = [name for name, make in MAKES.items() if make.lacks.isdisjoint(services)]
    return pytest.mark.parametrize("server", names, indirect=True)


class Server:
    """A server of one make, on ports of its own through any number of lives."""

    def __init__(
        self, name: str, folder: Path, certificates: Certificates, *arguments: str
    ) -> None:
        ports = free_ports(2)
        self.name = name
        self.ports = dict(zip(("ws", "wss"), ports, strict=True))
        self._log = folder / f"{name}.log"
        pems = certificates.chain, certificates.key
        command = MAKES[name].command()
        self._command = [*command, *pems, *map(str, ports), *arguments]
        self._peer: Peer | None = None

    def url(self, path: str, scheme: str = "ws") -> str:
        return f"{scheme}://localhost:{self.ports[scheme]}{path}"

    def start(self) -> None:
        """Start a life and return when it listens."""
        assert self._peer is None
        self._peer = Peer(self._command, self._log)
        self._peer.read_line()

    def kill(self) -> None:
        """``kill -9``; idempotent."""
        if self._peer is not None:
            self._peer.kill()
            self._peer = None


@contextmanager
def running(
    name: str, folder: Path, certificates: Certificates, *arguments: str
) -> Iterator[Server]:
    """Make a server, started; whatever becomes of it, nothing of it is left."""
    server = Server(name, folder, certificates, *arguments)
    try:
        server.start()
        yield server
    finally:
        server.kill()
