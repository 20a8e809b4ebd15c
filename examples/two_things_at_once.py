"""A client that sends and receives at the same time, each in a task of its own."""

from __future__ import annotations

import anyio

import wsclient


async def report(ws: wsclient.Connection, seconds: float) -> None:
    for number in range(3):
        await ws.send(f"report {number}")
        await anyio.sleep(seconds)
    await ws.close()  # ends the other task's iteration too


async def listen(ws: wsclient.Connection) -> None:
    async for message in ws:
        print("heard", message)


async def main(url: str = "ws://localhost:8765", seconds: float = 1) -> None:
    # The same on a server: do this with the connection that the handler gets.
    async with wsclient.connect(url) as ws, anyio.create_task_group() as group:
        group.start_soon(listen, ws)
        group.start_soon(report, ws, seconds)


if __name__ == "__main__":
    anyio.run(main)
