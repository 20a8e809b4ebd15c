"""Scripted servers, in memory or on loopback, and what must hold when they are left."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Self

import anyio

import wsclient
from wsclient.errors import Phase
from wsclient.protocol import Request
from wsclient.testing import Network, Peer, ScriptedServer, accepts
from wsclient.testing.script import Script
from wsclient.wire import Reached, Wire

__all__ = ("Loopback", "Net", "Peer", "Script", "World", "accepts", "header")

LIFETIME = 100_000.0
"""Virtual seconds after which a test in memory has come to a standstill."""

HANG = 30.0
"""Real seconds after which a test on loopback has."""

FINAL = frozenset({wsclient.State.NEW, wsclient.State.CLOSED, wsclient.State.FAILED})


def header(request: Request, name: str) -> str | None:
    """The value of a header as the server got it."""
    return dict(request.headers).get(name.lower())


@dataclass(frozen=True, slots=True)
class _Unreached:
    """The script of a dial that fails before it comes to the server."""

    error: Exception

    async def __call__(self, peer: Peer) -> None:
        raise AssertionError(f"only a dial in memory fails with {self.error!r}")


class World(ScriptedServer):
    """
    A scripted server, and clients of it that are held to their promises on leaving.

    All clients made here must have come to their end by then, and the server must have
    found no fault with what they said.

    """

    patience: float

    def __init__(
        self,
        *scripts: Script | Exception,
        default: Script | Exception = accepts,
        most: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(
            *map(_playable, scripts),
            default=_playable(default),
            subprotocols=("chat", "trades.v1"),
            **options,
        )
        self.clients: list[wsclient.Client[Any]] = []
        self.most = most

    def _options(self) -> dict[str, Any]:
        return {}

    def client(self, url: Any = None, /, **options: Any) -> wsclient.Client[Any]:
        """Make a client of this server whose dice always fall the same."""
        options.setdefault("random", Random(len(self.clients)))
        made: wsclient.Client[Any] = wsclient.Client(
            self.url() if url is None else url, **{**self._options(), **options}
        )
        self.clients.append(made)
        return made

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(anyio.fail_after(self.patience))
            await super().__aenter__()
            stack.push_async_exit(super().__aexit__)
            stack.push_async_callback(self._settle)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(exc_type, exc, traceback)
        if exc is None:
            self.check()

    async def _settle(self) -> None:
        """Do what comes before the server ends."""

    def check(self) -> None:
        """See that everything has come to its end."""
        for client in self.clients:
            assert client.state in FINAL, client
        for peer in self.peers:
            assert not peer.faults, (peer, peer.faults)


class Net(World):
    """
    A world in memory and in virtual time.

    No wire may be left open there, and at most ``most`` may have been open at once.

    Attributes:
        dials: when each dial came.
        wires: what each dial that came through was given.

    """

    patience = LIFETIME

    def __init__(
        self,
        *scripts: Script | Exception,
        host: str = "server.test",
        latency: float = 0.01,
        capacity: int = 65536,
        **options: Any,
    ) -> None:
        self.network = Network(latency=(latency, latency), capacity=capacity)
        options.setdefault("port", 80 if options.get("tls") is None else 443)
        listen = self.network.host(host).listen
        super().__init__(*scripts, host=host, listen=listen, **options)
        self.dials: list[float] = []
        self.wires: list[Wire] = []
        self._latency = latency

    def _options(self) -> dict[str, Any]:
        return {"dial": self.dial}

    async def dial(
        self, host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        """Open a wire to the server, or fail as its next script says."""
        self.dials.append(anyio.current_time())
        script = self.scripts[0] if self.scripts else self.default
        if isinstance(script, _Unreached):
            if self.scripts:
                self.scripts.popleft()
            reached(Phase.TCP)
            await anyio.sleep(self._latency)
            raise script.error
        wire = await self.network.dial(host, port, tls=tls, reached=reached)
        self.wires.append(wire)
        return wire

    async def _settle(self) -> None:
        await anyio.sleep(self._latency)  # what is on its way arrives

    def check(self) -> None:
        super().check()
        assert not self.network.live, "a client has left a wire open"
        assert self.network.most_live <= self.most


class Loopback(World):
    """A world of real sockets on loopback."""

    patience = HANG

    def __init__(self, *scripts: Script | Exception, **options: Any) -> None:
        # A certificate stands for the name, not for the address behind it.
        host = "127.0.0.1" if options.get("tls") is None else "localhost"
        super().__init__(*scripts, host=host, **options)


def _playable(script: Script | Exception) -> Script:
    return _Unreached(script) if isinstance(script, Exception) else script
