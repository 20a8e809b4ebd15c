"""A server that answers every message, not just the first."""

from __future__ import annotations

import anyio

import wsclient


async def handler(ws: wsclient.Connection) -> None:
    """Talk to one client; when this returns, its connection is closed with 1000."""
    async for message in ws:
        await ws.send(message)


async def main(port: int = 8765) -> None:
    async with wsclient.serve(handler, "localhost", port) as server:
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
