"""Sending: in turn, with one point of no return."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Iterable,
    Mapping,
    Sequence,
)
from threading import get_ident
from typing import Self

from ..errors import (
    ConnectionClosed,
    ConnectionLost,
    Initiator,
    MaybeSent,
    MessageTypeError,
    NotSent,
    Reason,
    WouldBlock,
    listed,
)
from ..protocol import State, check_messages
from .life import BREATH
from .logs import logger, shown
from .reading import Reading
from .writing import ROOM

__all__ = ("Sendable", "Sending")

OPEN = State.OPEN  # looked up once: Python 3.11 takes its time for enum members
_WHOLE = (str, bytes, bytearray, memoryview)  # isinstance is slower with a union

Sendable = (
    str
    | bytes
    | bytearray
    | memoryview
    | Iterable[str | bytes]
    | AsyncIterable[str | bytes]
)
"""What :meth:`Connection.send` takes: a message, or the fragments of one."""


class Sending(Reading):
    """The part of a connection that sends."""

    __slots__ = ()

    async def send(self, message: Sendable, *, compress: bool | None = None) -> None:
        """
        Send a message: text for ``str``, binary for bytes-like objects.

        An iterable or async iterable of ``str`` or of bytes is sent as the fragments of
        one message (RFC 6455, 5.4), each as it comes.

        It returns when the kernel has the message. There is one point of no return:
        cancelled before it, nothing is sent; cancelled after it, the whole message
        still is. Tasks send in the order in which they asked. Fragments that raise, or
        are cancelled after the first, fail the connection with 1011: half a message
        cannot be taken back.

        ``compress`` says whether to compress this message, instead of the ``threshold``
        of :class:`Deflate`; True does nothing where compression was not agreed on.

        Raises:
            NotSent: the connection ended, or had ended, before anything left.
            MaybeSent: it ended while the message was on its way to the kernel.
            MessageTypeError, ArgumentError: this is no message.
            ConcurrencyError: called from another thread.

        """
        if not isinstance(message, _WHOLE):
            await self._send_fragments(message, compress)
            return
        if not self.ready:
            await self._wait_turn(message)
        if not self.commit(message, compress):  # pyright: ignore[reportArgumentType] - no view of str
            await self._flush(message)
            return
        if self._granted:  # they are counted already
            self._granted -= 1
            return
        self._calls += 1
        if self._calls >= BREATH:  # now: before it, who asked later would overtake
            self._calls = 0
            await self._checkpoint()

    async def send_many(
        self,
        messages: Iterable[str | bytes | bytearray | memoryview],
        *,
        compress: bool | None = None,
    ) -> None:
        """
        Send messages, in order, as few writes as possible.

        For floods: it costs a fraction of as many :meth:`send`. Other tasks' messages
        may come between. It returns when the kernel has them all. Cancelled, those that
        were committed are still sent, each whole, and the others are not. ``compress``
        is for each of them as in :meth:`send`.

        Raises:
            NotSent: the connection ended, or had ended; its ``message`` is the list of
                those that were not sent. All before them the kernel has.
            MaybeSent: it ended while some were on their way to the kernel; its
                ``message`` is the list from the first of them on.
            MessageTypeError, ArgumentError: one of them is no message, or all are one;
                nothing is sent.
            ConcurrencyError: called from another thread.

        """
        rest = listed(messages)
        check_messages(rest)
        await self._breathe()
        while rest:
            if not self.ready:
                await self._wait_turn(rest)
            count, taken = self.commit_many(rest, compress)
            if not taken:
                await self._flush(rest)
            del rest[:count]
            await self._breathe()

    def send_nowait(
        self, message: str | bytes, *, compress: bool | None = None
    ) -> None:
        """
        Send a message if that can be done at once.

        What the kernel does not take at once goes out in the background. ``compress``
        is as in :meth:`send`.

        Raises:
            WouldBlock: it would have to wait; nothing was sent.
            NotSent: the connection has ended.

        """
        if not self.ready:
            self._refuse_if_ended(message)
            raise WouldBlock("the connection has no room now; await send() waits")
        self.commit(message, compress)

    @property
    def ready(self) -> bool:
        """Whether a message can be committed now: alive, between messages, room."""
        turn = self._turn
        if turn.held or turn.waiting or self._endpoint.state is not OPEN:
            return False
        return not self._blocked or self._room

    def commit(
        self,
        message: str | bytes | bytearray | memoryview,
        compress: bool | None = None,
    ) -> bool:
        """
        Send one message in one synchronous step: the point of no return.

        For drivers of a connection, while :attr:`ready`; users send. Returns whether
        the kernel already has it all.

        """
        if get_ident() != self._thread:
            self._check_thread()
        if self._debug:
            logger.debug("%s > %s", self._name, shown(message))
        try:
            data = self._endpoint.encode(message, compress=compress)
            if self._current is None or self._current() is self._sender:
                return self._write(data)
            return self._write_together(data)
        finally:
            if self._turn.waiting:  # also when this is no message
                self._turn.grant()

    def commit_many(
        self,
        messages: Sequence[str | bytes | bytearray | memoryview],
        compress: bool | None = None,
    ) -> tuple[int, bool]:
        """
        Send the first of some messages in one write: as many as there is room for.

        For drivers, as :meth:`commit`. Returns how many, at least one, and whether the
        kernel already has them all.

        """
        self._check_thread()
        size = count = 0
        for message in messages:
            size += len(message)
            count += 1
            if size >= ROOM:
                break
        some = messages[:count]
        if self._debug:
            for message in some:
                logger.debug("%s > %s", self._name, shown(message))
        try:
            data = self._endpoint.encode_many(some, compress=compress)
            return count, self._write(data)
        finally:
            self._turn.grant()

    async def wait_ready(self) -> None:
        """
        Wait until :attr:`ready`, in turn with senders.

        Whose turn it is waits for room and then commits before it awaits again: that
        hands the turn on.

        Raises:
            ConnectionClosed, ConnectionLost: it has ended.

        """
        if self.ready:
            return
        turn, endpoint = self._turn, self._endpoint
        if endpoint.state is State.OPEN:
            if turn.held or turn.waiting:
                await turn.wait()
            turn.held = True
            try:
                while endpoint.state is State.OPEN and not self._room:
                    await self._until_emptied()
            except BaseException:
                turn.held = False
                turn.grant()
                raise
            turn.held = False
        if endpoint.state is not State.OPEN:
            raise self._end_of_sending()

    async def flush(self) -> None:
        """
        Wait until the kernel has all that was committed.

        Raises:
            ConnectionClosed, ConnectionLost: it ended before.

        """
        mark = self._written
        while self._taken < mark:
            if self._over:
                raise self._end_of_sending()
            await self._until_emptied()

    async def _wait_turn(self, message: object) -> None:
        """Wait for turn and room; the caller commits before it awaits again."""
        self._check_thread()
        try:
            await self.wait_ready()
        except (ConnectionClosed, ConnectionLost) as exc:
            raise NotSent("not sent: the connection has ended", message) from exc

    async def _flush(self, message: object) -> None:
        try:
            await self.flush()
        except (ConnectionClosed, ConnectionLost) as exc:
            raise MaybeSent(
                "the connection ended while the message was being sent", message
            ) from exc

    def _end_of_sending(self) -> ConnectionClosed | ConnectionLost:
        """The end, or what stands for it while the closing handshake goes on."""
        if (error := self.ended) is not None:
            return error
        text = "the closing handshake has begun"
        return ConnectionLost(self._tell(Reason.LOCAL, Initiator.US, text))

    def _refuse_if_ended(self, message: object) -> None:
        if self._endpoint.state is not State.OPEN:
            raise NotSent(
                "not sent: the connection has ended", message
            ) from self._end_of_sending()

    async def _send_fragments(
        self,
        fragments: Iterable[str | bytes] | AsyncIterable[str | bytes],
        compress: bool | None,
    ) -> None:
        if isinstance(fragments, Mapping):
            raise MessageTypeError(
                "a dict is no message: its keys would be sent as fragments; encode it,"
                " as in send(json.dumps(...)), or give a Client a subprotocol"
            )
        if isinstance(fragments, AsyncIterable):
            source = fragments
        elif isinstance(fragments, Iterable):
            source = _Each(fragments)
        else:
            raise MessageTypeError(
                f"{type(fragments).__name__} is no message; send str, bytes, or an"
                " iterable of fragments"
            )
        self._check_thread()
        if not self.ready:
            await self._wait_turn(fragments)
        self._turn.held = True
        last: str | bytes | None = None
        try:
            await self._checkpoint()
            async for fragment in source:
                await self._send_fragment(fragment, fragments, compress)
                last = "" if isinstance(fragment, str) else b""
            if last is not None:
                await self._send_fragment(last, fragments, compress, fin=True)
        except BaseException:
            if self._endpoint.fragmenting and self._endpoint.state is State.OPEN:
                self.end(Reason.LOCAL, "a fragmented message was broken off", code=1011)
            if isinstance(source, AsyncGenerator):
                await source.aclose()  # nobody else has it
            raise
        finally:
            self._turn.held = False
            self._turn.grant()

    async def _send_fragment(
        self,
        fragment: str | bytes,
        message: object,
        compress: bool | None,
        *,
        fin: bool = False,
    ) -> None:
        if self._endpoint.state is not State.OPEN:
            error = MaybeSent if self._endpoint.fragmenting else NotSent
            raise error(
                "the connection ended between fragments", message
            ) from self._end_of_sending()
        data = self._endpoint.encode_fragment(fragment, fin=fin, compress=compress)
        if not self._write(data):
            await self._flush(message)
            return
        await self._breathe()


class _Each:
    """An iterable as an async one; iterating it is not waiting."""

    def __init__(self, items: Iterable[str | bytes]) -> None:
        self._items = iter(items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        for item in self._items:
            return item
        raise StopAsyncIteration
