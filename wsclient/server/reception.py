"""How one client is received: TLS, its request, our answer, all in one budget."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from re import Pattern
from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import anyio

from ..connection import Connection, Timeouts
from ..errors import ArgumentError, LocalProtocolError, Reason, seconds
from ..protocol import Deflate, Endpoint, Limits, Request, Role
from ..transport.tls import TLSWire
from ..wire import Wire
from .admission import Guest
from .http import HeaderValues, HTTPResponse, pairs_of
from .notices import Notices

__all__ = ("ProcessRequest", "Reception", "SelectSubprotocol", "takes")

ProcessRequest = Callable[
    [Connection, Request], HTTPResponse | Awaitable[HTTPResponse | None] | None
]
"""Sees each request first; None goes on with the WebSocket."""

SelectSubprotocol = Callable[[Sequence[str]], str | None]
"""Chooses among the subprotocols a client offers."""

RETRY_AFTER = (5, 15)  # seconds until who found no place is to come back
LINGER = 1.0  # seconds for a refused client to read why, before a reset could eat it

logger = logging.getLogger("wsclient.server")


class Reception:
    """
    All that is needed to receive clients, checked once, used for each of them.

    Raises:
        ArgumentError: an argument cannot be used; the text says which and why.

    """

    def __init__(
        self,
        *,
        process_request: ProcessRequest | None,
        subprotocols: Sequence[str] | SelectSubprotocol,
        origins: Sequence[str | Pattern[str] | None] | None,
        headers: HeaderValues,
        tls: SSLContext | None,
        deflate: Deflate | None,
        max_message_size: int | None,
        limits: Limits,
        open_timeout: float | None,
        timeouts: Timeouts,
        random: Callable[[int], bytes],
        uniform: Callable[[float, float], float],
    ) -> None:
        if process_request is not None:
            takes("process_request", process_request, "connection", "request")
        if callable(subprotocols):
            takes("subprotocols", subprotocols, "offered")
        self._process_request = process_request
        self._subprotocols = subprotocols
        self._origins = _checked_origins(origins)
        self._headers = pairs_of(headers)
        self._tls = _checked_tls(tls)
        self._open_timeout = seconds("open_timeout", open_timeout)
        self._new_endpoint = partial(
            Endpoint,
            Role.SERVER,
            max_message_size=max_message_size,
            limits=limits,
            deflate=deflate,
            random=random,
            plain_http=process_request is not None,
            hold_oversized=True,
        )
        # What is wrong with these is told now, not to the first client.
        self._new_endpoint(subprotocols=() if callable(subprotocols) else subprotocols)
        self._new_connection = partial(
            Connection, timeouts=timeouts, limits=limits, uniform=uniform
        )
        self._uniform = uniform
        self._notices = Notices(logger)
        self._waiting: set[anyio.CancelScope] = set()
        self._stopped = False

    def stop(self) -> None:
        """Send away, now and from now on, who has not said yet what he wants."""
        self._stopped = True
        for scope in self._waiting:
            scope.cancel()

    async def receive(
        self, wire: Wire, guest: Guest, *, host: str, name: str
    ) -> Connection | None:
        """
        Do the opening handshake; None where it came to nothing.

        ``guest`` is asked for a place, ``host`` is its address for errors. Ending the
        wire and the guest's visit is left to the caller, whatever happens.

        """
        with anyio.move_on_after(self._open_timeout):
            connection: Connection | None = None
            with anyio.CancelScope() as scope:
                self._waiting.add(scope)
                try:
                    if not self._stopped:
                        connection = await self._listen_to(wire, host, name)
                finally:
                    self._waiting.discard(scope)
            if connection is None:
                return None
            answered = await self._answer(connection, guest, name)
            return connection if answered else None
        logger.debug("%s ! no opening handshake within open_timeout", name)
        return None

    async def _listen_to(self, wire: Wire, host: str, name: str) -> Connection | None:
        """Wait for a request that can be answered."""
        if self._tls is not None:
            secured = TLSWire(wire, self._tls, server_side=True)
            try:
                await secured.handshake()
            except OSError as exc:
                logger.debug("%s ! the TLS handshake failed: %s", name, exc)
                return None
            wire = secured
        connection = self._new_connection(
            wire, self._new_endpoint(), host=host, name=name
        )
        if await connection.receive_request() is None:
            await _linger(connection)
            return None
        return connection

    async def _answer(self, connection: Connection, guest: Guest, name: str) -> bool:
        """Accept the request or refuse it; return whether there is a WebSocket now."""
        request = connection.request
        assert request is not None
        refusal, subprotocol = self._no_place(connection, request, guest), None
        if refusal is None:
            refusal, subprotocol = await self._judge(connection, request)
        try:
            if refusal is None:
                await connection.accept(subprotocol, self._headers)
                return True
            guest.dismiss()
            logger.debug("%s = refused with HTTP %d", name, refusal.status)
            await connection.reject(*refusal.encoded())
        except LocalProtocolError as exc:
            # It hung up while we decided, or sent more than it may before the answer.
            logger.debug("%s ! not answered: %s", name, exc)
            await _linger(connection)
        return False

    def _no_place(
        self, connection: Connection, request: Request, guest: Guest
    ) -> HTTPResponse | None:
        """Take a place for a WebSocket; where there is none, say when to come back."""
        refusal = guest.admit() if request.upgrade else None
        if refusal is None:
            return None
        self._notices.warn(
            anyio.current_time(),
            f"no place for %s: {refusal.bound} is reached; it gets {refusal.value}",
            connection.remote_address,
        )
        after = round(self._uniform(*RETRY_AFTER))  # not all of them at once
        return HTTPResponse.of_status(refusal.value, {"Retry-After": str(after)})

    async def _judge(
        self, connection: Connection, request: Request
    ) -> tuple[HTTPResponse | None, str | None]:
        """Return the plain HTTP answer, or None and the subprotocol to upgrade with."""
        try:
            refusal = await self._asked(connection, request) or self._refusal(request)
            return refusal, None if refusal else self._chosen(request)
        except Exception:
            logger.exception("a request could not be answered; the client gets 500")
            return HTTPResponse.of_status(500), None

    async def _asked(
        self, connection: Connection, request: Request
    ) -> HTTPResponse | None:
        """Return what the user's process_request says."""
        if self._process_request is None:
            return None
        answer = self._process_request(connection, request)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is not None and not isinstance(answer, HTTPResponse):
            raise TypeError(
                f"process_request returned {answer!r}: return an HTTPResponse, or None"
                " to go on with the WebSocket"
            )
        return answer

    def _refusal(self, request: Request) -> HTTPResponse | None:
        """Refuse what asks for no upgrade or comes from a page we do not know."""
        if not request.upgrade:
            return HTTPResponse(426, "This is a WebSocket server.\n")
        if self._origins is not None and not any(
            _matches(allowed, request.origin) for allowed in self._origins
        ):
            return HTTPResponse.of_status(403)
        return None

    def _chosen(self, request: Request) -> str | None:
        """Choose the subprotocol: of ours the first that the client offers."""
        offered = request.subprotocols
        if not callable(self._subprotocols):
            return next((name for name in self._subprotocols if name in offered), None)
        chosen = self._subprotocols(offered)
        if chosen is not None and chosen not in offered:
            raise ValueError(
                f"subprotocols chose {chosen!r} of {offered}: choose one of them, or"
                " None"
            )
        return chosen


