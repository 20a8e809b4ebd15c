"""Pings: the other side's are answered by themselves, your own give the latency."""

from __future__ import annotations

import anyio

import wsclient


async def busy(ws: wsclient.Connection) -> None:
    """A handler that neither sends nor receives: pings are answered all the same."""
    await ws.wait_ended()


async def main() -> None:
    async with wsclient.serve(busy, "localhost", 0) as server:
        port = server.addresses[0][1]
        async with wsclient.connect(f"ws://localhost:{port}") as ws:
            latency = await ws.ping()
            print(f"answered after {latency * 1000:.1f} ms")


if __name__ == "__main__":
    anyio.run(main)
