"""A server that ends in an orderly way when it is told to (Ctrl+C, kill)."""

from __future__ import annotations

import signal

import anyio

import wsclient


async def handler(ws: wsclient.Connection) -> None:
    try:
        async for message in ws:
            await ws.send(message)
    finally:
        print("goodbye", ws.remote_address[0])


async def main(port: int = 8765) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with wsclient.serve(
            handler, "localhost", port, shutdown_timeout=10
        ) as server:
            print("serving")
            async for _ in signals:
                break
            print("closing", len(server.connections), "connections")
        # Here every client has heard 1001, and every handler has ended.
    print("closed")


if __name__ == "__main__":
    anyio.run(main)
