"""A client that outlives its connections."""

from __future__ import annotations

import anyio

import wsclient


async def main(url: str = "ws://localhost:8765", longest_wait: float = 30) -> None:
    async with (
        wsclient.Client(url, wait=wsclient.FullJitter(cap=longest_wait)) as client,
        # Said again on each new connection.
        client.subscribe("send me the news"),
    ):
        async for message in client:  # goes on across drops
            print(f"connection {client.generation}: {message!r}")
            if message == "that is all":
                break


if __name__ == "__main__":
    anyio.run(main)
