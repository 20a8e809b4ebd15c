"""Real sockets whose network fails at every byte of a conversation."""

from __future__ import annotations

import importlib.util
import socket
import struct
from enum import Enum
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream, TaskGroup
from anyio.lowlevel import checkpoint

from wsclient.errors import ConnectionClosed
from wsclient.transport import wire_of
from wsclient.transport.sockets import tune
from wsclient.transport.stream import StreamWire
from wsclient.wire import Wire

from .peer import Certificates
from .sides import Side
from .talk import ALL, STACKS, Stack, Talk

pytestmark = pytest.mark.real

HANG = 30.0
"""Real seconds after which something hangs."""

STALLED = 20
"""Turns of the event loop that a stall lasts."""

SAID = 2

BACKENDS: dict[str, Any] = {"asyncio": "asyncio", "trio": "trio"}
if importlib.util.find_spec("uvloop") is not None:
    BACKENDS["uvloop"] = ("asyncio", {"use_uvloop": True})


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def anyio_backend(backend: str) -> Any:
    return BACKENDS[backend]


class Fault(Enum):
    """What somebody between does at a byte."""

    EOF = "an end"
    RESET = "a reset of both"
    STALL = "a stall that heals"


class Relay:
    """
    Somebody between who carries bytes both ways, and fails at one of them.

    Args:
        near, far: his two sockets.
        up: whether bytes from the near one are counted, or those from the far one.
        count: how many are carried before the fault.
        fault: None is none.

    """

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket,
        up: bool,
        count: int,
        fault: Fault | None,
    ) -> None:
        self._sockets = near, far
        self._up = up
        self._count = count
        self._fault = fault
        self.carried = [0, 0]

    async def run(self) -> None:
        near, far = self._sockets
        with near, far:
            async with anyio.create_task_group() as group:
                group.start_soon(self._carry, near, far, self._up, group)
                group.start_soon(self._carry, far, near, not self._up, group)

    async def _carry(
        self, source: socket.socket, sink: socket.socket, fails: bool, group: TaskGroup
    ) -> None:
        try:
            left = self._count if fails and self._fault is not None else -1
            while True:
                if not left:
                    left = -1
                    if not await self._strike(source, sink, group):
                        return
                await anyio.wait_readable(source)
                data = source.recv(left if left > 0 else 65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                left -= min(len(data), max(left, 0))
                self.carried[sink is self._sockets[0]] += len(data)
                while data:
                    await anyio.wait_writable(sink)
                    data = data[sink.send(data) :]
        except OSError:  # one of them has gone
            self._break_off(group)

    async def _strike(
        self, source: socket.socket, sink: socket.socket, group: TaskGroup
    ) -> bool:
        """Do it; return whether anything is carried after it."""
        match self._fault:
            case Fault.EOF:
                sink.shutdown(socket.SHUT_WR)
                data = b"?"
                while data:
                    await anyio.wait_readable(source)
                    data = source.recv(65536)  # and nobody gets it
            case Fault.RESET:
                self._break_off(group)
            case _:
                for _ in range(STALLED):
                    await checkpoint()
                return True
        return False

    def _break_off(self, group: TaskGroup) -> None:
        for sock in self._sockets:
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        group.cancel_scope.cancel()


class OnSockets(Talk):
    """A talk over loopback, through a relay."""

    def __init__(
        self,
        listener: socket.socket,
        stack: Stack,
        certificates: Certificates,
        *,
        up: bool = True,
        count: int = 0,
        fault: Fault | None = None,
    ) -> None:
        self.stack = stack
        near, between_near = _connected(listener)
        between_far, far = _connected(listener)
        self._ends = near, far
        self.relay = Relay(between_near, between_far, up, count, fault)
        super().__init__(
            partial(self._wire, near),
            partial(self._wire, far),
            certificates if stack.tls else None,
            hang=HANG,
        )

    async def _wire(self, sock: socket.socket) -> Wire:
        if self.stack.stream:
            return StreamWire(await SocketStream.from_socket(sock))
        return await wire_of(sock)

    @property
    def closed(self) -> bool:
        return all(end.fileno() < 0 for end in self._ends)


def _connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    pair = socket.create_connection(listener.getsockname()), listener.accept()[0]
    for sock in pair:
        tune(sock)
    return pair


async def says(side: Side) -> None:
    tag = side.role.value[0]
    await side.send(f"{tag}1")
    await side.send(f"{tag}23", [tag, "2", "3"])


async def leaves(side: Side) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(side.recv_until, lambda: len(side.received) >= SAID)
        await says(side)


async def stays(side: Side) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(side.recv_all)
        await says(side)


async def talked(talk: OnSockets) -> None:
    await talk.run(
        partial(talk.connect, leaves), partial(talk.serve, stays), talk.relay.run
    )
    talk.judge()


def all_is_well(talk: Talk) -> None:
    for side in (talk.client, talk.server):
        assert isinstance(side.live.ended, ConnectionClosed)
        assert len(side.received) == SAID


def faults_at(count: int, stack: Stack, backend: str) -> list[Fault]:
    """
    Choose what happens at a byte, unless it is everything.

    Without TLS each byte has each fault on one kind of wire; with TLS every third byte
    has one of them on one.

    """
    if ALL:
        return list(Fault)
    kinds = [(name, stream) for name in BACKENDS for stream in (False, True)]
    turn = count + kinds.index((backend, stack.stream))
    stride = 3 * len(kinds) if stack.tls else len(kinds) // 3
    return [] if turn % stride else [list(Fault)[turn // stride % 3]]


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize("stack", STACKS, ids=str)
async def test_a_fault_at_any_byte_is_told_as_it_is_on_real_sockets(
    backend: str, stack: Stack, up: bool, certificates: Certificates
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = partial(OnSockets, listener, stack, certificates)
        talk = start()
        await talked(talk)
        whole = talk.relay.carried[not up]
        for count in range(whole):
            for fault in faults_at(count, stack, backend):
                talk = start(up=up, count=count, fault=fault)
                try:
                    await talked(talk)
                    if fault is Fault.STALL:
                        all_is_well(talk)
                    elif fault is Fault.EOF and not stack.tls:
                        reader = talk.server if up else talk.client
                        assert reader.tap is not None
                        assert len(reader.tap.fed) == count
                except BaseException as error:
                    error.add_note(f"{fault.value}, at byte {count}")
                    raise
