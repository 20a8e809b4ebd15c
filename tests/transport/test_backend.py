"""Which wire a socket gets."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest
from anyio.abc import SocketAttribute

from wsclient.testing.tap import Tap
from wsclient.transport.backend import wire_of

from .conftest import HANG, Connected


@pytest.mark.real
async def test_a_socket_gets_the_wire_of_the_event_loop_that_runs(
    connected: Connected, anyio_backend_name: str
) -> None:
    near, far = connected()
    wire = await wire_of(near)
    assert wire.pulled == (anyio_backend_name == "trio")
    wire.abort()
    far.close()
    for _ in range(3):  # uvloop closes it in the next turn of the loop
        await anyio.lowlevel.checkpoint()
    assert near.fileno() == -1


@pytest.mark.real
async def test_a_wire_tells_its_addresses_also_after_its_end(
    connected: Connected,
) -> None:
    near, far = connected()
    here, there = near.getsockname(), near.getpeername()
    wire = await wire_of(near)
    far.close()
    with anyio.fail_after(HANG):
        await wire.aclose()
    attributes = wire.extra_attributes
    assert attributes[SocketAttribute.local_address]() == here
    assert attributes[SocketAttribute.remote_address]() == there
    assert attributes[SocketAttribute.remote_port]() == there[1]
    assert attributes[SocketAttribute.raw_socket]() is near


@pytest.mark.real
async def test_a_widened_wire_reads_at_once_what_has_come(
    connected: Connected,
) -> None:
    near, far = connected()
    sent = far.send(bytes(150_000))
    assert sent > 65536
    wire = await wire_of(near)
    wire.widen(True)
    async with anyio.create_task_group() as group:
        tap = Tap(wire, group)
        with anyio.fail_after(HANG):
            await tap.until(lambda: len(tap.received) == sent)
        assert tap.largest > 65536
        tap.closed_here = True
        wire.abort()
    far.close()


@pytest.mark.parametrize("module", ["trio", "ssl", "asyncio"])
def test_importing_the_room_does_not_load_what_one_may_not_need(module: str) -> None:
    code = f"import sys, wsclient.transport; assert {module!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
