"""``serve()``: the other end, many connections at once, that no client can end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Self

import anyio

from ..connection import Connection
from ..errors import (
    ArgumentError,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    MaybeSent,
    NotSent,
    Reason,
    seconds,
)
from ..tasks import OwnedTasks
from ..transport import listen as listen_tcp
from ..transport.sockets import authority
from ..wire import Listen, Listener, Wire
from .admission import Admission, Guest
from .notices import Notices
from .reception import Reception, takes

__all__ = ("Handler", "Server")

Handler = Callable[[Connection], Awaitable[object]]
"""Talks to one client; the connection is closed when it returns."""

FAREWELL = "the server shuts down"

logger = logging.getLogger("wsclient.server")


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
        admission: Admission,
        reception: Reception,
        shutdown_timeout: float | None,
        listen: Listen | None = None,
    ) -> None:
        takes("handler", handler, "connection")
        if host is not None and not isinstance(host, str):
            raise ArgumentError(f"host is {host!r}; give a name, an address, or None")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65536:
            raise ArgumentError(
                f"port is {port!r}; give 1 to 65535, or 0 for a free one"
            )
        self._handler = handler
        self._host = host
        self._port = port
        self._admission = admission
        self._reception = reception
        self._shutdown_timeout = seconds("shutdown_timeout", shutdown_timeout)
        self._listen: Listen = listen or listen_tcp
        self._listeners: Sequence[Listener] = ()
        self._numbers = count(1)
        # Everybody who was let in, and how to send him away.
        self._scopes: dict[Wire, anyio.CancelScope] = {}
        self._connections: set[Connection] = set()
        self._handlers: set[int] = set()  # their tasks' numbers
        self._moved_on = anyio.Event()  # somebody has his answer, or has left
        self._notices = Notices(logger)
        self._closing = False
        self._closed = anyio.Event()
        self._tasks: OwnedTasks | None = None

    # -- the context ------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise ConcurrencyError("a server is entered once; call serve() again")
        tasks = self._tasks = OwnedTasks(self._failed)
        self._listeners = await self._listen(self._host, self._port)
        await tasks.__aenter__()
        for listener in self._listeners:
            tasks.start_soon(partial(self._accept, listener))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None or issubclass(exc_type, Exception):
                self.close()
                await self._closed.wait()
        finally:
            self._closing = True
            self._stop_listening()
            for connection in list(self._connections):
                connection.end(Reason.LOCAL, "the server was stopped")
            try:
                await self._entered().__aexit__(exc_type, exc, traceback)
            finally:
                self._closed.set()

    @property
    def addresses(self) -> list[Any]:
        """The addresses listened on, as sockets give them: ``(host, port, ...)``."""
        return [listener.address for listener in self._listeners]

    @property
    def connections(self) -> frozenset[Connection]:
        """The connections whose opening handshake is complete and that go on."""
        return frozenset(self._connections)

    def close(self) -> None:
        """
        Begin to close: stop listening and say 1001 to every client.

        It returns at once; :meth:`wait_closed` waits for the end, leaving the context
        does both. Handlers have ``shutdown_timeout`` seconds to return, then they are
        cancelled. Callable from handlers too, and idempotent.

        Raises:
            ConcurrencyError: the server has not been entered.

        """
        tasks = self._entered()
        if not self._closing:
            self._closing = True
            self._stop_listening()
            self._reception.stop()
            tasks.start_soon(self._shut_down)

    async def wait_closed(self) -> None:
        """
        Wait until the server is closed: no listener, no connection, no handler left.

        It closes nothing by itself: without :meth:`close` it waits for ever, so
        ``await server.wait_closed()`` is how to serve until somebody calls that.
        Cancelling it does no more than that.

        Raises:
            ConcurrencyError: the server has not been entered, or a handler calls this,
                which it would wait for.

        """
        self._entered()
        if anyio.get_current_task().id in self._handlers:
            raise ConcurrencyError(
                "a handler cannot wait for the end of all handlers; call close() and"
                " return"
            )
        await self._closed.wait()

    def _entered(self) -> OwnedTasks:
        if self._tasks is None:
            raise ConcurrencyError(
                "this server does not run; write: async with serve(...) as server"
            )
        return self._tasks

    async def _shut_down(self) -> None:
        try:
            with anyio.move_on_after(self._shutdown_timeout):
                async with anyio.create_task_group() as group:
                    for connection in self._connections:
                        group.start_soon(connection.close, 1001, FAREWELL)
                await self._until(lambda: not self._scopes)
            if self._scopes:
                logger.warning(
                    "%d handlers did not end within shutdown_timeout: cancelled",
                    len(self._scopes),
                )
                for scope in self._scopes.values():
                    scope.cancel()
                await self._until(lambda: not self._scopes)
        finally:
            self._closed.set()

    async def _until(self, happened: Callable[[], bool]) -> None:
        """Wait until it has happened that somebody moved on."""
        while not happened():
            await self._moved_on.wait()

    def _move_on(self) -> None:
        self._moved_on.set()
        self._moved_on = anyio.Event()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _failed(self, error: Exception) -> None:
        logger.error("a task of the server failed", exc_info=error)

    # -- one client -------------------------------------------------------------

    async def _accept(self, listener: Listener) -> None:
        while True:
            if self._admission.full:
                self._warn("max_handshakes is reached: others wait to be accepted")
                await self._until(lambda: not self._admission.full)
            try:
                wire, address = await listener.accept()
            except anyio.ClosedResourceError:
                return
            host = authority(address)
            guest = self._admission.arrive(address)
            if guest is None:
                self._warn("%s has its share of max_handshakes: it is dropped", host)
                wire.abort()
                continue
            scope = self._scopes[wire] = anyio.CancelScope()
            serve = partial(self._serve, wire, guest, scope, host)
            self._entered().start_soon(serve)

    def _warn(self, text: str, *arguments: object) -> None:
        self._notices.warn(anyio.current_time(), text, *arguments)

    async def _serve(
        self, wire: Wire, guest: Guest, scope: anyio.CancelScope, host: str
    ) -> None:
        name = f"server #{next(self._numbers)}"
        try:
            with scope:
                connection = await self._reception.receive(
                    wire, guest, host=host, name=name
                )
                if connection is not None:
                    guest.settle()
                    self._move_on()
                    await self._converse(connection, host, name)
        finally:
            wire.abort()
            guest.leave()
            del self._scopes[wire]
            self._move_on()

    async def _converse(self, connection: Connection, host: str, name: str) -> None:
        """Run the handler: 1000 when it returns, 1011 when it raises."""
        task = anyio.get_current_task().id
        self._connections.add(connection)
        self._handlers.add(task)
        try:
            async with connection:
                if self._closing:
                    await connection.close(1001, FAREWELL)
                    return
                try:
                    await self._handler(connection)
                except Exception as exc:
                    if not _tells_the_end(exc, host):
                        logger.error(
                            "%s ! the handler raised; %s gets 1011",
                            name,
                            host,
                            exc_info=exc,
                        )
                        await connection.close(1011, "internal error")
        finally:
            self._connections.discard(connection)
            self._handlers.discard(task)


def _tells_the_end(error: BaseException | None, host: str) -> bool:
    """Whether an error only tells that the connection with ``host`` has ended."""
    if isinstance(error, BaseExceptionGroup):
        return all(_tells_the_end(one, host) for one in error.exceptions)
    if isinstance(error, NotSent | MaybeSent):
        error = error.__cause__
    return isinstance(error, ConnectionClosed | ConnectionLost) and error.host == host
