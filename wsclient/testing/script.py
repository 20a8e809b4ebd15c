"""A server that does what a few lines say, and writes down all it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from ssl import SSLContext
from types import TracebackType
from typing import Literal, Self

import anyio

from ..protocol import Deflate, Endpoint, Role
from ..tasks import OwnedTasks
from ..transport import listen as listen_tcp
from ..wire import Listen, Listener, Wire
from .peer import Message, Peer
from .tap import lend

__all__ = (
    "Peer",
    "Script",
    "ScriptedServer",
    "accepts",
    "answers_no_pings",
    "closes",
    "drips",
    "garbage",
    "hangs_up",
    "rejects",
    "resets",
    "sends",
    "silent",
)

HEAD = b"HTTP/1.1 101 Switching"  # goes on with spaces for ever, where it drips

Script = Callable[[Peer], Awaitable[object]]
"""What a server does with one client; when it returns, the connection goes on."""


async def accepts(peer: Peer) -> None:
    """Say 101 and be there, politely."""
    await peer.accept()


async def silent(peer: Peer) -> None:
    """Take the connection and never answer the request."""
    peer.polite = False


async def answers_no_pings(peer: Peer) -> None:
    """Say 101, then answer no ping and no Close frame."""
    peer.polite = False
    await peer.accept()


def rejects(
    status: int,
    *,
    retry_after: int | str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> Script:
    """Answer the request with an HTTP status, and ``Retry-After`` if given."""
    fields = list(headers)
    if retry_after is not None:
        fields.append(("Retry-After", str(retry_after)))
    return lambda peer: peer.reject(status, fields, body)


def sends(*messages: Message) -> Script:
    """Say 101 and these messages."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(*messages)

    return script


def closes(code: int | None = 1000, reason: str = "", *, after: float = 0) -> Script:
    """Say 101, and Close ``after`` seconds; None: a Close frame without a code."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(after)
        peer.close(code, reason)

    return script


def hangs_up(*, after: float = 0) -> Script:
    """Say 101, and end TCP ``after`` seconds without a Close frame."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(after)
        peer.hang_up()

    return script


def resets(*, after: float = 0) -> Script:
    """Say 101, and break TCP ``after`` seconds."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(after)
        peer.reset()

    return script


def garbage(
    data: bytes = b"\x00\xff no frame, no HTTP", *, early: bool = False
) -> Script:
    """Say 101, or if ``early`` nothing, and then these bytes."""

    async def script(peer: Peer) -> None:
        await (peer.request() if early else peer.accept())
        peer.write(data)

    return script


def drips(data: bytes | None = None, *, every: float = 1.0) -> Script:
    """Answer with a byte ``every`` so many seconds: ``data``, or an endless head."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for drop in chain(HEAD, repeat(32)) if data is None else data:
            peer.write(bytes((drop,)))
            await anyio.sleep(every)

    return script


