"""Which event loop is running here, and its wire."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

from ..wire import Wire

__all__ = ("call_soon_threadsafe", "wire_of")


def _on_trio() -> bool:
    """Nobody can be inside trio without having imported it."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


async def wire_of(sock: socket.socket) -> Wire:
    """
    Make the running backend's wire of a connected, non-blocking stream socket.

    The wire owns the socket at once: whatever happens here, also a cancellation,
    either the wire is returned or the socket is closed.

    """
    if _on_trio():
        from .trio import trio_wire

        return await trio_wire(sock)
    from .asyncio import asyncio_wire

    return await asyncio_wire(sock)


def call_soon_threadsafe() -> Callable[[Callable[[], object]], object]:
    """
    Return a function by which any thread has a callback called in this event loop.

    It raises RuntimeError when the event loop has ended.

    """
    if _on_trio():
        from . import trio

        return trio.call_soon_threadsafe()
    from . import asyncio

    return asyncio.call_soon_threadsafe()
