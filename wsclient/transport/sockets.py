"""What every wire over a socket needs: its attributes, its options, its names."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from anyio.abc import SocketAttribute

__all__ = (
    "BUFFER_SIZE",
    "LAST_WORDS",
    "Address",
    "RawSocket",
    "SocketAttributes",
    "authority",
    "last_error",
    "make_buffers",
    "plain",
    "text_of",
    "tune",
)

BUFFER_SIZE = 65536
"""Bytes read at once while they may grow, as what is compressed does a thousandfold."""

_WIDE = 262_144
"""Bytes read at once otherwise: a read costs less than the frames that it cuts."""

LAST_WORDS = 1_048_576
"""Bytes read after a failed write: the peer's last messages and its close code."""

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class RawSocket(Protocol):
    """As much of a non-blocking socket as the wires use."""

    def recv_into(self, buffer: memoryview, /) -> int: ...

    def send(self, data: bytes | memoryview, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


def plain(sockaddr: Any) -> Address:
    """Return a socket's address as anyio does: an IPv6 scope goes into the host."""
    match sockaddr:
        case (str(host), int(port), _, int(scope)) if scope and "%" not in host:
            return f"{host}%{scope}", port
        case (str(host), int(port), *_):
            return host, port
        case bytes():
            return os.fsdecode(sockaddr)
        case _:
            return str(sockaddr)


def authority(address: Address) -> str:
    """Write an address as the authority of a URI does (RFC 3986, 3.2)."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def text_of(error: Exception) -> str:
    """Say what an error says, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def tune(sock: socket.socket) -> None:
    """Make a TCP socket ready for small messages and long lives."""
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def make_buffers() -> tuple[memoryview, memoryview]:
    """Make one receive buffer; return its beginning and, for wide reads, all of it."""
    # What large messages leave, glibc gives back to the kernel and gets anew, page by
    # page, until it has seen such blocks come and go: mallopt(3), M_MMAP_THRESHOLD.
    bytes(8 * _WIDE)
    buffer = memoryview(bytearray(_WIDE))
    return buffer[:BUFFER_SIZE], buffer


def last_error(sock: socket.socket) -> OSError | None:
    """Return what became of a non-blocking ``connect``; None: it succeeded."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None


class SocketAttributes(Mapping[Any, Callable[[], Any]]):
    """
    anyio's typed attributes of a connected socket, made when they are asked for.

    The addresses are asked for at once: the kernel forgets the peer's when it hangs up.

    """

    __slots__ = ("_local", "_remote", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._local = plain(sock.getsockname())
        try:
            self._remote = plain(sock.getpeername())
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EINVAL):
                raise
            self._remote = ("", 0)  # it has hung up already; reading will tell

    def _all(self) -> dict[Any, Callable[[], Any]]:
        sock, local, remote = self._sock, self._local, self._remote
        attributes: dict[Any, Callable[[], Any]] = {
            SocketAttribute.family: lambda: sock.family,
            SocketAttribute.local_address: lambda: local,
            SocketAttribute.remote_address: lambda: remote,
            SocketAttribute.raw_socket: lambda: sock,
        }
        if not isinstance(local, str):
            attributes[SocketAttribute.local_port] = lambda: local[1]
            attributes[SocketAttribute.remote_port] = lambda: remote[1]
        return attributes

    def __getitem__(self, attribute: Any) -> Callable[[], Any]:
        return self._all()[attribute]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
