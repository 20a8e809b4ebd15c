"""Any byte stream as a wire, and any wire as a byte stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint

from wsclient.tasks import OwnedTasks
from wsclient.testing.contract import (
    WIRE_CHECKS,
    WireCheck,
    drain_feeds_what_is_readable_even_while_paused,
    last_words_come_before_a_failed_write_is_told,
)
from wsclient.testing.tap import lend
from wsclient.testing.wires import wire_pair
from wsclient.transport.stream import StreamWire, WireStream

from .conftest import HANG, virtual

CHECKS = [
    check
    for check in WIRE_CHECKS
    if check is not drain_feeds_what_is_readable_even_while_paused
]


class MemoryStream(ByteStream):
    """One end of a byte stream in memory, as anyio's own object streams make it."""

    def __init__(self, send: Any, receive: Any) -> None:
        self._send = send
        self._receive = receive
        self._rest = b""

    @property
    def extra_attributes(self) -> Mapping[Any, Any]:
        return {SocketAttribute.remote_port: lambda: 443}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._rest:
            self._rest = await self._receive.receive()
        data, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return data

    async def send(self, item: bytes) -> None:
        await self._send.send(item)

    async def send_eof(self) -> None:
        self._send.close()

    async def aclose(self) -> None:
        self._send.close()
        self._receive.close()
        await anyio.lowlevel.checkpoint()


def memory_streams() -> tuple[ByteStream, ByteStream]:
    there = anyio.create_memory_object_stream[bytes](0)
    back = anyio.create_memory_object_stream[bytes](0)
    return MemoryStream(there[0], back[1]), MemoryStream(back[0], there[1])


@virtual
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_the_contract_is_kept_over_memory(check: WireCheck) -> None:
    left, right = memory_streams()
    await check(StreamWire(left), StreamWire(right))


@asynccontextmanager
async def socket_streams() -> AsyncIterator[tuple[ByteStream, ByteStream]]:
    send, receive = anyio.create_memory_object_stream[ByteStream](1)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
        send,
        receive,
    ):
        group.start_soon(listener.serve, send.send)
        port = listener.extra(SocketAttribute.local_port)
        left = await anyio.connect_tcp("127.0.0.1", port)
        right = await receive.receive()
        # anyio's accepted streams read without bound until a receive() has waited.
        group.start_soon(left.send, b".")
        assert await right.receive() == b"."
        yield left, right
        await anyio.aclose_forcefully(left)
        await anyio.aclose_forcefully(right)
        group.cancel_scope.cancel()


# On asyncio, anyio's own stream drops what it has not read when a send fails.
KEPT_BY_ANYIO = [
    check
    for check in CHECKS
    if check is not last_words_come_before_a_failed_write_is_told
]


@pytest.mark.real
@pytest.mark.parametrize("check", KEPT_BY_ANYIO, ids=lambda check: str(check.__name__))
async def test_the_contract_is_kept_over_sockets(check: WireCheck) -> None:
    with anyio.fail_after(HANG):
        async with socket_streams() as (left, right):
            await check(StreamWire(left), StreamWire(right))


@virtual
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
async def test_a_wire_shown_as_a_stream_and_taken_as_a_wire_is_a_wire(
    check: WireCheck,
) -> None:
    left, right = wire_pair()
    await check(StreamWire(WireStream(left)), StreamWire(WireStream(right)))


@virtual
async def test_a_send_cut_short_before_adoption_ends_the_wire() -> None:
    """Nobody knows how much of it has left; going on would tear a frame."""
    left, right = memory_streams()
    wire = StreamWire(left)
    told: list[Exception] = []
    wire.start(lambda chunk: None, told.append, lambda: None)
    wire.write(b"half")
    with anyio.move_on_after(1) as scope:
        await wire.flush()
    assert scope.cancelled_caught
    await wire.flush()
    assert [type(error) for error in told] == [ConnectionAbortedError]
    await right.aclose()


@virtual
@pytest.mark.parametrize("begun", [False, True])
async def test_what_finish_has_to_send_is_sent_though_its_tasks_are_ended(
    begun: bool,
) -> None:
    left, right = wire_pair(capacity=3)
    wire, other = StreamWire(WireStream(left)), WireStream(right)
    wire.start(lambda chunk: None, print, lambda: None)
    heard = bytearray()

    async def hear() -> None:
        with suppress(anyio.EndOfStream):
            while True:
                heard.extend(await other.receive())

    async with anyio.create_task_group() as group:
        group.start_soon(hear)
        async with OwnedTasks(print) as tasks:
            wire.adopt(tasks.start_soon)
            wire.write(b"the last words")
            if begun:
                await checkpoint()
            wire.finish()
    assert heard == b"the last words"
    await other.aclose()


