"""One WebSocket, one life: an anyio ``ObjectStream[str | bytes]``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import ObjectStream, SocketAttribute
from anyio.lowlevel import checkpoint

from ..errors import (
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    HandshakeRejected,
    Initiator,
    MaybeSent,
    MessageTypeError,
    NotSent,
    Phase,
    Reason,
    ReceiveTimeout,
    WouldBlock,
    seconds,
)
from ..protocol import (
    HandshakeFailed,
    Rejection,
    Request,
    Response,
    State,
)
from ..tasks import OwnedTasks
from .life import BREATH, Life, Sink

__all__ = ("Connection", "Sendable")

Sendable = (
    str
    | bytes
    | bytearray
    | memoryview
    | Iterable[str | bytes]
    | AsyncIterable[str | bytes]
)
"""What :meth:`Connection.send` takes: a message, or the fragments of one."""

ENDS_ITERATION = frozenset({1000, 1001, 1005})


class Connection(Life, ObjectStream[str | bytes]):
    """
    One WebSocket connection, from the opening handshake to its end; never reused.

    Made by :func:`wsclient.connect` and :func:`wsclient.serve`. Text messages are
    ``str``, binary ones ``bytes``. Any number of tasks may send, one may receive.
    Cancelling or timing out a call loses and reorders nothing.

    """

    _receiving = False
    _calls = 0

    # -- the opening handshake, for the two who make connections ----------------

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
                self._phase = Phase.OPEN
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
        await self._wire.flush()
        while self._opening is None and self._facts is None:
            await self._pump()

    async def accept(
        self, subprotocol: str | None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer the request with 101: from now on both sides send messages."""
        self._write(self._endpoint.accept(subprotocol=subprotocol, headers=headers))
        self._phase = Phase.OPEN
        self._feed(memoryview(b""))  # frames may have come with the request
        await self._wire.flush()

    async def reject(
        self, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """Answer the request with plain HTTP and end the connection."""
        self._write(self._endpoint.reject(status, headers=headers, body=body))
        text = f"refused with HTTP {status}"
        self._conclude(self._tell(Reason.REJECTED, Initiator.US, text))
        self._over = True
        await self._wire.aclose()

    # -- the context ------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._wire.pulled:
            self._tasks = await OwnedTasks(self._lost).__aenter__()
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

    # -- sending ----------------------------------------------------------------

    async def send(self, message: Sendable) -> None:
        """
        Send a message: text for ``str``, binary for bytes-like objects.

        An iterable or async iterable of ``str`` or of bytes is sent as the fragments of
        one message (RFC 6455, 5.4), each as it comes.

        It returns when the kernel has the message. There is one point of no return:
        cancelled before it, nothing is sent; cancelled after it, the whole message
        still is. Tasks send in the order in which they asked. Fragments that raise, or
        are cancelled after the first, fail the connection with 1011: half a message
        cannot be taken back.

        Raises:
            NotSent: the connection ended, or had ended, before anything left.
            MaybeSent: it ended while the message was on its way to the kernel.
            MessageTypeError, ArgumentError: this is no message.
            ConcurrencyError: called from another thread.

        """
        if not isinstance(message, str | bytes | bytearray | memoryview):
            await self._send_fragments(message)
            return
        self._calls += 1
        if self._calls >= BREATH:
            self._calls = 0
            await checkpoint()
        if not self.ready:
            await self._wait_turn(message)
        if not self.commit(message):
            await self._flush(message)

    def send_nowait(self, message: str | bytes) -> None:
        """
        Send a message if that can be done at once.

        What the kernel does not take at once goes out in the background.

        Raises:
            WouldBlock: it would have to wait; nothing was sent.
            NotSent: the connection has ended.

        """
        if not self.ready:
            self._refuse_if_ended(message)
            raise WouldBlock("the connection has no room now; await send() waits")
        self.commit(message)

    @property
    def ready(self) -> bool:
        """Whether a message can be committed now: alive, between messages, room."""
        return (
            not self._turn.taken and self._room and self._endpoint.state is State.OPEN
        )

    def commit(self, message: str | bytes | bytearray | memoryview) -> bool:
        """
        Send one message in one synchronous step: the point of no return.

        For drivers of a connection, while :attr:`ready`; users send. Returns whether
        the kernel already has it all.

        """
        self._check_thread()
        if self._debug:
            self._log(">", message)
        done = self._write(self._endpoint.encode(message))
        self._turn.grant()
        return done

    async def wait_ready(self) -> None:
        """
        Wait until :attr:`ready`, in turn with senders.

        Raises:
            ConnectionClosed, ConnectionLost: it has ended.

        """
        if self.ready:
            return
        if self._endpoint.state is State.OPEN:
            await self._turn.wait()
            self._turn.held = False
        if self._endpoint.state is not State.OPEN:
            self._turn.grant()
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
            await self._wire.flush()

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
        self, fragments: Iterable[str | bytes] | AsyncIterable[str | bytes]
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
        await checkpoint()
        if not self.ready:
            await self._wait_turn(fragments)
        self._check_thread()
        self._turn.held = True
        last: str | bytes | None = None
        try:
            async for fragment in source:
                await self._send_fragment(fragment, fragments, fin=False)
                last = "" if isinstance(fragment, str) else b""
            if last is not None:
                await self._send_fragment(last, fragments, fin=True)
        except BaseException:
            if self._endpoint.fragmenting:
                self.end(Reason.LOCAL, "a fragmented message was broken off", code=1011)
            raise
        finally:
            self._turn.held = False
            self._turn.grant()

    async def _send_fragment(
        self, fragment: str | bytes, message: object, *, fin: bool
    ) -> None:
        if self._endpoint.state is not State.OPEN:
            error = MaybeSent if self._endpoint.fragmenting else NotSent
            raise error(
                "the connection ended between fragments", message
            ) from self._end_of_sending()
        if not self._write(self._endpoint.encode_fragment(fragment, fin=fin)):
            await self._flush(message)

    # -- receiving --------------------------------------------------------------

    async def recv(
        self, timeout: float | None = None, decode: bool | None = None
    ) -> str | bytes:
        """
        Receive the next message: ``str`` for text, ``bytes`` for binary.

        ``timeout`` is in seconds. ``decode=False`` gives text as its UTF-8 bytes,
        ``decode=True`` binary messages as text. Cancelling or timing out loses nothing.

        Raises:
            ReceiveTimeout: nothing came in time; the connection lives on.
            ConnectionClosed: it ended with the closing handshake, and all is received.
            ConnectionLost: it ended otherwise, and all is received.
            ConcurrencyError: another task is receiving, or another thread called.

        """
        if self._receiving:
            raise ConcurrencyError(
                "another task is receiving from this connection; let one task receive"
                " and hand messages on"
            )
        self._check_thread()
        if timeout is not None:
            seconds("timeout", timeout)
        self._calls += 1
        if self._calls >= BREATH:
            self._calls = 0
            await checkpoint()
        if not self._queue:
            await self._wait_message(timeout)
        message = self._queue.popleft()
        self._queued_bytes -= len(message)
        if self._watch.paused_at is not None:
            self._resume_when_half_empty()
        if decode is None or isinstance(message, str) is decode:
            return message
        return message.decode() if isinstance(message, bytes) else message.encode()

    async def receive(self) -> str | bytes:
        """Receive the next message: :meth:`recv` as anyio's streams call it."""
        return await self.recv()

    async def _wait_message(self, timeout: float | None) -> None:
        queue = self._queue
        self._receiving = True
        self._calls = 0
        try:
            if timeout is None:
                while not queue and self._facts is None:
                    await self._pump()
            else:
                with anyio.move_on_after(timeout):
                    while not queue and self._facts is None:
                        await self._pump()
                if not queue and self._facts is None:
                    # What is readable has arrived in time.
                    self._wire.drain(1)
        finally:
            self._receiving = False
        if not queue:
            if (error := self.ended) is not None:
                raise error
            raise ReceiveTimeout(f"no message from {self._host} within {timeout} s")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """
        Give the next message; end after a Close frame with 1000, 1001 or without code.

        Raises:
            ConnectionClosed: the close code is another.
            ConnectionLost: there was no closing handshake.

        """
        try:
            return await self.recv()
        except ConnectionClosed as exc:
            if exc.code in ENDS_ITERATION:
                raise StopAsyncIteration from None
            raise

    def deliver_to(self, sink: Sink) -> None:
        """
        Give ``sink`` what waits in the queue, then each message as it arrives.

        For drivers: it is called synchronously, must not raise, and nothing is
        received any more by other means.

        """
        self._sink = sink
        while self._queue and self._sink is sink:
            sink(self._queue.popleft())
        self._queued_bytes = 0

    async def wait_ended(self) -> None:
        """Wait until the connection has ended; on a pulled wire this reads."""
        while self._facts is None:
            await self._pump()

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
            while not answered.is_set():
                await self._pump()
        finally:
            self._pings.forget(payload)
        if self._facts is not None or self._pings.latency is None:
            raise self._end_of_sending()
        return self._pings.latency

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
        if self._endpoint.state is State.OPEN:
            frame = self._endpoint.close(code, reason)
            self._leaving = True
            self._phase = Phase.CLOSING
            self._write(frame)
            self._turn.grant()

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
