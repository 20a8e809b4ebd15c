"""Scripted servers, in memory or on loopback, and the records of what they saw."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Self, cast

import anyio
from anyio.abc import TaskGroup

import wsclient
from wsclient.errors import Phase
from wsclient.protocol import Deflate, Endpoint, Role
from wsclient.testing.wires import wire_pair
from wsclient.transport import listen
from wsclient.transport.tls import TLSWire, secure
from wsclient.wire import Listener, Lost, Reached, Wire

from .peer import Peer, Script, accepts, header, resets_at_close

__all__ = ("Loopback", "Net", "Peer", "Script", "World", "accepts", "header")

LIFETIME = 100_000.0
"""Virtual seconds after which a test in memory has come to a standstill."""

HANG = 30.0
"""Real seconds after which a test on loopback has."""

FINAL = frozenset({wsclient.State.NEW, wsclient.State.CLOSED, wsclient.State.FAILED})


class World:
    """
    Servers that clients can dial: each dial meets the next script, then ``default``.

    What a script raises is raised on leaving. All clients made here must have come to
    their end by then, and at most ``most`` of their connections may have lived at once.

    """

    def __init__(
        self,
        *scripts: Script | Exception,
        default: Script | Exception = accepts,
        tls: ssl.SSLContext | None = None,
        deflate: Deflate | None = None,
        raw: bool = False,
        most: int = 1,
    ) -> None:
        self.scripts: deque[Script | Exception] = deque(scripts)
        self.default = default
        self.peers: list[Peer] = []
        self.clients: list[wsclient.Client[Any]] = []
        self.errors: list[Exception] = []
        self.tls = tls
        self._deflate = deflate
        self._raw = raw
        self._most = most
        self._news = anyio.Event()
        self._group: TaskGroup

    @property
    def peer(self) -> Peer:
        """The latest."""
        return self.peers[-1]

    async def until_peer(self, number: int) -> Peer:
        """Wait until so many have been dialled; return that one."""
        while len(self.peers) < number:
            await self._news.wait()
        return self.peers[number - 1]

    async def until_accepted(self, number: int = 1) -> Peer:
        """Wait until this peer has said 101."""
        peer = await self.until_peer(number)
        await peer.until(lambda: peer.endpoint.response)
        return peer

    def url(self, path: str = "/") -> str:
        """Where to dial."""
        raise NotImplementedError

    def _options(self) -> dict[str, Any]:
        return {}

    def client(self, url: Any = None, /, **options: Any) -> wsclient.Client[Any]:
        """Make a client of these servers whose dice always fall the same."""
        options.setdefault("random", Random(len(self.clients)))
        made: wsclient.Client[Any] = wsclient.Client(
            self.url() if url is None else url, **{**self._options(), **options}
        )
        self.clients.append(made)
        return made

    # Within.

    def _next(self) -> Script | Exception:
        return self.scripts.popleft() if self.scripts else self.default

    def _meet(self, wire: Wire, script: Script, reset: Callable[[], None]) -> None:
        endpoint = Endpoint(
            Role.SERVER,
            deflate=self._deflate,
            max_message_size=None,
            subprotocols=("chat", "trades.v1"),
        )
        secured = (
            wire if self.tls is None else TLSWire(wire, self.tls, server_side=True)
        )
        peer = Peer(
            secured, len(self.peers) + 1, endpoint, reset, below=wire, raw=self._raw
        )
        self.peers.append(peer)
        self._group.start_soon(self._play, peer, script)
        self._news.set()
        self._news = anyio.Event()

    async def _play(self, peer: Peer, script: Script) -> None:
        wire = peer.wire
        try:
            if isinstance(wire, TLSWire):
                try:
                    await wire.handshake()
                except OSError as error:  # it did not want to, or vanished
                    peer.gone(error)
                    return
            peer.start()
            wire.adopt(self._lend)
            async with anyio.create_task_group() as group:
                group.start_soon(peer.read)
                await script(peer)
        except* EOFError:
            pass  # it left in the midst of the script, as clients may
        except* Exception as group_of_errors:
            self.errors += group_of_errors.exceptions
        finally:
            wire.abort()
            peer.gone("aborted")

    def _lend(self, task: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await task()

        self._group.start_soon(run)

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._stack.enter_context(anyio.fail_after(self._patience()))
        group = anyio.create_task_group()
        self._group = await self._stack.enter_async_context(group)
        return self

    def _patience(self) -> float:
        raise NotImplementedError

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            if exc is None or isinstance(exc, Exception):
                await self._leave()
        except BaseException as error:
            self._group.cancel_scope.cancel()
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
        self._group.cancel_scope.cancel()
        if isinstance(exc, Exception):  # is not for the group, which would wrap it
            exc.add_note(f"scripts raised {self.errors}")
            await self._stack.__aexit__(None, None, None)
            return False
        swallowed = await self._stack.__aexit__(exc_type, exc, traceback)
        if exc is None:
            self.check()
        return swallowed

    async def _leave(self) -> None:
        """Do what comes before the servers end."""

    def check(self) -> None:
        """See that everything has come to its end, and every script went well."""
        for error in self.errors:
            raise error
        for client in self.clients:
            assert client.state in FINAL, client
        for peer in self.peers:
            assert not peer.faults, (peer, peer.faults)


class Net(World):
    """
    A world in memory and in virtual time.

    ``most_live`` is how many wires clients held at once, ``dials`` when each dial came.

    """

    def __init__(
        self,
        *scripts: Script | Exception,
        latency: float = 0.01,
        capacity: int = 65536,
        **options: Any,
    ) -> None:
        super().__init__(*scripts, **options)
        self.dials: list[float] = []
        self.live: set[_Watched] = set()
        self.most_live = 0
        self._latency = latency
        self._capacity = capacity

    def url(self, path: str = "/") -> str:
        return f"{'ws' if self.tls is None else 'wss'}://server.test{path}"

    def _options(self) -> dict[str, Any]:
        return {"dial": self.dial}

    def _patience(self) -> float:
        return LIFETIME

    async def dial(
        self, host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        """Open a wire to the next server, or fail as it says."""
        self.dials.append(anyio.current_time())
        reached(Phase.DNS)
        reached(Phase.TCP)
        await anyio.sleep(self._latency)
        script = self._next()
        if isinstance(script, Exception):
            raise script
        ours, theirs = wire_pair(
            latency=self._latency,
            capacity=self._capacity,
            pushed=(on_asyncio(), False),
        )

        def reset() -> None:
            theirs.out.reset()
            theirs.into.refuse(BrokenPipeError("reset"))

        self._meet(theirs, script, reset)
        watched = _Watched(ours, self.live)
        self.most_live = max(self.most_live, len(self.live))
        wire = cast(Wire, watched)
        if tls is None:
            return wire
        reached(Phase.TLS)
        return await secure(wire, tls, host=host, dialled=f"{host}:{port}")

    async def _leave(self) -> None:
        await anyio.sleep(self._latency)  # what is on its way arrives

    def check(self) -> None:
        super().check()
        assert not self.live, "a client has left a wire open"
        assert self.most_live <= self._most


class _Watched:
    """A client's wire of which the network knows whether it has ended."""

    def __init__(self, wire: Any, live: set[_Watched]) -> None:
        self._wire = wire
        self._live = live
        live.add(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def start(self, feed: Any, lost: Lost, drained: Any) -> None:
        def told(error: Exception) -> None:
            self._live.discard(self)
            lost(error)

        self._wire.start(feed, told, drained)

    def finish(self) -> None:
        self._wire.finish()
        self._live.discard(self)

    def abort(self) -> None:
        self._wire.abort()
        self._live.discard(self)

    async def aclose(self) -> None:
        try:
            await self._wire.aclose()
        finally:
            self._live.discard(self)


class Loopback(World):
    """A world of real sockets on loopback."""

    def _patience(self) -> float:
        return HANG

    def url(self, path: str = "/") -> str:
        scheme, host = ("ws", "127.0.0.1") if self.tls is None else ("wss", "localhost")
        return f"{scheme}://{host}:{self._port}{path}"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._listeners = await listen("127.0.0.1", 0)
        self._port = self._listeners[0].address[1]
        for listener in self._listeners:
            self._group.start_soon(self._accept, listener)
        return self

    async def _accept(self, listener: Listener) -> None:
        while True:
            try:
                wire, _ = await listener.accept()
            except anyio.ClosedResourceError:
                return
            script = self._next()
            assert not isinstance(script, Exception), "only a dial in memory fails so"
            self._meet(wire, script, partial(resets_at_close, wire))

    async def _leave(self) -> None:
        for listener in self._listeners:
            listener.close()


def on_asyncio() -> bool:
    """Whether this is asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
