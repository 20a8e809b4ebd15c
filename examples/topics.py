"""A server with topics: {"channel": ...} subscribes, "data" beside it publishes."""

from __future__ import annotations

import json
from collections import defaultdict

import anyio

import wsclient

members: defaultdict[str, set[wsclient.Connection]] = defaultdict(set)


async def handler(ws: wsclient.Connection) -> None:
    try:
        async for text in ws:
            message = json.loads(text)
            if "data" in message:
                publish(message["channel"], text)
            else:
                members[message["channel"]].add(ws)
    finally:
        for channel in members.values():
            channel.discard(ws)


def publish(channel: str, text: str | bytes) -> None:
    for ws in members[channel]:
        try:
            ws.send_nowait(text)  # waits for nobody: the slow must not hold up others
        except (wsclient.WouldBlock, wsclient.NotSent):
            print("missed by", ws.remote_address)


async def main(port: int = 8765) -> None:
    async with wsclient.serve(handler, "localhost", port) as server:
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
