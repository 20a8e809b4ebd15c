"""Dialling: names, addresses in parallel (RFC 8305), TLS; every failure by name."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import zip_longest

import anyio

from ..errors import ConnectError, Facts, Phase, Reason
from ..wire import Reached, Wire
from .backend import wire_of
from .resolver import AddressInfo, getaddrinfo
from .sockets import authority, last_error, plain, text_of, tune

__all__ = ("connect_tcp", "dial", "interleave")

STAGGER = 0.25
"""Seconds until the next address is tried too (RFC 8305, section 5)."""


async def dial(
    host: str,
    port: int,
    *,
    tls: object | None,
    reached: Reached,
    resolve: Callable[[str, int], Awaitable[Iterable[AddressInfo]]] = getaddrinfo,
) -> Wire:
    """
    Open a wire to a host.

    Args:
        host: a name or a literal address, IPv6 without brackets.
        port: 1 to 65535.
        tls: an ``ssl.SSLContext``, or None for a plain wire.
        reached: told each phase as it begins: DNS, TCP, TLS.
        resolve: the lookup, as ``socket.getaddrinfo`` answers.

    Cancelled at any point, it leaves nothing open.

    Raises:
        CertificateError: the server's certificate was not accepted.
        ConnectError: with the reason DNS, REFUSED or TLS.

    """
    dialled = authority((host, port))
    reached(Phase.DNS)
    try:
        addresses = await resolve(host, port)
    except (OSError, UnicodeError) as error:
        detail = f"no address of {host} was found: {text_of(error)}"
        raise ConnectError(
            Facts(reason=Reason.DNS, phase=Phase.DNS, host=dialled, detail=detail)
        ) from error
    reached(Phase.TCP)
    sock, failures = await connect_tcp(interleave(addresses))
    if sock is None:
        raise _refused(dialled, failures)
    try:
        wire = await wire_of(sock)
    except OSError as error:
        raise _refused(dialled, [(dialled, error)]) from error
    if tls is None:
        return wire
    reached(Phase.TLS)
    from .tls import secure  # plain wires need no ssl

    return await secure(wire, tls, host=host, dialled=dialled)


def interleave(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Take the families in turn, the resolver's first first (RFC 8305, section 4)."""
    families: dict[int, list[AddressInfo]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address[0], []).append(address)
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


Failure = tuple[str, OSError]
"""An address as one writes it, and what became of it."""


async def connect_tcp(
    addresses: list[AddressInfo],
) -> tuple[socket.socket | None, list[Failure]]:
    """
    Connect to the first address that answers, all others being closed again.

    The next one is tried too as soon as one has failed or 250 ms have gone by.

    """
    race = _Race()
    try:
        if len(addresses) == 1:
            await race.attempt(addresses[0])
        else:
            await race.run(addresses)
    except BaseException as error:
        if race.won is not None:
            race.won.close()
        # A task group wraps an interrupt of the program, which is to leave as itself.
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error
    return race.won, race.failures


class _Race:
    """Attempts side by side; the first that succeeds ends the others."""

    def __init__(self) -> None:
        self.won: socket.socket | None = None
        self.failures: list[Failure] = []

    async def run(self, addresses: list[AddressInfo]) -> None:
        async with anyio.create_task_group() as group:
            ended = anyio.Event()

            async def attempt(address: AddressInfo) -> None:
                await self.attempt(address)
                if self.won is not None:
                    group.cancel_scope.cancel()
                ended.set()

            for address in addresses:
                ended = anyio.Event()
                group.start_soon(attempt, address)
                with anyio.move_on_after(STAGGER):
                    await ended.wait()

    async def attempt(self, address: AddressInfo) -> None:
        family, kind, protocol, _, sockaddr = address
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # no such family here, or no more descriptors
            self._failed(sockaddr, error)
            return
        try:
            tune(sock)
            with suppress(BlockingIOError):
                sock.connect(sockaddr)
            if not _is_connected(sock):
                await anyio.wait_writable(sock)
            error_now = last_error(sock) or _met_itself(sock)
            if error_now is not None:
                raise error_now
        except OSError as error:
            sock.close()
            self._failed(sockaddr, error)
        except BaseException:
            sock.close()
            raise
        else:
            if self.won is None:
                self.won = sock
            else:
                sock.close()

    def _failed(self, sockaddr: object, error: OSError) -> None:
        self.failures.append((authority(plain(sockaddr)), error))


def _is_connected(sock: socket.socket) -> bool:
    """Find out without waiting: a peer on this host has answered by now."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _met_itself(sock: socket.socket) -> OSError | None:
    """
    Find a connection to oneself.

    Dialling a local port that nobody listens to, from a port the kernel picks, may
    pick that very port: TCP's simultaneous open with oneself (RFC 9293, 3.5).

    """
    if sock.getsockname() == sock.getpeername():
        return ConnectionRefusedError("nobody listens: it was connected to itself")
    return None


def _refused(dialled: str, failures: list[Failure]) -> ConnectError:
    told = "; ".join(f"{address}: {text_of(error)}" for address, error in failures)
    error = ConnectError(
        Facts(
            reason=Reason.REFUSED,
            phase=Phase.TCP,
            host=dialled,
            detail=f"no connection to {dialled}: {told or 'it has no address'}",
        )
    )
    error.__cause__ = failures[0][1] if failures else None
    return error
