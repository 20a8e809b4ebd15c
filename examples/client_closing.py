"""A client that closes its connection properly, and knows how it was closed."""

from __future__ import annotations

import anyio

import wsclient


async def main(url: str = "ws://localhost:8765") -> None:
    async with wsclient.connect(url, close_timeout=5) as ws:
        await ws.send("hello")
        print("received", await ws.recv())
    # Leaving has said 1000 and waited for the answer, at most close_timeout seconds.
    print(ws.ended)

    async with wsclient.connect(url) as ws:
        await ws.close(4000, "another code, with a reason")
    print(ws.ended)


if __name__ == "__main__":
    anyio.run(main)
