"""The opening handshake, for the two who make connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import (
    ConnectError,
    HandshakeRejected,
    Initiator,
    Phase,
    Reason,
)
from ..protocol import (
    HandshakeFailed,
    Rejection,
    Request,
    Response,
)
from .reading import Reading

__all__ = ("Opening",)


class Opening(Reading):
    """
    The part of a connection that comes before it is one.

    Cancelling any of these ends it at once: half a handshake is of no use.

    """

    __slots__ = ()

    async def open(self, request: bytes) -> None:
        """
        Do the client's part of the opening handshake (RFC 6455, 4.1).

        Raises:
            HandshakeRejected: the server answered with plain HTTP.
            ConnectError: it hung up, or its answer breaks RFC 6455.

        """
        self._write(request)
        await self._until_opening()
        match self._opening:
            case Response():
                self._begin()
            case Rejection(status=status, headers=headers, body=body):
                text = f"the server refused the upgrade with HTTP {status}"
                facts = self._tell(Reason.REJECTED, Initiator.PEER, text)
                self._abort()
                raise HandshakeRejected(
                    facts, status=status, headers=headers, body=body
                )
            case HandshakeFailed(detail=detail):
                facts = self._tell(Reason.PROTOCOL_ERROR, Initiator.PEER, detail)
                self._abort()
                raise ConnectError(facts)
            case _:
                assert self._facts is not None
                raise ConnectError(self._facts) from self._cause

    async def receive_request(self) -> Request | None:
        """
        Wait for the client's opening handshake (RFC 6455, 4.2.1).

        None: it went away, or its request was refused (the answer has been sent).

        """
        await self._until_opening()
        request, self._opening = self._opening, None
        return request if isinstance(request, Request) else None

    async def _until_opening(self) -> None:
        with self._all_or_nothing():
            await self._wire.flush()
            while self._opening is None and self._facts is None:
                await self._pump()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._abort()
            raise

    async def accept(
        self, subprotocol: str | None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer the request with 101: from now on both sides send messages."""
        self._write(self._endpoint.accept(subprotocol=subprotocol, headers=headers))
        self._begin()
        self._feed(memoryview(b""))  # frames may have come with the request
        with self._all_or_nothing():
            await self._wire.flush()

    def _begin(self) -> None:
        self._phase = Phase.OPEN
        self._widen(True)

    async def reject(
        self, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """Answer the request with plain HTTP and end the connection."""
        self._write(self._endpoint.reject(status, headers=headers, body=body))
        text = f"refused with HTTP {status}"
        self._conclude(self._tell(Reason.REJECTED, Initiator.US, text))
        self._over = True
        try:
            await self._wire.aclose()
        finally:
            self._rest()
