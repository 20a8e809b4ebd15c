"""Two real connections with each other over any wire, and the network between them."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random
from typing import Any, cast

import anyio
import trio
from anyio.lowlevel import checkpoint
from trio._core import _run

import wsclient
from wsclient.connection import Connection, Timeouts
from wsclient.errors import ConnectError, LocalProtocolError, Phase
from wsclient.protocol import Deflate, Endpoint, Limits, Role
from wsclient.testing.pipe import Pipe
from wsclient.testing.wires import wire_pair
from wsclient.transport.stream import StreamWire, WireStream
from wsclient.transport.tls import TLSWire, secure
from wsclient.wire import Reached, Wire

from .peer import Certificates, latest
from .records import Recorder
from .sides import Side

__all__ = (
    "DEFLATE",
    "STACKS",
    "Part",
    "Script",
    "Simulated",
    "Stack",
    "Talk",
    "alive",
    "same_dice",
)

DEFLATE = Deflate(threshold=40)
"""Long messages are compressed, short ones are not."""

ALL = os.environ.get("WSCLIENT_SWEEP") == "all"
"""Whether to try all faults at all bytes on all wires; it takes an hour."""

OPEN_TIMEOUT = 10.0

HANG = 10_000
"""Virtual seconds after which something hangs."""

SOON = 3
"""Turns of the event loop in which asyncio's transports close."""

Script = Callable[[Side], Awaitable[None]]
"""What one side does with its open connection."""

MakeWire = Callable[[], Awaitable[Wire]]

Part = Callable[[], Coroutine[Any, Any, object]]
"""What one of those does who take part in a talk."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What stands between a connection and its network."""

    stream: bool = False
    tls: bool = False

    def __str__(self) -> str:
        return ("tls-" if self.tls else "") + ("stream" if self.stream else "own")


STACKS = [Stack(), Stack(stream=True), Stack(tls=True), Stack(stream=True, tls=True)]


