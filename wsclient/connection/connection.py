"""One WebSocket, one life: an anyio ``ObjectStream[str | bytes]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import ObjectStream, SocketAttribute
from anyio.lowlevel import checkpoint

from ..errors import (
    Phase,
    Reason,
)
from ..protocol import (
    Delivery,
    Request,
    Response,
    State,
)
from ..tasks import OwnedTasks
from .attending import Attending
from .opening import Opening
from .sending import Sending
from .streaming import Streaming

__all__ = ("Connection",)


class Connection(  # pyright: ignore[reportIncompatibleMethodOverride] - "message"
    Opening, Sending, Streaming, Attending, ObjectStream[str | bytes]
):
    """
    One WebSocket connection, from the opening handshake to its end; never reused.

    Made by :func:`wsclient.connect` and :func:`wsclient.serve`. Text messages are
    ``str``, binary ones ``bytes``. Any number of tasks may send, one may receive.
    Cancelling or timing out a call loses and reorders nothing.

    """

    __slots__ = ()

    # -- the context ------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._wire.pulled:
            self._tasks = await OwnedTasks(self._failed).__aenter__()
            self._wire.adopt(self._tasks.start_soon)
            self._tasks.start_soon(self._attend)
        else:
            self._arm()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """
        Close: 1000, or 1001 if an exception leaves. Cancelled, it ends at once.
        """
        try:
            if exc_type is None:
                await self.close()
            elif issubclass(exc_type, Exception):
                await self.close(1001)
            else:
                self.end(Reason.LOCAL, "the task that held it was cancelled")
        finally:
            if self._tasks is not None:
                await self._tasks.__aexit__(exc_type, exc, traceback)

    # -- keepalive --------------------------------------------------------------

    async def ping(self) -> float:
        """
        Send a ping and wait for its pong; return the latency in seconds.

        Cancelling leaves the connection as it is (RFC 6455, 5.5.2).

        Raises:
            ConnectionClosed, ConnectionLost: the connection ended before the pong.

        """
        self._check_thread()
        if self._endpoint.state is not State.OPEN:
            raise self._end_of_sending()
        answered = anyio.Event()
        payload = self._pings.sent(self._time(), answered)
        try:
            self._write(self._endpoint.ping(payload))
            while not answered.is_set() and self._facts is None:
                await self._pump()
        finally:
            self._pings.forget(payload)
        latency = self._pings.latency
        if not answered.is_set() or latency is None:
            raise self._end_of_sending()
        return latency

    def ping_nowait(self) -> None:
        """Send a ping without waiting for its pong."""
        if self._endpoint.state is State.OPEN and self._room:
            self._write(self._endpoint.ping(self._pings.sent(self._time())))

    # -- closing ----------------------------------------------------------------

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Do the closing handshake (RFC 6455, 7.1.2), then end TCP.

        All of it takes ``close_timeout`` at most. What was received before stays to be
        received; what comes now is discarded. Cancelling ends the connection at once.
        A second call waits for the first to have its effect.

        Raises:
            ArgumentError: no such close code may be sent, or the reason is longer than
                123 bytes.

        """
        self._check_thread()
        self._start_closing(code, reason)
        self._discarding = True
        self._decide(Delivery.DROPPED)
        self.resume()
        try:
            with anyio.move_on_after(self._timeouts.close_timeout):
                while not self._over:
                    await self._pump()
        except BaseException:
            self.end(Reason.LOCAL, "closing was cancelled")
            raise
        self.end(Reason.LOCAL, "the peer did not close within close_timeout")

    async def send_eof(self) -> None:
        """
        Start the closing handshake with 1000; what the peer still sends is received.

        Raises:
            NotSent: the connection has ended.

        """
        await checkpoint()
        self._refuse_if_ended(None)
        self._start_closing(1000, "")

    def _start_closing(self, code: int, reason: str) -> None:
        """Send Close if that is still possible; 5.5.1: no data follow it."""
        self._fail()
        if self._endpoint.state is State.OPEN:
            frame = self._endpoint.close(code, reason)
            self._leaving = True
            self._phase = Phase.CLOSING
            self._write(frame)
            self._wake()

    async def aclose(self) -> None:
        """Close with 1000: :meth:`close` as anyio's streams call it."""
        await self.close()

    # -- what is known ----------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the protocol; the closing states name who began."""
        return self._endpoint.state

    @property
    def latency(self) -> float | None:
        """The last measured round trip in seconds."""
        return self._pings.latency

    @property
    def heard_at(self) -> float:
        """When the last inbound byte came, on the event loop's clock."""
        return self._watch.heard_at

    @property
    def request(self) -> Request | None:
        """The opening handshake's request: target and headers."""
        return self._endpoint.request

    @property
    def response(self) -> Response | None:
        """The opening handshake's response: its headers and what was agreed on."""
        return self._endpoint.response

    @property
    def response_headers(self) -> Sequence[tuple[str, str]]:
        """The headers of the response, in order."""
        return self._endpoint.response.headers if self._endpoint.response else ()

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed on, if any."""
        return self._endpoint.subprotocol

    @property
    def remote_address(self) -> Any:
        """The peer's address, as sockets give it."""
        return self.extra(SocketAttribute.remote_address, None)

    @property
    def local_address(self) -> Any:
        """Our address, as sockets give it."""
        return self.extra(SocketAttribute.local_address, None)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The wire's typed attributes: socket, addresses, TLS."""
        return self._wire.extra_attributes

    def __repr__(self) -> str:
        return f"<Connection {self._name or self._host} {self._endpoint.state.name}>"
