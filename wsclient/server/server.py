"""``serve()``: the other end, many connections at once, that no client can end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from inspect import isawaitable
from itertools import count
from re import Pattern
from types import TracebackType
from typing import Any, Self

import anyio

from ..connection import Connection, Timeouts
from ..errors import (
    ArgumentError,
    ConnectionClosed,
    ConnectionLost,
    MaybeSent,
    NotSent,
    Reason,
    seconds,
)
from ..protocol import Deflate, Endpoint, Limits, Request, Role, check_subprotocol
from ..tasks import OwnedTasks
from ..transport import accept, close_listener, listen
from ..wire import Wire
from .http import HTTPResponse

__all__ = ("Handler", "ProcessRequest", "SelectSubprotocol", "Server")

Handler = Callable[[Connection], Awaitable[None]]
"""Talks to one client; the connection is closed when it returns."""

ProcessRequest = Callable[
    [Connection, Request], HTTPResponse | Awaitable[HTTPResponse | None] | None
]
"""Sees each request first; None goes on with the WebSocket."""

SelectSubprotocol = Callable[[Sequence[str]], str | None]
"""Chooses among the subprotocols a client offers."""

logger = logging.getLogger("wsclient.server")

ENDINGS = (ConnectionClosed, ConnectionLost, NotSent, MaybeSent)


class Server:
    """
    A WebSocket server; made by :func:`wsclient.serve`, entered with ``async with``.

    Leaving the context stops listening, says 1001 to every client, waits for the
    handlers, and cancels those that take longer than ``shutdown_timeout``. Cancelled,
    it ends all at once.

    """

    def __init__(
        self,
        handler: Handler,
        host: str | None,
        port: int,
        *,
        process_request: ProcessRequest | None,
        subprotocols: Sequence[str] | SelectSubprotocol,
        origins: Sequence[str | Pattern[str] | None] | None,
        headers: Sequence[tuple[str, str]],
        tls: Any,
        deflate: Deflate | None,
        max_message_size: int | None,
        limits: Limits,
        open_timeout: float | None,
        shutdown_timeout: float | None,
        timeouts: Timeouts,
        random: Callable[[int], bytes],
        uniform: Callable[[float, float], float],
    ) -> None:
        if not callable(handler):
            raise ArgumentError("handler is not callable; give an async function")
        if not callable(subprotocols):
            for name in subprotocols:
                check_subprotocol(name)
        self._handler = handler
        self._host = host
        self._port = port
        self._process_request = process_request
        self._subprotocols = subprotocols
        self._origins = origins
        self._headers = tuple(headers)
        self._tls = tls
        self._new_endpoint = partial(
            Endpoint,
            Role.SERVER,
            max_message_size=max_message_size,
            limits=limits,
            deflate=deflate,
            random=random,
            plain_http=process_request is not None,
        )
        self._new_connection = partial(
            Connection, timeouts=timeouts, limits=limits, uniform=uniform
        )
        self._open_timeout = seconds("open_timeout", open_timeout)
        self._shutdown_timeout = seconds("shutdown_timeout", shutdown_timeout)
        self._listeners: list[socket.socket] = []
        self._addresses: list[Any] = []
        self._connections: set[Connection] = set()
        self._serving = 0
        self._numbers = count(1)
        self._idle = anyio.Event()
        self._stopped = anyio.Event()
        self._closed = anyio.Event()
        self._tasks = OwnedTasks(self._failed)

    # -- the context ------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._listeners = await listen(self._host, self._port)
        self._addresses = [listener.getsockname() for listener in self._listeners]
        try:
            await self._tasks.__aenter__()
        except BaseException:
            self._stop_listening()
            raise
        for listener in self._listeners:
            self._tasks.start_soon(partial(self._accept, listener))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None or issubclass(exc_type, Exception):
                await self._shut_down()
        finally:
            self._stop_listening()
            for connection in list(self._connections):
                connection.end(Reason.LOCAL, "the server was stopped")
            try:
                await self._tasks.__aexit__(exc_type, exc, traceback)
            finally:
                self._stopped.set()
                self._closed.set()

    @property
    def addresses(self) -> list[Any]:
        """The addresses listened on, as sockets give them: ``(host, port, ...)``."""
        return list(self._addresses)

    @property
    def connections(self) -> frozenset[Connection]:
        """The connections whose opening handshake is complete and that go on."""
        return frozenset(self._connections)

    def stop(self) -> None:
        """Stop listening now; ``wait_stopped`` and so the context go on to the end."""
        self._stop_listening()
        self._stopped.set()

    async def close(self) -> None:
        """
        Stop listening, say 1001 to every client and wait for the handlers.

        It takes ``shutdown_timeout`` at most. Cancelled, the rest is left to the end of
        the context. Never call it from a handler, which it would wait for; call
        :meth:`stop` there.

        """
        await self._shut_down()

    async def wait_closed(self) -> None:
        """Wait until :meth:`stop` or :meth:`close` was called or the context left."""
        await self._stopped.wait()

    async def _shut_down(self) -> None:
        self.stop()
        with anyio.move_on_after(self._shutdown_timeout):
            async with anyio.create_task_group() as closing:
                for connection in self._connections:
                    closing.start_soon(connection.close, 1001, "the server shuts down")
            while self._serving:
                self._idle = anyio.Event()
                await self._idle.wait()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            close_listener(listener)

    def _failed(self, error: Exception) -> None:
        logger.error("a task of the server failed", exc_info=error)

    # -- one client -------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                wire, _ = await accept(listener)
            except anyio.ClosedResourceError:
                return
            self._tasks.start_soon(partial(self._serve, wire))

    async def _serve(self, wire: Wire) -> None:
        self._serving += 1
        try:
            connection = await self._open(wire)
            if connection is not None:
                await self._converse(connection)
        finally:
            wire.abort()
            self._serving -= 1
            if not self._serving:
                self._idle.set()

    async def _open(self, wire: Wire) -> Connection | None:
        """Do the opening handshake in time; None where it came to nothing."""
        name = f"server #{next(self._numbers)}"
        with anyio.move_on_after(self._open_timeout):
            if self._tls is not None:
                from ..transport.tls import TLSWire  # lazily: plain needs no ssl

                wire = secured = TLSWire(wire, self._tls, server_side=True)
                try:
                    await secured.handshake()
                except (OSError, EOFError) as exc:
                    logger.debug("%s ! TLS handshake failed: %s", name, exc)
                    return None
            connection = self._new_connection(
                wire, self._new_endpoint(), host="", name=name
            )
            request = await connection.receive_request()
            if request is None:
                return None
            refusal = await self._refusal(connection, request)
            if refusal is not None:
                status, headers, body = refusal.encoded()
                logger.debug("%s = refused with %d", name, status)
                await connection.reject(status, headers, body)
                return None
            await connection.accept(self._choose(request), self._headers)
            return connection
        logger.debug("%s ! no opening handshake within open_timeout", name)
        return None

    async def _refusal(
        self, connection: Connection, request: Request
    ) -> HTTPResponse | None:
        """Return the plain HTTP answer to a request, or None to upgrade."""
        if self._process_request is not None:
            try:
                answer = self._process_request(connection, request)
                if isawaitable(answer):
                    answer = await answer
            except Exception:
                logger.exception("process_request raised; the client gets 500")
                return HTTPResponse.of_status(500)
            if isinstance(answer, HTTPResponse):
                return answer
            if answer is not None:
                logger.error("process_request returned %r: no HTTPResponse", answer)
                return HTTPResponse.of_status(500)
        if not request.upgrade:
            return HTTPResponse(426, "This is a WebSocket server.\n")
        if self._origins is not None and not any(
            allowed.fullmatch(request.origin or "")
            if isinstance(allowed, Pattern)
            else allowed == request.origin
            for allowed in self._origins
        ):
            return HTTPResponse.of_status(403)
        return None

    def _choose(self, request: Request) -> str | None:
        """Choose the subprotocol: of ours the first that the client offers."""
        if callable(self._subprotocols):
            return self._subprotocols(request.subprotocols)
        offered = set(request.subprotocols)
        return next((name for name in self._subprotocols if name in offered), None)

    async def _converse(self, connection: Connection) -> None:
        """Run the handler: 1000 when it returns, 1011 when it raises."""
        self._connections.add(connection)
        try:
            async with connection:
                if self._stopped.is_set():
                    await connection.close(1001, "the server shuts down")
                    return
                try:
                    await self._handler(connection)
                except ENDINGS as exc:
                    if connection.ended is None:  # that of another connection
                        await self._blame(connection, exc)
                except Exception as exc:  # noqa: BLE001 - logged, and the client is told
                    await self._blame(connection, exc)
        finally:
            self._connections.discard(connection)

    async def _blame(self, connection: Connection, error: Exception) -> None:
        logger.error("a handler raised; its client gets 1011", exc_info=error)
        await connection.close(1011, "internal error")
