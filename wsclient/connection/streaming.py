"""Receiving one message in parts, without ever holding it."""

from __future__ import annotations

from typing import Self

from anyio import EndOfStream
from anyio.abc import ObjectReceiveStream

from ..errors import ConcurrencyError, ConnectionLost, seconds
from ..protocol import Delivery, Part
from .receiving import Receiving

__all__ = ("MessageStream", "Streaming")


class Streaming(Receiving):
    """The part of a connection that receives a message in parts."""

    __slots__ = ()

    def recv_streaming(self, timeout: float | None = None) -> MessageStream:
        """
        Receive the next message in parts: ``async with ws.recv_streaming() as parts``.

        For messages too large to hold. Entering waits for the first bytes of the next
        message, ``timeout`` seconds at most; then ``async for part in parts`` gives
        what arrives, inside one frame too. See :class:`MessageStream`.

        Raises:
            ArgumentError: the timeout is not one.
            ReceiveTimeout: on entering; nothing came in time, and nothing is lost.
            ConnectionClosed, ConnectionLost: on entering; the connection ended.
            ConcurrencyError: on entering; somebody receives already.

        """
        if timeout is not None:
            seconds("timeout", timeout)
        return MessageStream(self, timeout)

    async def _begin_parts(self, timeout: float | None) -> bool:
        """Wait for the next message and keep others from it; return if it is text."""
        await self._breathe()
        if self._receiving:
            raise self._second_receiver()
        self._check_thread()
        self._revoke()
        if self._queue:
            message = self._queue.popleft()
            self._parts = self._backlog.add_part(Part(message, True))
        else:
            if not self._discarding:  # else nobody wants what comes
                self._decide(Delivery.IN_PARTS)
            self._resume_after_parts()
            try:
                await self._wait_message(timeout)
            except BaseException:
                self._take_back()
                raise
        self._receiving = True
        return isinstance(self._parts[0].data, str)

    async def _wait_part(self) -> None:
        """Read once if there is no part."""
        if not self._parts:
            if self._facts is not None:
                # Not ConnectionClosed: as an EndOfStream it would look like the end.
                raise ConnectionLost(self._facts) from self._cause
            await self._pump()

    def _maybe_part(self) -> Part | None:
        """Take the next part; what the endpoint holds takes its place."""
        if not self._parts:
            return None
        part = self._parts.popleft()
        if self._endpoint.held and not (self._parts or part.fin):
            self._go_on()
        self._resume_after_parts()
        return part

    def _end_parts(self, complete: bool) -> None:
        """Let others receive; what is left of the message is dropped as it comes."""
        while self._parts and not complete:
            complete = self._parts.popleft().fin
        if not complete:
            self._decide(Delivery.DROPPED)
        self._receiving = False
        self._resume_after_parts()

    def _take_back(self) -> None:
        """Nobody has come to use the parts: keep the message until it is whole."""
        parts = list(self._parts)
        told = b"".join(
            part.data.encode() if isinstance(part.data, str) else part.data
            for part in parts
        )
        self._parts.clear()
        if parts and parts[-1].fin:
            message = told.decode() if isinstance(parts[0].data, str) else told
            self._queue = self._backlog.put_back(message)
        else:
            self._decide(Delivery.WHOLE, told)
        self._resume_after_parts()

    def _resume_after_parts(self) -> None:
        if self._watch.paused_at is not None and not self._parts:
            self._resume_when_low()


class MessageStream(ObjectReceiveStream[str | bytes]):
    """
    One message as it arrives, from :meth:`Connection.recv_streaming`.

    Parts of a text message are ``str``, cut between characters; of a binary one
    ``bytes``; none is empty. At most one read waits to be taken, 256 KiB, or 64 KiB of
    what was compressed; who is slow slows the peer down. ``max_message_size`` does not
    bound what is not held: count, and leave when it is enough. A message larger than
    that which arrives while nobody receives waits to be received in parts;
    :meth:`~Connection.recv` refuses it.

    While it is entered nobody else receives from the connection; pings are answered
    between parts. Leaving before the end drops the rest of the message as it arrives,
    at most ``max_message_size`` of it: more fails the connection with 1009.

    """

    def __init__(self, connection: Streaming, timeout: float | None) -> None:
        self._connection = connection
        self._timeout = timeout
        self._entered = False
        self._open = False
        self._is_text = False
        self._complete = False
        self._waiting = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ConcurrencyError(
                "a message is received once; call recv_streaming() for the next one"
            )
        self._entered = True
        self._is_text = await self._connection._begin_parts(self._timeout)
        self._open = True
        return self

    @property
    def is_text(self) -> bool:
        """Whether its parts are ``str``; known once it is entered."""
        return self._is_text

    async def receive(self) -> str | bytes:
        """
        Receive the next part. Cancelling it loses nothing.

        Raises:
            EndOfStream: the message is complete; iteration ends.
            ConnectionLost: the connection ended before the message did, with or without
                a Close frame.
            ConcurrencyError: it is not entered, or another task is receiving.

        """
        await self._connection._breathe()
        if self._waiting:
            raise ConcurrencyError("another task is receiving this message")
        part = None
        self._waiting = True
        try:
            while part is None:
                self._refuse_outside()
                if self._complete:
                    raise EndOfStream
                await self._connection._wait_part()
                part = self._connection._maybe_part()
        finally:
            self._waiting = False
        self._complete = part.fin
        if not part.data:  # only the last part may be empty
            raise EndOfStream
        return part.data

    def _refuse_outside(self) -> None:
        if not self._open:
            raise ConcurrencyError(
                "parts are received inside `async with ws.recv_streaming() as parts`"
            )

    async def aclose(self) -> None:
        """Leave it; what is left of the message is dropped as it arrives."""
        if self._open:
            self._open = False
            self._connection._end_parts(self._complete)
