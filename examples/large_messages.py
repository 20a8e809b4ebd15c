"""A file sent and received as one message that neither side ever holds."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import anyio

import wsclient


async def take(ws: wsclient.Connection) -> None:
    """Hash one message as it arrives, part by part."""
    digest = sha256()
    async with ws.recv_streaming() as parts:
        async for part in parts:
            assert isinstance(part, bytes)
            digest.update(part)
    await ws.send(digest.hexdigest())


def read(path: Path) -> Iterator[bytes]:
    """Read a file, a fragment of the message at a time."""
    with path.open("rb") as file:
        while fragment := file.read(65536):
            yield fragment


async def main(path: Path = Path(__file__)) -> None:
    async with wsclient.serve(take) as server:
        port = server.addresses[0][1]
        async with wsclient.connect(f"ws://localhost:{port}") as ws:
            await ws.send(read(path))
            print(await ws.recv())


if __name__ == "__main__":
    anyio.run(main)
