"""The pushed wire on real sockets: asyncio, its debug mode, uvloop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import anyio
import pytest

from wsclient.testing.contract import WIRE_CHECKS, WireCheck
from wsclient.transport.asyncio import asyncio_wire

from .conftest import HANG, Connected, backend

pytestmark = pytest.mark.real


@pytest.fixture(params=["asyncio", "asyncio-debug", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend(request.param)


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
async def test_the_contract_is_kept(check: WireCheck, connected: Connected) -> None:
    left, right = connected()
    with anyio.fail_after(HANG):
        await check(await asyncio_wire(left), await asyncio_wire(right))


async def test_nothing_is_read_before_somebody_takes_it(connected: Connected) -> None:
    near, far = connected()
    wire = await asyncio_wire(near)
    far.send(b"early")
    await asyncio.sleep(0.02)
    received = bytearray()
    wire.start(lambda chunk: received.extend(chunk or b""), print, lambda: None)
    with anyio.fail_after(HANG):
        await wire.pump()
    assert received == b"early"
    wire.abort()
    far.close()


async def test_a_socket_is_closed_when_making_its_wire_is_cancelled(
    connected: Connected,
) -> None:
    near, far = connected()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await asyncio_wire(near)
    await asyncio.sleep(0)
    assert scope.cancelled_caught
    assert near.fileno() == -1
    far.close()


async def test_a_native_cancellation_of_pump_loses_nothing(
    connected: Connected,
) -> None:
    """Also where the bytes and the cancellation come in one turn of the loop."""
    near, far = connected()
    wire = await asyncio_wire(near)
    received = bytearray()
    wire.start(lambda chunk: received.extend(chunk or b""), print, lambda: None)
    for number in range(100):
        task = asyncio.ensure_future(wire.pump())
        await asyncio.sleep(0)
        far.send(bytes([number]))
        if number % 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    with anyio.fail_after(HANG):
        while len(received) < 100:
            await wire.pump()
    assert received == bytes(range(100))
    wire.abort()
    far.close()


async def test_what_the_peer_said_before_a_reset_is_fed_while_paused(
    connected: Connected,
) -> None:
    """A reset shows in our write; the code in the peer's Close frame is before it."""
    near, far = connected()
    wire = await asyncio_wire(near)
    told: list[object] = []
    wire.start(
        lambda chunk: told.append(bytes(chunk or b"")), told.append, lambda: None
    )
    wire.pause()
    far.send(b"close 4001")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    with anyio.fail_after(HANG):
        while len(told) < 2:
            wire.write(b"unheard")
            await wire.flush()
            await asyncio.sleep(0)
    assert told[0] == b"close 4001"
    assert isinstance(told[1], ConnectionError)


async def test_a_wire_lost_before_it_started_tells_it_then(
    connected: Connected,
) -> None:
    near, far = connected()
    wire = await asyncio_wire(near)
    far.close()
    told: list[Exception] = []
    with anyio.fail_after(HANG):
        for _ in range(3):
            wire.write(b"unheard")
            await asyncio.sleep(0.01)
        await wire.flush()
        wire.start(lambda chunk: None, told.append, lambda: None)
        await wire.pump()
    assert [type(error) for error in told] == [BrokenPipeError]
    assert near.fileno() == -1