class Talk(ABC):
    """
    A client and a server that talk over two wires, opened as users open them.

    Args:
        near, far: make the wire of the client and that of the server.
        certificates: for TLS over these.
        kernels: what the kernel of each side has, if that can be seen.
        hang: seconds after which something hangs.
        refuses: whether the server says 403.

    """

    def __init__(
        self,
        near: MakeWire,
        far: MakeWire,
        certificates: Certificates | None = None,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
        kernels: tuple[Pipe, Pipe] | tuple[None, None] = (None, None),
        hang: float = HANG,
        refuses: bool = False,
    ) -> None:
        self._near = near
        self._far = far
        self._certificates = certificates
        self._timeouts = timeouts
        self._limits = limits
        self._hang = hang
        self._refuses = refuses
        self.client = Side(Role.CLIENT, timeouts, kernels[0])
        self.server = Side(Role.SERVER, timeouts, kernels[1])

    async def run(self, *parts: Part) -> None:
        """
        Let them run side by side; nothing may hang or be left.

        The parts are usually :meth:`connect` and :meth:`serve`, each with its script.

        """
        before = alive()
        with anyio.fail_after(self._hang):
            async with anyio.create_task_group() as group:
                for part in parts:
                    group.start_soon(part)
            for side in (self.client, self.server):
                if side.ws is not None:
                    await side.recv_all()  # what is left in its queue
            for _ in range(SOON):
                await checkpoint()
        assert alive() == before, "a task or a timer was left"
        assert self.closed, "a socket was left open"

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether no socket is open any more."""

    def judge(self) -> None:
        """Hold both sides to what went over their wires."""
        for side, other in (self.client, self.server), (self.server, self.client):
            if side.tap is not None and other.tap is not None:
                fed = bytes(side.tap.fed)
                assert other.tap.written.startswith(fed), "other bytes than were sent"
            side.judge(other)

    async def connect(self, script: Script) -> None:
        """Open it as a client, play the script, leave."""
        scheme = "wss" if self._certificates else "ws"
        times = self._timeouts
        side = self.client
        connecting = wsclient.connect(
            f"{scheme}://example.com/",
            user_agent=None,
            tls=self._certificates.client if self._certificates else None,
            compression=DEFLATE,
            open_timeout=OPEN_TIMEOUT,
            close_timeout=times.close_timeout,
            ping_interval=times.ping_interval,
            ping_timeout=times.ping_timeout,
            write_timeout=times.write_timeout,
            slow_timeout=times.slow_timeout,
            limits=self._limits,
            dial=self._dial,
            random=Random(1),
        )
        try:
            async with connecting as side.ws:
                await script(side)
                side.leaves()
        except ConnectError as error:
            side.failed = error

    async def _dial(
        self, host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        wire = await self._near()
        if tls is not None:
            reached(Phase.TLS)
            wire = await secure(wire, tls, host=host, dialled=host)
        tap = self.client.tap = Recorder(wire)
        return tap

    async def serve(self, script: Script) -> None:
        """Receive a client, play the script, leave."""
        side = self.server
        wire = await self._far()
        try:
            side.ws = await self._receive(wire)
            if side.ws is not None:
                async with side.ws:
                    await script(side)
                    side.leaves()
        finally:
            await _end(side.tap or wire)
            await _end(wire)

    async def _receive(self, wire: Wire) -> Connection | None:
        """Do the opening handshake of a server; None: it came to nothing."""
        with anyio.move_on_after(OPEN_TIMEOUT), suppress(OSError, LocalProtocolError):
            if self._certificates is not None:
                secured = TLSWire(wire, self._certificates.server, server_side=True)
                await secured.handshake()
                wire = secured
            self.server.tap = Recorder(wire)
            connection = self._connection_over(self.server.tap)
            if await connection.receive_request() is None:
                return None
            if not self._refuses:
                await connection.accept(None)
                return connection
            await connection.reject(403, body=b"no entry")
        return None

    def _connection_over(self, wire: Wire) -> Connection:
        endpoint = Endpoint(
            Role.SERVER,
            limits=self._limits,
            deflate=DEFLATE,
            random=Random(2).randbytes,
        )
        return Connection(
            wire,
            endpoint,
            host="client",
            timeouts=self._timeouts,
            limits=self._limits,
            uniform=latest,
            name="server",
        )


class Simulated(Talk):
    """
    A talk on a simulated network.

    ``up`` is the pipe from the client to the server, ``down`` the one back.

    """

    def __init__(
        self,
        stack: Stack,
        pushed: bool,
        certificates: Certificates,
        *,
        latency: float = 0.01,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
        refuses: bool = False,
    ) -> None:
        left, right = self._wires = wire_pair(latency=latency, pushed=pushed)
        self.stack = stack
        self.up: Pipe = left.out
        self.down: Pipe = right.out
        super().__init__(
            partial(self._over, left),
            partial(self._over, right),
            certificates if stack.tls else None,
            timeouts=timeouts,
            limits=limits,
            kernels=(self.up, self.down) if stack == Stack() else (None, None),
            refuses=refuses,
        )

    async def _over(self, wire: Wire) -> Wire:
        return StreamWire(WireStream(wire)) if self.stack.stream else wire

    @property
    def closed(self) -> bool:
        return all(cast("_Closes", wire)._sock.closed for wire in self._wires)


def alive() -> tuple[int, int]:
    """Return how many tasks there are, and timers that will ring."""
    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        statistics = trio.lowlevel.current_statistics()
        return statistics.tasks_living, statistics.seconds_to_next_deadline < inf
    timers = getattr(loop, "_scheduled", [])  # uvloop does not tell
    return len(asyncio.all_tasks()), sum(not timer.cancelled() for timer in timers)


def same_dice(seed: int) -> None:
    """Let trio run tasks in the same order each time, as asyncio does anyway."""
    _run._r.seed(seed)


async def _end(wire: Wire) -> None:
    """End it, also one that nobody has lent tasks to."""
    wire.abort()
    with anyio.CancelScope(shield=True):
        await wire.aclose()


class _Closes:
    """What the simulated wires keep to themselves."""

    class _Socket:
        closed: bool

    _sock: _Socket
