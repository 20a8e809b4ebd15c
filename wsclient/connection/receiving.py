"""Receiving: message by message, by one task at a time; a cancelled call loses none."""

from __future__ import annotations

from threading import get_ident
from typing import Self

import anyio

from ..errors import (
    ConcurrencyError,
    ConnectionClosed,
    ReceiveTimeout,
    seconds,
    whole_number,
)
from ..protocol import Delivery
from .life import BREATH, Sink
from .reading import Reading

__all__ = ("Receiving",)

ENDS_ITERATION = frozenset({1000, 1001, 1005})
READABLE = 1 << 16  # bytes looked at before recv() says that nothing has come in time


class Receiving(Reading):
    """The part of a connection that receives."""

    __slots__ = ()

    async def recv(
        self, timeout: float | None = None, decode: bool | None = None
    ) -> str | bytes:
        """
        Receive the next message: ``str`` for text, ``bytes`` for binary.

        ``timeout`` is in seconds. ``decode=False`` gives text as its UTF-8 bytes,
        ``decode=True`` binary messages as text. Cancelling or timing out loses nothing.

        Raises:
            UnicodeDecodeError: ``decode=True`` and the next message is no UTF-8; it
                stays the next.
            ReceiveTimeout: nothing came in time; the connection lives on.
            ConnectionClosed: it ended with the closing handshake, and all is received.
            ConnectionLost: it ended otherwise, and all is received.
            ConcurrencyError: another task is receiving, or another thread called.

        """
        if (
            self._granted
            and timeout is None
            and decode is None
            and get_ident() == self._thread
        ):
            self._granted -= 1
            return self._queue.popleft()
        self._check_thread()
        if timeout is not None:
            seconds("timeout", timeout)
        if self._granted:
            self._revoke()
        self._calls += 1
        if self._calls >= BREATH:
            self._calls = 0
            await self._checkpoint()
        if self._receiving:  # asked last: another may have begun in the checkpoint
            raise self._second_receiver()
        if not self._queue:
            await self._wait_message(timeout)
        wanted: str | bytes | None = None
        if decode is not None:
            wanted = _as_asked(self._queue[0], decode)
        message = self._queue.popleft()
        if self._queue or self._watch.paused_at is not None:
            self._took()
        return message if wanted is None else wanted

    async def recv_many(
        self, max_messages: int | None = None, timeout: float | None = None
    ) -> list[str | bytes]:
        """
        Receive all messages that have arrived, in order; wait while there is none.

        For floods: it costs a fraction of as many :meth:`recv`. It gives at least one
        message, and ``max_messages`` at most; ``timeout`` is in seconds. Cancelling or
        timing out loses nothing.

        Raises:
            ArgumentError: ``max_messages`` is less than 1.
            ReceiveTimeout: nothing came in time; the connection lives on.
            ConnectionClosed: it ended with the closing handshake, and all is received.
            ConnectionLost: it ended otherwise, and all is received.
            ConcurrencyError: another task is receiving, or another thread called.

        """
        if max_messages is not None:
            whole_number("max_messages", max_messages)
        first = await self.recv(timeout)
        self._revoke()
        queue = self._queue
        if max_messages is None or max_messages > len(queue):
            more = [*queue]
            queue.clear()
        else:
            more = [queue.popleft() for _ in range(max_messages - 1)]
        self._took()
        return [first, *more]

    async def receive(self) -> str | bytes:
        """Receive the next message: :meth:`recv` as anyio's streams call it."""
        return await self.recv()

    def _decide(self, delivery: Delivery, told: bytes = b"") -> None:
        self._endpoint.decide(delivery, told)
        self._go_on()

    def _go_on(self) -> None:
        """Let the endpoint do what it can without new bytes."""
        self._feed(memoryview(b""))

    @staticmethod
    def _second_receiver() -> ConcurrencyError:
        return ConcurrencyError(
            "this connection is received from already: by another task, or in parts by"
            " recv_streaming(); let one task receive and hand messages on"
        )

    async def _wait_message(self, timeout: float | None) -> None:
        """Wait until there is a message, or a part of one if that was asked for."""
        if timeout is not None:
            await self._wait_in_time(timeout)
            return
        self._receiving = True
        if not self._wire.pulled:  # where reading need not wait
            self._calls = 0
        try:
            while not (self._queue or self._parts):
                if (error := self.ended) is not None:
                    raise error
                if self._endpoint.held:
                    self._go_on()  # nobody takes it in parts: it is too large
                else:
                    await self._pump()
        finally:
            self._receiving = False

    async def _wait_in_time(self, timeout: float) -> None:
        with anyio.move_on_after(timeout):
            await self._wait_message(None)
        if self._facts is None and not (self._queue or self._parts):
            self._read_now(READABLE)  # that has arrived in time
        if not (self._queue or self._parts):
            raise self.ended or ReceiveTimeout(
                f"no message from {self._host} within {timeout} s"
            )

    def _took(self) -> None:
        """Read on if it is time; then grant what may be taken without a look."""
        some = len(self._queue)
        if self._watch.paused_at is not None:
            self._resume_when_low()
            some -= self._low + 1  # the last of these is to be noticed
        if some > 0:
            self._granted = min(some, BREATH - 1 - self._calls)
            self._calls += self._granted

    def _resume_when_low(self) -> None:
        if len(self._queue) <= self._low and not self._endpoint.held:
            self.resume()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """
        Give the next message; end after a Close frame with 1000, 1001 or without code.

        Raises:
            ConnectionClosed: the close code is another.
            ConnectionLost: there was no closing handshake.

        """
        if self._granted and get_ident() == self._thread:
            self._granted -= 1
            return self._queue.popleft()
        try:
            return await self.recv()
        except ConnectionClosed as exc:
            if exc.code in ENDS_ITERATION:
                raise StopAsyncIteration from None
            raise

    def deliver_to(self, sink: Sink, *, wide: bool = True) -> None:
        """
        Give ``sink`` what waits in the queue, then what each feed completes.

        For drivers: it is called synchronously, must not raise, and nothing is
        received any more by other means. A sink that works on each message is not
        ``wide``: a feed brings less, so that others have a turn sooner.

        """
        self._widen(wide)
        self._sink = sink
        self._revoke()
        waiting = list(self._queue)
        self._queue.clear()
        self.resume()
        feeding, self._feeding = self._feeding, True  # what comes stands behind these
        if waiting:
            sink(waiting)
        self._feeding = feeding
        if self._endpoint.held and not feeding:
            self._go_on()
        self._fail()

    async def wait_ended(self) -> None:
        """Wait until the connection has ended; on a pulled wire this reads."""
        while self._facts is None:
            if self._sink is not None and not self._wire.pulled:
                await self._until_concluded()  # what is fed is no business of ours
                return
            await self._pump()
            if self._wire.pulled:
                # Between two feeds others take what the first gave.
                await self._checkpoint()

    async def _until_concluded(self) -> None:
        if self._concluded is None:
            self._concluded = anyio.Event()
        await self._concluded.wait()


def _as_asked(message: str | bytes, decode: bool) -> str | bytes:
    if isinstance(message, str):
        return message if decode else message.encode()
    return message.decode() if decode else message
