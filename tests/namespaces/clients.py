"""Clients of the lab: real ones, that lose patience soon, and what happens to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import wsclient
from wsclient.supervisor.lifecycle import Events
from wsclient.testing import Peer, ScriptedServer, accepts
from wsclient.testing.script import Script

from .conftest import Secrets
from .lab import PORT, SERVER, Lab

__all__ = ("latest", "next_of", "patient", "quick", "serving", "waits")

T = TypeVar("T")


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


def serving(
    lab: Lab,
    *scripts: Script,
    default: Script = accepts,
    secrets: Secrets = Secrets(),  # noqa: B008 - frozen
    host: str = SERVER,
) -> ScriptedServer:
    """Make a server on the server's host."""
    return ScriptedServer(
        *scripts,
        default=default,
        host=host,
        port=PORT,
        listen=lab.server.listen,
        tls=secrets.server,
    )


def quick(server: ScriptedServer | str, **options: Any) -> wsclient.Client[Any]:
    """Make a client that misses a silent peer within a third of a second."""
    usual: dict[str, Any] = {
        "ping_interval": 0.1,
        "ping_timeout": 0.2,
        "close_timeout": 0.3,
        "wait": waits(0.05),
        "compression": None,
    }
    url = server if isinstance(server, str) else server.url()
    return wsclient.Client(url, **{**usual, **options})


def patient(server: ScriptedServer | str, **options: Any) -> wsclient.Client[Any]:
    """Make one that no silence of this test worries."""
    return quick(server, ping_interval=20, ping_timeout=20, **options)


async def next_of(events: Events, kind: type[T]) -> T:
    """Wait for the next event of a kind, passing others over."""
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"it left before there was a {kind.__name__}")


async def latest(client: wsclient.Client[Any], server: ScriptedServer) -> Peer:
    """Wait until it is open again; return that connection, not an attempt given up."""
    await client.wait_open()
    assert client.generation > 1
    return server.peer
