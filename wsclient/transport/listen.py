"""Listening sockets, and the wires of those who come."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ..wire import Wire
from .backend import wire_of
from .resolver import AddressInfo, getaddrinfo
from .sockets import Address, plain, tune

__all__ = ("SocketListener", "listen", "listen_unix")

logger = logging.getLogger("wsclient.transport")

_PORTS_TRIED = 16  # how often another free port is looked for that all families have

# It was there and is gone: the next one may come (accept(2), Error handling).
_GONE = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENOPROTOOPT,
        errno.EPERM,
    }
)
# We have no room for it; descriptors come back when others leave.
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ABSENT = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def listen(
    host: str | None,
    port: int,
    *,
    backlog: int = 1024,
    reuse_port: bool = False,
    resolve: Callable[..., Awaitable[Iterable[AddressInfo]]] = getaddrinfo,
) -> list[SocketListener]:
    """
    Listen on every address of a host, IPv4 and IPv6 on sockets of their own.

    Args:
        host: a name or address; None: all interfaces.
        port: 0 takes a free one, the same for all addresses.
        backlog: connections that wait to be accepted, at most.
        reuse_port: let other processes listen there too (``SO_REUSEPORT``).
        resolve: the lookup.

    Raises:
        OSError: an address is in use, not ours, or unknown; then none is open.

    """
    addresses = list(dict.fromkeys(await resolve(host, port, passive=True)))
    for turn in range(_PORTS_TRIED):
        try:
            bound = _bind(addresses, backlog=backlog, reuse_port=reuse_port)
            return [SocketListener(sock) for sock in bound]
        except OSError as error:
            # Free for one family may be taken for the other.
            last = turn == _PORTS_TRIED - 1
            if port or last or error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError("unreachable")


def _bind(
    addresses: list[AddressInfo], *, backlog: int, reuse_port: bool
) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, kind, protocol, _, sockaddr in addresses:
            if listeners and sockaddr[1] == 0:
                taken = listeners[0].getsockname()[1]
                sockaddr = (sockaddr[0], taken, *sockaddr[2:])
            try:
                listeners.append(sock := socket.socket(family, kind, protocol))
            except OSError as error:
                absent = error
                continue
            _prepare(sock, reuse_port=reuse_port)
            try:
                sock.bind(sockaddr)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                listeners.pop().close()  # a family this host has in name only
                absent = error
                continue
            sock.listen(backlog)
    except BaseException:
        for sock in listeners:
            sock.close()
        raise
    if not listeners:
        raise absent or OSError(errno.EADDRNOTAVAIL, "the host has no address")
    return listeners


def _prepare(sock: socket.socket, *, reuse_port: bool) -> None:
    sock.setblocking(False)
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def listen_unix(path: str, *, backlog: int = 1024) -> SocketListener:
    """
    Listen on a Unix socket; one that a former process left behind is replaced.

    Raises:
        OSError: it cannot be made there.

    """
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return SocketListener(sock)


class SocketListener:
    """
    A listening socket as a :class:`~wsclient.wire.Listener`.

    Attributes:
        socket: the socket, which does not block; :meth:`close` closes it.

    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._address = sock.getsockname()

    @property
    def address(self) -> Any:
        """The address listened on, as sockets give it: ``(host, port, ...)``."""
        return self._address

    async def accept(self) -> tuple[Wire, Address]:
        """
        Wait for the next connection; return its wire and the peer's address.

        A connection that is gone before it is accepted is passed over. While there are
        no descriptors left it waits, a second at most before it looks again, and says
        so in the log. Cancelled, it leaves nothing open.

        Raises:
            ClosedResourceError: the listener was closed.
            OSError: the listener is broken.

        """
        pause = 0.0
        while True:
            await checkpoint()  # a flood of connections starves nobody
            try:
                sock, sockaddr = self.socket.accept()
            except BlockingIOError:
                await anyio.wait_readable(self.socket)
                continue
            except OSError as error:
                if self.socket.fileno() < 0:
                    raise anyio.ClosedResourceError from None
                if error.errno in _FULL:
                    pause = min(1.0, 2 * pause or 0.05)
                    logger.warning("! cannot accept: %s; again in %g s", error, pause)
                    await anyio.sleep(pause)
                elif error.errno not in _GONE:
                    raise
                continue
            try:
                tune(sock)
                wire = await wire_of(sock)
            except OSError:  # it has hung up meanwhile
                sock.close()
                continue
            except BaseException:
                sock.close()
                raise
            return wire, plain(sockaddr)

    def close(self) -> None:
        """Close it; who waits in :meth:`accept` is told. Idempotent."""
        if self.socket.fileno() >= 0:
            anyio.notify_closing(self.socket)
            self.socket.close()
