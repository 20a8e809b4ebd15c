"""Third-party WebSocket clients that take the same orders, each in its own process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import pytest

from .commands import Command, node, python
from .orders import Orders, Saw
from .processes import Peer


class Visitor(Protocol):
    """A client nobody here wrote, that does as it is told."""

    async def order(self, **orders: Any) -> Saw:
        """Have it visit a server; return what it saw: see ``orders.py``."""


@dataclass(frozen=True, slots=True)
class Make:
    """A make of client: how it is run, and which orders it cannot take."""

    command: Callable[[], Command]
    lacks: frozenset[str] = frozenset()


MAKES = {
    "ws": Make(partial(node, "ws_client.mjs")),
    "websockets": Make(partial(python, "websockets_client", needs=("websockets",))),
    "aiohttp": Make(
        partial(python, "aiohttp_client", needs=("aiohttp",)), frozenset({"fragments"})
    ),
}

# What the API of browsers has no word for.
BELOW_BROWSERS = frozenset({"abort", "fragments", "headers", "ping", "status"})

LACKS = {name: make.lacks for name, make in MAKES.items()} | {
    "chromium": BELOW_BROWSERS
}


def taking(*orders: str) -> pytest.MarkDecorator:
    """Run a test with each client that takes all of these orders."""
    names = [name for name, lacks in LACKS.items() if lacks.isdisjoint(orders)]
    return pytest.mark.parametrize("visitor", names, indirect=True)


class Process:
    """A client in a process, which is started anew where an order was broken off."""

    def __init__(self, name: str, folder: Path) -> None:
        self._command = MAKES[name].command()
        self._log = folder / f"{name}.log"
        self._peer: Peer | None = None

    async def order(self, **orders: Any) -> Saw:
        try:
            return await anyio.to_thread.run_sync(
                self.obey, orders, abandon_on_cancel=True
            )
        except BaseException:
            self.kill()
            raise

    def obey(self, orders: Orders) -> Saw:
        """Do as :meth:`order`, blocking."""
        if self._peer is None:
            self._peer = Peer(self._command, self._log)
        self._peer.write_line(json.dumps(orders))
        saw = json.loads(self._peer.read_line())
        assert isinstance(saw, dict)
        return saw

    def kill(self) -> None:
        """End the process; idempotent."""
        if self._peer is not None:
            self._peer.kill()
            self._peer = None


@contextmanager
def process(name: str, folder: Path) -> Iterator[Process]:
    """Make a client, not yet started; whatever becomes of it, nothing of it is left."""
    client = Process(name, folder)
    try:
        yield client
    finally:
        client.kill()
