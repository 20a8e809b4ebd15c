"""What 1006 means: the connection ended without a Close frame. Ask for the reason."""

from __future__ import annotations

import anyio

import wsclient


async def main(url: str = "ws://localhost:8765") -> None:
    async with wsclient.connect(url) as ws:
        try:
            async for message in ws:
                print("received", message)
        except wsclient.ConnectionClosed as exc:
            print("closed with", exc.code, exc.received)
        except wsclient.ConnectionLost as exc:
            print(exc.code, "is nothing the peer said. What is known:", exc.reason)
            print(exc)  # all of it, with what to look at


if __name__ == "__main__":
    anyio.run(main)
