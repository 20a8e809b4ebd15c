"""A hundred thousand messages, sent and received many at a time."""

from __future__ import annotations

import anyio

import wsclient

COUNT = 100_000


async def publish(ws: wsclient.Connection) -> None:
    """Send numbers, a thousand at a time."""
    for start in range(0, COUNT, 1000):
        await ws.send_many([str(number) for number in range(start, start + 1000)])


async def main() -> None:
    async with wsclient.serve(publish) as server:
        port = server.addresses[0][1]
        async with wsclient.Client(f"ws://localhost:{port}") as client:
            total = count = 0
            while count < COUNT:
                messages = await client.recv_many()
                count += len(messages)
                total += sum(map(int, messages))
            print(total)


if __name__ == "__main__":
    anyio.run(main)
