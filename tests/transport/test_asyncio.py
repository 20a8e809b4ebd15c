"""The pushed wire on real sockets: asyncio, its debug mode, uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from wsclient.testing.contract import WIRE_CHECKS, WireCheck
from wsclient.testing.wires import SimulatedWire, wire_pair
from wsclient.transport.asyncio import AsyncioWire, asyncio_wire
from wsclient.wire import Wire

from .conftest import HANG, Connected, backend

pytestmark = pytest.mark.real

RESET = ConnectionResetError("pulled the plug")


@pytest.fixture(params=["asyncio", "asyncio-debug", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return backend(request.param)


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
async def test_the_contract_is_kept(check: WireCheck, connected: Connected) -> None:
    left, right = connected()
    with anyio.fail_after(HANG):
        await check(await asyncio_wire(left), await asyncio_wire(right))


def tell_to(wire: Wire, told: list[object]) -> None:
    wire.start(
        lambda chunk: told.append(None if chunk is None else bytes(chunk)),
        told.append,
        lambda: None,
    )


async def test_what_comes_before_somebody_takes_it_is_kept(
    connected: Connected,
) -> None:
    """uvloop reads before it can be told not to."""
    near, far = connected()
    far.send(b"early")
    far.shutdown(socket.SHUT_WR)
    wire = await asyncio_wire(near)
    await asyncio.sleep(0.01)
    told: list[object] = []
    tell_to(wire, told)
    assert told == [], "nothing is fed within start()"
    with anyio.fail_after(HANG):
        while len(told) < 2:
            await wire.pump()
    assert told == [b"early", None]
    wire.abort()
    far.close()


@pytest.mark.parametrize("anyio_backend", ["virtual-asyncio"], indirect=True)
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda far: far.finish(), [b"early", b"later", None]),
        (lambda far: far.out.reset(RESET), [b"early", b"later", RESET]),
        (lambda far: None, [b"early", b"later"]),
    ],
)
async def test_what_an_event_loop_reads_unasked_comes_first_and_in_order(
    end: Callable[[SimulatedWire], None], expected: list[object]
) -> None:
    near, far = wire_pair(pushed=True)
    assert isinstance(near, AsyncioWire)
    near._transport.resume_reading()  # what uvloop does after connection_made()
    far.write(b"early")
    await anyio.sleep(1)
    near.hold()
    far.write(b"later")
    end(far)
    told: list[object] = []
    tell_to(near, told)
    while len(told) < len(expected):
        await near.pump()
    assert told == expected
    near.abort()
    far.abort()


@pytest.mark.parametrize("anyio_backend", ["virtual-asyncio"], indirect=True)
@pytest.mark.parametrize("end", [None, RESET])
async def test_an_end_before_somebody_takes_it_is_told_then(
    end: OSError | None,
) -> None:
    near, far = wire_pair(pushed=True)
    assert isinstance(near, AsyncioWire)
    near._transport.resume_reading()
    far.write(b"all there is")
    if end is None:
        far.finish()
    else:
        far.out.reset(end)
    await anyio.sleep(1)
    near.hold()
    near.pause()
    near.resume()
    assert near.write(b"") is (end is None)
    await near.flush()
    assert near.buffered == 0
    told: list[object] = []
    tell_to(near, told)
    while len(told) < 2:
        await near.pump()
    assert told == [b"all there is", end]
    near.abort()
    far.abort()


@pytest.mark.parametrize("anyio_backend", ["virtual-asyncio"], indirect=True)
async def test_nothing_is_told_of_a_wire_that_was_ended_before_it_began() -> None:
    near, far = wire_pair(pushed=True)
    far.write(b"unheard")
    told: list[object] = []
    near.abort()
    tell_to(near, told)
    await anyio.sleep(1)
    assert told == []
    far.abort()


async def test_draining_meets_a_reset(connected: Connected) -> None:
    near, far = connected()
    wire = await asyncio_wire(near)
    told: list[object] = []
    tell_to(wire, told)
    wire.pause()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    wire.drain(100)  # on loopback a reset is there at once
    assert [type(error) for error in told] == [ConnectionResetError]
    assert wire.write(b"over")


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
    tell_to(wire, told)
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
