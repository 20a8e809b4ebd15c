"""A server that takes a free port and says on which addresses it listens."""

from __future__ import annotations

import anyio

import wsclient


async def handler(ws: wsclient.Connection) -> None:
    await ws.send(f"you found me at {ws.local_address}")


async def main(host: str | None = "localhost") -> None:
    # "localhost": this machine only; None: all interfaces, so the whole network.
    async with wsclient.serve(handler, host, 0) as server:
        for address in server.addresses:
            print("listening on", *address[:2])
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
