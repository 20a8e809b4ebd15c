"""Names to addresses on daemon threads, so that a hung lookup holds up nobody."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

import anyio

from .backend import call_soon_threadsafe

__all__ = ("AddressInfo", "GetAddrInfo", "Resolver", "getaddrinfo")

AddressInfo = tuple[int, int, int, str, Any]
"""What ``socket.getaddrinfo`` gives: family, type, protocol, name, address."""


class GetAddrInfo(Protocol):
    """The blocking lookup, as ``socket.getaddrinfo`` does it."""

    def __call__(
        self, host: str | None, port: int, *, type: int, flags: int
    ) -> Sequence[AddressInfo]: ...


class _Lookup:
    """One question; the thread that answers it calls ``answered`` in its loop."""

    def __init__(self, ask: Callable[[], Sequence[AddressInfo]]) -> None:
        self._ask = ask
        self._call = call_soon_threadsafe()
        self._done = anyio.Event()
        self._addresses: Sequence[AddressInfo] = ()
        self._error: Exception | None = None
        self.abandoned = False

    def run(self) -> None:
        """Ask, in a thread."""
        try:
            self._addresses = self._ask()
        except Exception as error:  # noqa: BLE001  it is raised where it was asked
            self._error = error
        with suppress(RuntimeError):  # the event loop has ended: nobody wants it
            self._call(self._done.set)

    async def wait(self) -> Sequence[AddressInfo]:
        """Return the answer; cancelled, whatever comes is dropped."""
        try:
            await self._done.wait()
        finally:
            self.abandoned = True
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle through the traceback
        return self._addresses


class Resolver:
    """
    Asks for addresses on at most ``threads`` daemon threads, made when needed.

    ``asyncio.run`` waits for its executor's threads, trio and the interpreter for
    theirs; for these nobody waits. ``ask`` is the blocking lookup.

    """

    def __init__(
        self, *, threads: int = 64, ask: GetAddrInfo = socket.getaddrinfo
    ) -> None:
        self._most = threads
        self._ask = ask
        self._lock = threading.Lock()
        self._waiting: deque[_Lookup] = deque()
        self._running = 0

    async def getaddrinfo(
        self, host: str | None, port: int, *, passive: bool = False
    ) -> Sequence[AddressInfo]:
        """
        Return the addresses of a host for TCP, in the resolver's order.

        A literal address is answered at once. Cancelling returns at once and leaves
        the lookup to end by itself.

        Raises:
            OSError: ``socket.gaierror``: there are none, or nobody could tell.
            UnicodeError: the host cannot be a name in the DNS.

        """
        flags = socket.AI_PASSIVE if passive else 0
        if host is None or _literal(host):
            return self._ask(
                host,
                port,
                type=socket.SOCK_STREAM,
                flags=flags | (socket.AI_NUMERICHOST if host is not None else 0),
            )
        lookup = _Lookup(
            lambda: self._ask(host, port, type=socket.SOCK_STREAM, flags=flags)
        )
        with self._lock:
            self._waiting.append(lookup)
            more = self._running < self._most
            self._running += more
        if more:
            try:
                threading.Thread(
                    target=self._work, name="wsclient resolver", daemon=True
                ).start()
            except BaseException:
                with self._lock:
                    self._running -= 1
                raise
        return await lookup.wait()

    def _work(self) -> None:
        """Answer what waits, then end."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                lookup = self._waiting.popleft()
            if not lookup.abandoned:
                lookup.run()


@lru_cache(maxsize=256)
def _literal(host: str) -> bool:
    """Whether a host is an address already, scope and all (RFC 4007, section 11)."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host.partition("%")[0])
            return True
    return False


_shared = Resolver()
getaddrinfo = _shared.getaddrinfo
