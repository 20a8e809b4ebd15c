"""The pulled wire of trio on real sockets."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from wsclient.testing.contract import WIRE_CHECKS, WireCheck
from wsclient.transport.trio import trio_wire

from .conftest import HANG, Connected, backend

pytestmark = pytest.mark.real


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return backend("trio")


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
async def test_the_contract_is_kept(check: WireCheck, connected: Connected) -> None:
    left, right = connected()
    with anyio.fail_after(HANG):
        await check(await trio_wire(left), await trio_wire(right))


async def test_what_the_peer_said_before_a_reset_is_fed_while_paused(
    connected: Connected,
) -> None:
    """A reset shows in our write; the code in the peer's Close frame is before it."""
    near, far = connected()
    wire = await trio_wire(near)
    told: list[object] = []
    wire.start(
        lambda chunk: told.append(bytes(chunk or b"")), told.append, lambda: None
    )
    wire.pause()
    far.send(b"close 4001")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    with anyio.fail_after(HANG):
        while wire.write(b"unheard"):
            pass
        await wire.flush()
    assert told[0] == b"close 4001"
    assert isinstance(told[1], ConnectionError)
    assert near.fileno() == -1


async def test_all_wires_of_a_run_share_one_buffer(connected: Connected) -> None:
    """64 KiB a connection would be most of what an idle connection costs."""
    pairs = [connected() for _ in range(2)]
    wires = [await trio_wire(sock) for pair in pairs for sock in pair]
    assert len({id(wire._buffer) for wire in wires}) == 1
    for wire in wires:
        wire.abort()
