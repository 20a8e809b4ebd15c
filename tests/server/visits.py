"""Clients at the door of a server, in memory and in virtual time."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from wsclient.connection import Connection, Timeouts
from wsclient.protocol import Limits
from wsclient.server.admission import Admission, Guest
from wsclient.server.reception import Reception
from wsclient.testing.wires import SimulatedWire, wire_pair
from wsclient.transport.stream import WireStream

__all__ = ("Visit", "made", "visiting")


def made(**options: Any) -> Reception:
    """A reception with plain settings, but for these."""
    settings: dict[str, Any] = {
        "process_request": None,
        "subprotocols": (),
        "origins": None,
        "headers": (),
        "tls": None,
        "deflate": None,
        "max_message_size": None,
        "limits": Limits(),
        "open_timeout": 10,
        "timeouts": Timeouts(),
        "random": secrets.token_bytes,
        "uniform": lambda low, high: high,
    }
    return Reception(**(settings | options))


class Visit:
    """A client at the door, and what became of it there."""

    def __init__(self, wire: SimulatedWire, pipe: SimulatedWire, guest: Guest) -> None:
        self.stream = WireStream(wire)
        self.wire = wire
        self.pipe = pipe
        self.guest = guest
        self.connection: Connection | None = None
        self.over = anyio.Event()
        self.over_at = 0.0


@asynccontextmanager
async def visiting(
    reception: Reception,
    admission: Admission | None = None,
    host: str = "192.0.2.1",
    **network: Any,
) -> AsyncIterator[Visit]:
    """What a server does with who has come, up to the end of the opening handshake."""
    client, wire = wire_pair(**network)
    guest = (admission or Admission()).arrive((host, 40_000))
    assert guest is not None
    visit = Visit(client, wire, guest)

    async def receive() -> None:
        visit.connection = await reception.receive(
            wire, guest, host=f"{host}:40000", name="#1"
        )
        visit.over_at = anyio.current_time()
        if visit.connection is None:
            wire.abort()
        visit.over.set()

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        yield visit
        await visit.over.wait()
        wire.abort()
    guest.leave()
