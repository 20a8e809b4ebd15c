"""What Client adds, as its user sees it."""

from __future__ import annotations

from .inv import anyio_backend, inv
from .world import Net, Peer

__all__ = ("anyio_backend", "inv")


async def test_it_goes() -> None:
    async def echo(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.send(await peer.recv())

    async with Net(default=echo) as net, net.client() as client:
        await client.send("hello")
        assert await client.recv() == "hello"
    assert net.peer.close_code == 1000
