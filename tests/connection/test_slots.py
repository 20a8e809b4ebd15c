"""How much a connection keeps."""

from __future__ import annotations

from wsclient.protocol import Role

from .peer import connected


async def test_all_that_a_connection_remembers_is_in_slots(pushed: bool) -> None:
    for role in Role:
        async with connected(pushed, role=role) as (ws, peer), ws:
            peer.send("a message", "and one in parts")
            await ws.recv()
            async with ws.recv_streaming() as parts:
                assert [part async for part in parts]
            await ws.send("an answer")
            await ws.ping()
        assert not vars(ws)
