"""Real sockets on loopback, and certificates for them."""

from __future__ import annotations

import importlib.util
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme

from wsclient.testing.clock import virtual_backend

HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None

# What each backend can be run as, by name.
BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "asyncio-debug": ("asyncio", {"debug": True}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


def backend(name: str) -> tuple[str, dict[str, Any]]:
    """Return what an ``anyio_backend`` fixture returns."""
    if name.startswith("virtual-"):
        return virtual_backend(name.removeprefix("virtual-"))
    if name == "uvloop" and not HAS_UVLOOP:
        pytest.skip("uvloop is not installed")
    return BACKENDS[name]


virtual = pytest.mark.parametrize(
    "anyio_backend", ["virtual-asyncio", "virtual-trio"], indirect=True
)
"""Runs a test in virtual time on both backends."""


@pytest.fixture(params=[*BACKENDS])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend(request.param)


HANG = 20
"""Seconds after which a test on a real network has hung."""

Connected = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture
def connected() -> Iterator[Connected]:
    """Connected TCP sockets; what a test leaves open is closed after it."""
    made: list[socket.socket] = []

    def connect() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.append(sock)
        return client, server

    yield connect
    still_open = [sock for sock in made if sock.fileno() >= 0]
    for sock in still_open:
        sock.close()
    assert not still_open, "a wire has not closed its socket"


class Certificates:
    """Contexts of a server and of clients that trust it or do not."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)
        self.stranger = ssl.create_default_context()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates()