@virtual
async def test_a_wire_as_a_stream_receives_sends_and_ends() -> None:
    left, right = wire_pair(latency=0.1)
    with_left, with_right = WireStream(left), WireStream(right)
    await with_left.send(b"hello")
    assert await with_right.receive(3) == b"hel"
    assert await with_right.receive() == b"lo"
    assert with_right.extra(SocketAttribute.remote_port) == 40_000
    await with_left.aclose()
    with pytest.raises(anyio.EndOfStream):
        await with_right.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await with_left.send(b"more")
    with pytest.raises(anyio.ClosedResourceError):
        await with_left.send_eof()
    await with_right.aclose()


@virtual
async def test_a_wire_as_a_stream_ends_one_direction_alone() -> None:
    left, right = wire_pair(latency=0.1)
    with_left, with_right = WireStream(left), WireStream(right)
    await with_left.send(b"last")
    await with_left.send_eof()
    await with_left.send_eof()
    assert await with_right.receive() == b"last"
    with pytest.raises(anyio.EndOfStream):
        await with_right.receive()
    await with_right.send(b"answer")
    assert await with_left.receive() == b"answer"
    await with_right.aclose()
    with pytest.raises(anyio.EndOfStream):
        await with_left.receive()
    await with_left.aclose()


@virtual
async def test_before_there_are_tasks_nobody_says_the_end_alone() -> None:
    left, right = memory_streams()
    wire = StreamWire(left)
    wire.start(lambda chunk: None, lambda error: None, lambda: None)
    wire.shutdown()
    with anyio.move_on_after(1) as scope:
        await right.receive()
    assert scope.cancelled_caught
    await wire.aclose()
    await right.aclose()


@virtual
async def test_a_wire_as_a_stream_tells_its_loss_with_the_cause() -> None:
    left, right = wire_pair()
    stream = WireStream(left)
    right.out.reset()
    with pytest.raises(anyio.BrokenResourceError) as caught:
        await stream.receive()
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    with pytest.raises(anyio.BrokenResourceError):
        await stream.send(b"more")
    await stream.aclose()
    right.abort()


@virtual
async def test_a_wire_as_a_stream_reads_no_more_than_it_can_hold() -> None:
    left, right = wire_pair()
    stream = WireStream(right)
    left.start(lambda chunk: None, print, lambda: None)
    async with anyio.create_task_group() as group:
        left.adopt(lend(group))
        left.write(bytes(1_000_000))
        received = 0
        while received < 1_000_000:
            received += len(await stream.receive(1000))
            assert left.buffered + received + 3 * 65536 + 1000 >= 1_000_000
        left.abort()
    await stream.aclose()


@virtual
async def test_what_was_received_while_paused_is_held_until_it_is_wanted() -> None:
    left, right = memory_streams()
    wire = StreamWire(left)
    told: list[bytes] = []
    wire.start(lambda chunk: told.append(bytes(chunk or b"")), print, lambda: None)
    async with anyio.create_task_group() as group:
        releases: list[Callable[[], None]] = [wire.resume, lambda: wire.drain(100)]
        for number, release in enumerate(releases):
            group.start_soon(wire.pump)
            await anyio.wait_all_tasks_blocked()
            wire.pause()
            await right.send(b"held")
            await anyio.wait_all_tasks_blocked()
            assert len(told) == number
            release()
            await anyio.wait_all_tasks_blocked()
            assert told == [b"held"] * (number + 1)
            wire.resume()
        wire.abort()
    await wire.aclose()
    await right.aclose()


@virtual
async def test_a_failed_send_is_told_after_what_the_reader_still_gets() -> None:
    """Whoever is in pump() reads on; the task that tells waits for it, but not long."""
    there = anyio.create_memory_object_stream[bytes](0)
    back = anyio.create_memory_object_stream[bytes](0)
    wire = StreamWire(MemoryStream(there[0], back[1]))
    told: list[object] = []
    wire.start(lambda chunk: told.append(bytes(chunk or b"")), told.append, print)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        wire.adopt(lend(group))
        group.start_soon(wire.pump)
        await anyio.wait_all_tasks_blocked()
        there[1].close()
        wire.write(b"unheard")
        await anyio.sleep(0.5)
        await back[0].send(b"last words")
        back[0].close()
    assert told[0] == b"last words"
    assert told[1] == b"", "the peer's own EOF came before the loss was told"
    assert anyio.current_time() - started <= 2


@virtual
async def test_finishing_does_not_wait_long_for_a_peer_that_does_not_read() -> None:
    left, right = memory_streams()
    wire = StreamWire(left)
    wire.start(lambda chunk: None, print, print)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        wire.adopt(lend(group))
        wire.write(b"never taken")
        wire.finish()
    assert anyio.current_time() - started == pytest.approx(1)
    with pytest.raises(anyio.EndOfStream):
        await right.receive()
    await right.aclose()


@virtual
async def test_a_stream_wire_has_no_timers() -> None:
    left, right = memory_streams()
    wire = StreamWire(left)
    with pytest.raises(RuntimeError, match="no timers"):
        wire.call_at(1.0, lambda: None)
    assert wire.extra_attributes[SocketAttribute.remote_port]() == 443
    await wire.aclose()
    await right.aclose()
