"""The other end: for real small services, for tests and demos."""

from __future__ import annotations

from collections.abc import Sequence
from re import Pattern
from ssl import SSLContext

from ..connection import DICE, Dice, Timeouts, bytes_of
from ..protocol import Deflate, Limits, Request, deflate_of
from ..wire import Listen
from .admission import Admission
from .http import HeaderValues, HTTPResponse, cookies
from .reception import ProcessRequest, Reception, SelectSubprotocol
from .server import Handler, Server

__all__ = ("HTTPResponse", "Request", "Server", "cookies", "serve")


def serve(
    handler: Handler,
    host: str | None = "localhost",
    port: int = 0,
    *,
    process_request: ProcessRequest | None = None,
    subprotocols: Sequence[str] | SelectSubprotocol = (),
    origins: Sequence[str | Pattern[str] | None] | None = None,
    headers: HeaderValues = (),
    tls: SSLContext | None = None,
    compression: str | Deflate | None = "deflate",
    open_timeout: float | None = 10,
    close_timeout: float | None = 5,
    shutdown_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    write_timeout: float | None = 30,
    slow_timeout: float | None = None,
    max_connections: int | None = None,
    max_connections_per_address: int | None = None,
    max_handshakes: int | None = 1000,
    max_message_size: int | None = 2**20,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    listen: Listen | None = None,
    random: Dice = DICE,
) -> Server:
    """
    Serve WebSocket connections: ``async with serve(handler, host, port) as server``.

    Each client gets a task that runs ``handler(connection)``. When it returns, the
    connection is closed with 1000; when it raises, with 1011, and the traceback is
    logged once. To be ended by the end of its own connection (``ConnectionClosed``,
    ``ConnectionLost``, ``NotSent``, ``MaybeSent``, also in an ``ExceptionGroup``) is
    normal. No client can end the server.

    Args:
        handler: an async function of one connection.
        host: a name or address to listen on, all its addresses; None: all there are.
        port: 0 takes a free one; see ``server.addresses``.
        process_request: ``(connection, request)``, sync or async; sees every GET and
            HEAD, plain HTTP too, and may answer it with an :class:`HTTPResponse`.
            When it raises, the client gets 500, and the traceback is logged.
        subprotocols: those spoken here, the best first, or a function that chooses one
            of those a client offers, or None.
        origins: values of ``Origin`` that may connect, as strings or patterns; None in
            it stands for none sent. Default: any.
        headers: added to each 101, as a mapping or as pairs.
        tls: an ``ssl.SSLContext`` with the server's certificate.
        compression: "deflate", :class:`Deflate` with settings, or None (RFC 7692).
        open_timeout: seconds for TLS, the request, ``process_request`` and the answer
            together; then the client is dropped.
        close_timeout: seconds for all of closing one connection.
        shutdown_timeout: seconds that handlers have, when the server closes, to return
            by themselves.
        max_connections: WebSockets open at once; None: any number. Beyond, a request
            for one is answered with 503 and ``Retry-After``, before
            ``process_request`` sees it. Plain HTTP goes on being answered.
        max_connections_per_address: those of one IPv4 address, or of one IPv6 network
            of 64 bits; None: any number. Beyond, it gets 429 and ``Retry-After``.
        max_handshakes: clients that have no answer yet; None: any number. Beyond,
            nobody is accepted until one of them has: who comes waits in the system's
            backlog. No address holds more of them than are still free, so half at
            most: what it opens beyond is dropped. Behind a proxy all clients have the
            proxy's address.
        ping_interval, ping_timeout, write_timeout, slow_timeout, max_message_size,
            limits, random: as for :func:`wsclient.connect`.
        listen: opens the listeners; for tests and unusual networks.

    Raises:
        ArgumentError: at the call, for what cannot be used.
        OSError: on entering: the address cannot be listened on.

    """
    return Server(
        handler,
        host,
        port,
        shutdown_timeout=shutdown_timeout,
        listen=listen,
        admission=Admission(
            max_connections=max_connections,
            max_connections_per_address=max_connections_per_address,
            max_handshakes=max_handshakes,
        ),
        reception=Reception(
            process_request=process_request,
            subprotocols=subprotocols,
            origins=origins,
            headers=headers,
            tls=tls,
            deflate=deflate_of(compression),
            max_message_size=max_message_size,
            limits=limits,
            open_timeout=open_timeout,
            timeouts=Timeouts(
                close_timeout=close_timeout,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                write_timeout=write_timeout,
                slow_timeout=slow_timeout,
            ),
            random=bytes_of(random),
            uniform=random.uniform,
        ),
    )
