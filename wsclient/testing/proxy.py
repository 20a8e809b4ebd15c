"""A real fault proxy: TCP between any client and any server, and all that breaks it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from random import Random
from types import TracebackType
from typing import Self

import anyio

from ..tasks import OwnedTasks
from ..transport.listen import SocketListener, listen
from ..transport.sockets import BUFFER_SIZE, Address, authority, plain, tune
from .link import Way
from .proxy_link import ProxyLink
from .proxy_rules import Ending, Latency, Rules, Unreachable

__all__ = ("Proxy",)

logger = logging.getLogger("wsclient.testing")

PAUSE = 0.1  # seconds before accepting is tried again


class Proxy(Rules):
    """
    Listens, dials a server for each client, and carries bytes between them, or not.

    It knows nothing of WebSocket or TLS: what passes is passed byte for byte, with the
    backpressure, half-closes and resets of both ends. All of it is real: sockets, the
    kernel and the clock. ::

        async with Proxy("localhost", 8765) as proxy:
            async with Client(proxy.url()) as client:
                proxy.reset()  # now see the client come back

    Every argument but the addresses and ``random`` is an attribute that may be set at
    any time and holds from then on, also for the links there are; bytes that are on
    their way keep their latency.

    Args:
        target: the server's host.
        target_port: its port.
        host: where to listen.
        port: 0 takes a free one.
        latency: seconds that bytes take, each way, or the least and the most: drawn
            for each chunk; nothing overtakes. No more than ``capacity`` passes in it.
        bandwidth: bytes a second, each way of each link; None: no bound.
        capacity: bytes read and not yet handed on, each way of each link, at most;
            then the sender meets backpressure.
        idle_timeout: seconds without a byte after which a link is ended; None: never.
        on_idle: how: the name of a verb of :class:`ProxyLink`.
        cut_after: bytes, both ways together, after which a link is ended: exactly as
            many are handed on. None: never. With "reset" the kernel drops what the
            receiver's has no room for.
        on_cut: how.
        on_unreachable: what a client meets whose server cannot be reached: the
            connection is closed at once ("eof", as load balancers do) or reset, or
            nothing ever comes.
        on_link: called with each new link before anything has passed, to prepare it.
        on_end: called with each link that has ended. What either raises changes
            nothing here and is raised on leaving.
        random: draws the latency; give a seeded one for the same story again.

    Raises:
        ArgumentError: a value cannot be used, now or when it is set.
        OSError: entering: it cannot listen there.

    Leaving, or cancelling, resets what is live and leaves nothing open.

    """

    def __init__(
        self,
        target: str,
        target_port: int,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: Latency = 0.0,
        bandwidth: float | None = None,
        capacity: int = BUFFER_SIZE,
        idle_timeout: float | None = None,
        on_idle: Ending = "reset",
        cut_after: int | None = None,
        on_cut: Ending = "reset",
        on_unreachable: Unreachable = "eof",
        on_link: Callable[[ProxyLink], object] | None = None,
        on_end: Callable[[ProxyLink], object] | None = None,
        random: Random | None = None,
    ) -> None:
        self.target = target
        self.target_port = target_port
        self.host = host
        self.links: list[ProxyLink] = []
        self.latency = latency
        self.bandwidth = bandwidth
        self.capacity = capacity
        self.idle_timeout = idle_timeout
        self.on_idle = on_idle
        self.cut_after = cut_after
        self.on_cut = on_cut
        self.on_unreachable = on_unreachable
        self.on_link = on_link
        self.on_end = on_end
        self.random = Random() if random is None else random
        self._port = port
        self._listeners: list[SocketListener] = []
        self._held: list[socket.socket] = []  # bound, so that nobody takes the port
        self._arrived = anyio.Event()
        self._failures: list[Exception] = []
        self._tasks = OwnedTasks(self._failures.append)

    def __repr__(self) -> str:
        to = authority((self.target, self.target_port))
        return f"<Proxy to {to}: {len(self.live)} of {len(self.links)} links live>"

    async def __aenter__(self) -> Self:
        self._listeners = await listen(self.host, self._port)
        self._port = self._listeners[0].address[1]
        await self._tasks.__aenter__()
        self._accept_on_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for listener in self._listeners:
            listener.close()
        for sock in self._held:
            sock.close()
        await self._tasks.__aexit__(exc_type, exc, traceback)
        if self._failures and exc is None:
            raise self._failures[0]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: host and port."""
        return self.host, self._port

    def url(self, path: str = "/", scheme: str = "ws") -> str:
        """Return the URL of a path of the server, through here."""
        return f"{scheme}://{authority(self.address)}{path}"

    @property
    def live(self) -> list[ProxyLink]:
        """The links that have not ended."""
        return [link for link in self.links if link.live]

    async def until_link(self, number: int = 1) -> ProxyLink:
        """Wait until so many clients have come, ever; return the last one's link."""
        while len(self.links) < number:
            await self._arrived.wait()
        return self.links[number - 1]

    @property
    def refuses(self) -> bool:
        """
        Whether clients are refused, as where nobody listens; links go on.

        Set it; the port stays ours.

        """
        return bool(self._held)

    @refuses.setter
    def refuses(self, refuses: bool) -> None:
        if refuses and not self._held:
            while self._listeners:
                listener = self._listeners.pop()
                listener.close()
                self._held.append(_hold(listener))
        elif self._held and not refuses:
            for sock in self._held:
                sock.listen()
                self._listeners.append(SocketListener(sock))
            self._held.clear()
            self._accept_on_all()

    # The verbs of a link, for every one that is live.

    def reset(self) -> None:
        """:meth:`ProxyLink.reset` of every link."""
        for link in self.live:
            link.reset()

    def eof(self, way: Way = "both") -> None:
        """:meth:`ProxyLink.eof` of every link."""
        for link in self.live:
            link.eof(way)

    def silence(self, way: Way = "both") -> None:
        """:meth:`ProxyLink.silence` of every link; new ones are none of them."""
        for link in self.live:
            link.silence(way)

    def stall(self, way: Way = "both") -> None:
        """:meth:`ProxyLink.stall` of every link; new ones are none of them."""
        for link in self.live:
            link.stall(way)

    def heal(self) -> None:
        """:meth:`ProxyLink.heal` of every link."""
        for link in self.live:
            link.heal()

    def forget(self) -> None:
        """:meth:`ProxyLink.forget` of every link."""
        for link in self.live:
            link.forget()

    # Within.

    def _stir(self) -> None:
        for link in self.live:
            link.stir()

    def _accept_on_all(self) -> None:
        for listener in self._listeners:
            self._tasks.start_soon(partial(self._accept, listener.socket))

    async def _accept(self, listening: socket.socket) -> None:
        while listening.fileno() >= 0:
            try:
                await anyio.wait_readable(listening)
                sock, sockaddr = listening.accept()
                tune(sock)
            except (BlockingIOError, anyio.ClosedResourceError):
                continue  # another took it; it is closed, and we look
            except OSError as error:  # it has hung up, or there are no descriptors left
                logger.warning("! the proxy cannot accept: %s", error)
                await anyio.sleep(PAUSE)
                continue
            self._begin(sock, plain(sockaddr))

    def _begin(self, sock: socket.socket, client: Address) -> None:
        link = ProxyLink(self, len(self.links) + 1, sock, client, self._tell_end)
        self.links.append(link)
        self._tasks.start_soon(link.run)
        self._arrived.set()
        self._arrived = anyio.Event()
        self._tell(self.on_link, link)

    def _tell_end(self, link: ProxyLink) -> None:
        self._tell(self.on_end, link)

    def _tell(
        self, callback: Callable[[ProxyLink], object] | None, link: ProxyLink
    ) -> None:
        if callback is not None:
            try:
                callback(link)
            except Exception as error:  # noqa: BLE001 - raised on leaving, as it is
                self._failures.append(error)


def _hold(listener: SocketListener) -> socket.socket:
    """Take the address that a listener has left; who dials it is refused."""
    family = socket.AF_INET6 if len(listener.address) == 4 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if os.name == "posix":  # links of before have the port too
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(listener.address)
    except BaseException:
        sock.close()
        raise
    return sock
