"""
What the clients in Python have in common: orders on stdin, what came of them on stdout.

Each line is an order, a JSON object: ``url``, and optionally ``ca`` (a PEM file),
``subprotocols``, ``headers``, ``texts`` (sizes to have echoed), ``binaries`` (the
same), ``fragments`` (texts sent as one message), ``ping`` (a payload), ``abort`` (break
off), ``close`` ([code, reason]; without these two: wait for the server to close). A
JSON object tells what came of it: what was ``echoed`` as it went, and the rest by the
name of what was ordered or by that of the event.

"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Orders = dict[str, Any]
Saw = dict[str, Any]


def text(size: int) -> str:
    """Make a text of so many UTF-8 bytes, of letters of one and of two bytes."""
    return "é" * (size // 4) + "x" * (size - 2 * (size // 4))


def binary(size: int) -> bytes:
    """Make so many bytes, of all values."""
    return bytes(range(256)) * (size // 256) + bytes(range(size % 256))


def obey(visit: Callable[[Orders], Awaitable[Saw]]) -> None:
    """Do what each line of stdin orders, one after the other."""

    async def once(orders: Orders) -> Saw:
        return await visit(orders)

    for line in sys.stdin:
        print(json.dumps(asyncio.run(once(json.loads(line)))), flush=True)
