"""A server whose work takes long, and still has time for every client."""

from __future__ import annotations

import anyio
import anyio.to_thread

import wsclient


def work(order: str | bytes) -> str:
    """Count the primes below a number: slow, and nothing in it can be awaited."""
    below = int(order)
    primes = [n for n in range(2, below) if all(n % d for d in range(2, n))]
    return f"{len(primes)} primes below {below}"


async def handler(ws: wsclient.Connection) -> None:
    async for message in ws:
        # Called directly, work() would stop all clients until it is done.
        await ws.send(await anyio.to_thread.run_sync(work, message))


async def main(port: int = 8765) -> None:
    async with wsclient.serve(handler, "localhost", port) as server:
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