class ScriptedServer:
    """
    A server for tests: each connection meets the next script, then ``default``.

    ::

        async def greets(peer):
            await peer.accept()
            peer.send("hello")

        busy = rejects(503, retry_after=5)
        async with ScriptedServer(busy, default=greets) as server:
            async with Client(server.url()) as client:
                assert await client.recv() == "hello"
        assert [peer.number for peer in server.peers] == [1, 2]

    Leaving ends all connections; what was recorded stays. A script that raises resets
    its connection. The first error is raised on leaving and the others are its notes,
    never as a group; if the body raised, all are notes of what it raised.

    Args:
        scripts: one for each connection, in the order they come.
        default: for those that come later.
        host, port: where to listen; port 0 takes a free one.
        listen: what to listen with: :attr:`Host.listen` of a simulated network; None:
            real sockets.
        tls: an ``ssl.SSLContext`` with the server's certificate.
        subprotocols: those it would speak; ``accept(subprotocol=...)`` says one.
        deflate: compression it agrees to; None: none.
        raw: speak no WebSocket at all: what comes is only kept in :attr:`Peer.raw`.

    Attributes:
        scripts: those that are still to come; change it at any time.
        default: the script after these.
        peers: every connection there was.
        errors: what scripts raised.

    """

    def __init__(
        self,
        *scripts: Script,
        default: Script = accepts,
        host: str = "127.0.0.1",
        port: int = 0,
        listen: Listen | None = None,
        tls: SSLContext | None = None,
        subprotocols: Sequence[str] = (),
        deflate: Deflate | None = None,
        raw: bool = False,
    ) -> None:
        self.scripts = deque(scripts)
        self.default = default
        self.peers: list[Peer] = []
        self.errors: list[Exception] = []
        self._host = host
        self._port = port
        self._listen: Listen = listen or listen_tcp
        self._listeners: Sequence[Listener] = ()
        self._tls = tls
        self._subprotocols = tuple(subprotocols)
        self._deflate = deflate
        self._raw = raw
        self._dropped: int | None = None
        self._news = anyio.Event()
        self._tasks = OwnedTasks(self._failed)

    # What a test asks for.

    def url(self, path: str = "/") -> str:
        """
        Where to dial it.

        Raises:
            RuntimeError: it has no port yet.

        """
        if not self._port:
            raise RuntimeError("its port is not known before `async with server:`")
        scheme, usual = ("ws", 80) if self._tls is None else ("wss", 443)
        host = f"[{self._host}]" if ":" in self._host else self._host
        port = "" if self._port == usual else f":{self._port}"
        return f"{scheme}://{host}{port}{path}"

    @property
    def peer(self) -> Peer:
        """
        The latest connection.

        Raises:
            LookupError: nobody has come.

        """
        if not self.peers:
            raise LookupError("nobody has come yet: `await server.until_peer(1)`")
        return self.peers[-1]

    async def until_peer(self, number: int) -> Peer:
        """Wait until so many have come; return that one."""
        while len(self.peers) < number:
            await self._news.wait()
        return self.peers[number - 1]

    async def until_accepted(self, number: int = 1) -> Peer:
        """
        Wait until this one has got its 101; return it.

        Raises:
            AssertionError: it ended without one.

        """
        peer = await self.until_peer(number)
        await peer.until(lambda: peer.endpoint.response or peer.ended)
        if peer.endpoint.response is None:
            raise AssertionError(f"{peer!r} ended without a 101")
        return peer

    def drop(self, how: Literal["reset", "hang_up", "vanish"] = "reset") -> None:
        """Drop every connection now, with that verb of :class:`Peer`."""
        self._dropped = len(self.peers)
        for peer in self.peers:
            if peer.ended is None:
                getattr(peer, how)()

    async def resubscribed(self, *messages: Message, within: float = 60.0) -> Peer:
        """
        Wait until a client came back and said all this again; return its connection.

        It is one that came after the last :meth:`drop`, or else after this call. It
        says these messages in this order, each once; others may stand between.

        Raises:
            AssertionError: that did not happen ``within`` so many seconds, or it said
                something twice.

        """
        before = len(self.peers) if self._dropped is None else self._dropped
        self._dropped = None
        with anyio.move_on_after(within):
            while True:
                peer = await self.until_peer(before + 1)
                while not (said := _said(peer, messages)) and peer.ended is None:
                    await peer.until_news()
                if said:
                    return peer
                before += 1
        come = self.peers[before:]
        heard = f"{come[-1]!r} said {come[-1].messages}" if come else "nobody came"
        raise AssertionError(
            f"not resubscribed within {within} s: {heard}, not {list(messages)}"
        )

    # Within.

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        try:
            self._listeners = await self._listen(self._host, self._port)
        except BaseException as error:
            await self._tasks.__aexit__(type(error), error, error.__traceback__)
            raise
        self._port = self._listeners[0].address[1]
        for listener in self._listeners:
            self._tasks.start_soon(partial(self._accept, listener))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for listener in self._listeners:
            listener.close()
        await self._tasks.__aexit__(exc_type, exc, traceback)
        if self.errors and exc is None:
            first, *others = self.errors
            for other in others:
                first.add_note(f"a script also raised {other!r}")
            raise first
        if isinstance(exc, Exception):
            for error in self.errors:
                exc.add_note(f"a script of the server raised {error!r}")

    async def _accept(self, listener: Listener) -> None:
        while True:
            try:
                wire, _ = await listener.accept()
            except anyio.ClosedResourceError:
                return
            script = self.scripts.popleft() if self.scripts else self.default
            peer = self._meet(wire)
            self._tasks.start_soon(partial(self._play, peer, script))

    def _meet(self, wire: Wire) -> Peer:
        endpoint = Endpoint(
            Role.SERVER,
            deflate=self._deflate,
            max_message_size=None,
            subprotocols=self._subprotocols,
        )
        secured = wire
        if self._tls is not None:
            from ..transport.tls import TLSWire  # plain wires need no ssl

            secured = TLSWire(wire, self._tls, server_side=True)
        number = len(self.peers) + 1
        peer = Peer(secured, number, endpoint, below=wire, raw=self._raw)
        self.peers.append(peer)
        self._news.set()
        self._news = anyio.Event()
        return peer

    async def _play(self, peer: Peer, script: Script) -> None:
        try:
            handshake = getattr(peer.wire, "handshake", None)
            if handshake is not None:
                try:
                    await handshake()
                except OSError as error:  # it did not want to, or vanished
                    peer.gone(error)
                    return
            peer.start()
            async with anyio.create_task_group() as group:
                peer.wire.adopt(lend(group))
                group.start_soon(peer.read)
                await self._perform(peer, script)
        finally:
            peer.wire.abort()
            peer.gone("aborted")

    async def _perform(self, peer: Peer, script: Script) -> None:
        try:
            await script(peer)
        except Exception as error:  # noqa: BLE001 - raised on leaving
            gone = peer.ended is not None or peer.closed_at is not None
            for leaf in _leaves(error):
                if gone and isinstance(leaf, EOFError):
                    continue  # it left in the midst of the script, as clients may
                self._failed(leaf)
                peer.reset()

    def _failed(self, error: Exception) -> None:
        self.errors.append(error)


def _leaves(error: Exception) -> Iterator[Exception]:
    """What was raised, out of its groups: a script may have tasks of its own."""
    if isinstance(error, ExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _said(peer: Peer, messages: Sequence[Message]) -> bool:
    """Whether it said all these, in this order, each once."""
    said = [message for message in peer.messages if message in messages]
    for message in messages:
        assert said.count(message) <= messages.count(message), (
            f"{peer!r} said {message!r} {said.count(message)} times"
        )
    return said == list(messages)
