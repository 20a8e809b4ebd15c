"""A client that waits for a message, but not for ever."""

from __future__ import annotations

import anyio

import wsclient


async def main(url: str = "ws://localhost:8765", seconds: float = 5) -> None:
    async with wsclient.connect(url) as ws:
        try:
            print("received", await ws.recv(timeout=seconds))
        except wsclient.ReceiveTimeout:
            print("nothing yet")  # nothing is lost, nothing has ended
            await ws.send("hello?")
        print("received", await ws.recv())

    # A Client takes a feed that is silent for so long for dead, and dials again.
    wsclient.Client(url, recv_timeout=60)


if __name__ == "__main__":
    anyio.run(main)