async def _linger(connection: Connection) -> None:
    """Discard what a refused client still sends until it hangs up, for a while."""
    with anyio.move_on_after(LINGER):
        await connection.wait_ended()
    connection.end(Reason.LOCAL, "the opening handshake was refused")


def takes(name: str, function: object, *arguments: str) -> None:
    """
    Check that a function of the user's can be called with so many arguments.

    Raises:
        ArgumentError: it cannot.

    """
    wanted = f"give a function of ({', '.join(arguments)})"
    if not callable(function):
        raise ArgumentError(f"{name} is {function!r}; {wanted}")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        raise ArgumentError(
            f"{name} cannot be called with {len(arguments)} arguments; {wanted}"
        ) from None
    except ValueError:
        pass  # a function in C that does not tell


def _checked_tls(tls: SSLContext | None) -> SSLContext | None:
    if tls is not None and not isinstance(tls, SSLContext):
        raise ArgumentError(
            f"tls is {tls!r}; give an ssl.SSLContext with the server's certificate"
        )
    if tls is not None and tls.protocol is PROTOCOL_TLS_CLIENT:
        raise ArgumentError(
            "tls is a context for clients; make it with"
            " ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)"
        )
    return tls


def _checked_origins(
    origins: Sequence[str | Pattern[str] | None] | None,
) -> tuple[str | Pattern[str] | None, ...] | None:
    if origins is None:
        return None
    if isinstance(origins, str | Pattern):
        raise ArgumentError(f"origins is {origins!r}; write it in a list")
    for origin in origins:
        fits = origin is None or isinstance(origin, str)
        if not fits and not isinstance(getattr(origin, "pattern", None), str):
            raise ArgumentError(
                f"{origin!r} is no origin; give str, re.Pattern or None"
            )
    return tuple(origins)


def _matches(allowed: str | Pattern[str] | None, origin: str | None) -> bool:
    if isinstance(allowed, Pattern):
        return origin is not None and allowed.fullmatch(origin) is not None
    return allowed == origin
