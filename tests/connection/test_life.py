from __future__ import annotations
from .peer import connected
async def test_hello(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("a", b"b")
        assert await ws.recv() == "a"
        assert await ws.recv() == b"b"
        await ws.send("c")
        assert await peer.until_messages(1) == ["c"]
