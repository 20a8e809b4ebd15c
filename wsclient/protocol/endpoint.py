"""One end of a WebSocket connection without I/O: bytes in, events and bytes out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

from ..errors import Close, LocalProtocolError
from .codes import CloseCode
from .deflate import Agreed, Deflate, contexts
from .events import Event, Failed, Request, Response
from .frames import (
    CLOSE,
    FIN,
    PING,
    PONG,
    Violation,
    control_payload,
    cut,
    pack_close,
)
from .handshake import ClientHandshake, ServerHandshake
from .headers import check_subprotocols
from .limits import Limits, checked_size
from .messages import Data, KeyPool, MessageWriter
from .reader import Delivery, MessageReader
from .state import Input, Role, State, next_state
from .uri import URI

__all__ = ("Endpoint",)

PONGS = 64  # due at most; 5.5.3: of more pings, to answer the latest is enough

# Endpoints of one process share their keys, so that an idle one holds none.
_KEYS = KeyPool(secrets.token_bytes)

_OPEN = State.OPEN  # looked up once: Python 3.11 takes its time for enum members


class Endpoint:
    """
    One end of a WebSocket connection (RFC 6455, RFC 7692).

    Feed it with :meth:`receive_data`, then send :meth:`data_to_send`: both never raise
    for what the peer does. The other methods return bytes that are to be sent at once
    and in order.

    Args:
        role: which end.
        max_message_size: bytes of the largest message taken, after decompression;
            None for no limit.
        limits: the other bounds.
        deflate: settings of compression; None for none.
        random: gives n bytes nobody can guess.
        subprotocols: a client offers them, a server picks from them.
        plain_http: a server hands over requests that ask for no upgrade too.
        hold_oversized: stop at a message that is too large, see :attr:`held`.

    Raises:
        ArgumentError: an argument is out of range.

    """

    __slots__ = (
        "_close_frame",
        "_close_received",
        "_close_sent",
        "_deflate",
        "_early",
        "_handshake",
        "_hold_oversized",
        "_limits",
        "_max_message_size",
        "_out",
        "_pongs",
        "_random",
        "_reader",
        "_request",
        "_response",
        "_role",
        "_subprotocols",
        "_writer",
        "state",
        "uneventful",
    )

    def __init__(
        self,
        role: Role,
        *,
        max_message_size: int | None = 2**20,
        limits: Limits | None = None,
        deflate: Deflate | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        subprotocols: Sequence[str] = (),
        plain_http: bool = False,
        hold_oversized: bool = False,
    ) -> None:
        self._role = role
        self._max_message_size = checked_size(max_message_size)
        self._limits = limits = limits or Limits()
        self._deflate = deflate
        self._random = random
        self._hold_oversized = hold_oversized
        self._subprotocols = check_subprotocols(subprotocols)
        self.state = State.CONNECTING
        """How far the connection has come."""
        self._handshake: ClientHandshake | ServerHandshake | None = None
        if role is Role.SERVER:
            self._handshake = ServerHandshake(
                subprotocols=self._subprotocols,
                deflate=deflate,
                limits=limits,
                plain_http=plain_http,
            )
        self._request: Request | None = None
        self._response: Response | None = None
        self._reader: MessageReader | None = None
        self._writer: MessageWriter | None = None
        self._early = b""  # received by a server before it accepted
        # Due: bytes of the handshake, the payloads of pongs, a Close frame.
        self._out = b""
        self._pongs: list[bytes] = []
        self._close_frame = b""
        self._close_sent: Close | None = None
        self._close_received: Close | None = None
        self.uneventful = False
        """Whether the last :meth:`receive_data` gave whole messages and did no more."""

    def __repr__(self) -> str:
        return f"<Endpoint {self._role.value} {self.state.name}>"

    # What is known

    @property
    def role(self) -> Role:
        """Which end this is."""
        return self._role

    @property
    def close_sent(self) -> Close | None:
        """What our Close frame says, once it is sent or due."""
        return self._close_sent

    @property
    def close_received(self) -> Close | None:
        """What the peer's Close frame said."""
        return self._close_received

    @property
    def request(self) -> Request | None:
        """The client's request, sent or received."""
        return self._request

    @property
    def response(self) -> Response | None:
        """The 101 that opened the connection, received or sent."""
        return self._response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed on."""
        return self._response.subprotocol if self._response else None

    @property
    def compressing(self) -> bool:
        """Whether messages may be compressed: both sides have agreed on it."""
        return self._response is not None and self._response.compression

    @property
    def half_frame(self) -> bool:
        """Whether a frame or message has been received in part."""
        return self._reader is not None and self._reader.half_frame

    @property
    def fragmenting(self) -> bool:
        """Whether we have begun a fragmented message and not finished it."""
        return self._writer is not None and self._writer.fragmenting

    # The opening handshake

    def connect(
        self,
        uri: URI,
        *,
        headers: Sequence[tuple[str, str]] = (),
        origin: str | None = None,
        user_agent: str | None = None,
    ) -> bytes:
        """
        Return a client's request.

        ``headers`` come after the handshake's own; ``Host``, ``Authorization`` and
        ``User-Agent`` among them replace what would stand there.

        Raises:
            ArgumentError: a header cannot be sent, or is the handshake's own.
            LocalProtocolError: this is a server, or it has connected before.

        """
        if self._role is not Role.CLIENT or self._handshake is not None:
            raise LocalProtocolError("only a client connects, and once")
        next_state(self.state, Input.OPENED)
        handshake = ClientHandshake(
            key=self._random(16),
            subprotocols=self._subprotocols,
            deflate=self._deflate,
            limits=self._limits,
        )
        self._request, data = handshake.request(uri, headers, origin, user_agent)
        self._handshake = handshake
        return data

    def accept(
        self, *, subprotocol: str | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        """
        Return a server's 101; the connection is open.

        Call ``receive_data(b"")`` afterwards. Without ``subprotocol``, it is the first
        of ours that was offered.

        Raises:
            ArgumentError: the subprotocol was not offered, or a header is bad.
            LocalProtocolError: there is no request to accept.

        """
        handshake = self._server_handshake(Input.OPENED)
        answer, self._response = handshake.accept(subprotocol, headers)
        self._open(handshake.agreed)
        self._early = handshake.trailing
        return answer

    def reject(
        self, status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> bytes:
        """
        Return a server's plain HTTP response instead; the connection is to be closed.

        Raises:
            ArgumentError: the status is not 200 to 599, or a header is bad.
            LocalProtocolError: as :meth:`accept`.

        """
        answer = self._server_handshake(Input.REFUSED).reject(status, headers, body)
        self._end(Input.REFUSED)
        return answer

    def _server_handshake(self, move: Input) -> ServerHandshake:
        handshake = self._handshake
        if self._role is not Role.SERVER:
            raise LocalProtocolError("only a server answers a request")
        next_state(self.state, move)
        assert isinstance(handshake, ServerHandshake)
        return handshake

    # Receiving

    def receive_data(self, data: bytes | memoryview) -> list[Event]:
        """
        Take bytes from the peer and return what they complete, in order.

        A memoryview is used during the call only. After a call, :attr:`pending` says if
        a reply is due. After a failure, or the peer's Close frame, bytes are ignored.

        Raises:
            LocalProtocolError: a client has not sent its request yet.

        """
        events: list[Event] = []
        self.uneventful = False
        if (reader := self._reader) is not None:
            if self._early:
                data, self._early = self._early + data, b""
            try:
                self.uneventful = reader.feed(data, events)
            except Violation as violation:
                self._fail(violation, events)
            if not self.uneventful:
                self._answer(reader)
        elif self._handshake is not None:
            if data:
                self._negotiate(self._handshake, bytes(data), events)
                self.uneventful = False  # whatever came with the head
        elif self.state is State.CONNECTING:
            raise LocalProtocolError("the request comes first: call connect()")
        return events

    def decide(self, delivery: Delivery, told: str | bytes = b"") -> None:
        """
        Say what becomes of the message in progress, or else of the next one.

        ``IN_PARTS`` gives it as :class:`Part` events; nothing of it is kept, so
        ``max_message_size`` does not bound it. ``WHOLE`` takes that back, with what was
        told and not used. ``DROPPED`` drops what is to come, ``max_message_size`` at
        most. Call ``receive_data(b"")`` afterwards.

        """
        if self._reader is not None:
            self._reader.decide(delivery, told)

    @property
    def held(self) -> bool:
        """
        Whether reading has stopped; give no new bytes until ``receive_data(b"")``.

        A compressed message told in parts is inflated a piece at a time: the call gives
        the next one. With ``hold_oversized`` it stops at a message that is larger than
        ``max_message_size`` too: the call fails the connection (1009), unless
        :meth:`decide` has said before that it is not to be kept.

        """
        return self._reader is not None and self._reader.held

    def receive_eof(self) -> list[Event]:
        """
        Take the end of the peer's bytes; the connection is closed.

        The only event it can give is a rejection whose body ended with it.

        """
        events: list[Event] = []
        if isinstance(self._handshake, ClientHandshake):
            rejection = self._handshake.end()
            if rejection is not None:
                events.append(rejection)
        self._end(Input.EOF)
        return events

    def _negotiate(
        self,
        handshake: ClientHandshake | ServerHandshake,
        data: bytes,
        events: list[Event],
    ) -> None:
        outcome = handshake.receive(data)
        if isinstance(outcome, tuple):
            outcome, self._out = outcome
        if outcome is None:
            return
        events.append(outcome)
        if isinstance(outcome, Request):
            self._request = outcome
            self._negotiate(handshake, b"", events)  # too much may have come with it
        elif isinstance(outcome, Response):
            self._response = outcome
            self._open(handshake.agreed)
            events += self.receive_data(handshake.trailing)
        else:
            self._end(Input.REFUSED)

    def _open(self, agreed: Agreed | None) -> None:
        """Begin to exchange frames; nothing of the handshake is kept."""
        self.state = next_state(self.state, Input.OPENED)
        self._handshake = None
        client = self._role is Role.CLIENT
        inflater = deflater = None
        if agreed is not None and self._deflate is not None:
            inflater, deflater = contexts(agreed, self._deflate, client=client)
        pool = _KEYS if self._random is secrets.token_bytes else KeyPool(self._random)
        self._writer = MessageWriter(pool=pool if client else None, deflater=deflater)
        self._reader = MessageReader(
            masked=not client,
            max_message_size=self._max_message_size,
            limits=self._limits,
            inflater=inflater,
            hold_oversized=self._hold_oversized,
        )

    def _answer(self, reader: MessageReader) -> None:
        """Owe what the control frames that were read ask for."""
        if reader.pings:
            if self.state is State.OPEN:  # none is answered after our Close frame
                self._pongs = (self._pongs + reader.pings)[-PONGS:]
            reader.pings = []
        if reader.close is not None:
            self._receive_close(reader.close)

    def _receive_close(self, close: Close) -> None:
        self._close_received = close
        self.state = next_state(self.state, Input.RECEIVE_CLOSE)
        self._reader = None
        if self.state is State.CLOSING_BY_PEER:
            # 5.5.1: typically echo the status code.
            code = None if close.code == CloseCode.NO_STATUS_RECEIVED else close.code
            self._queue_close(code, "")

    def _fail(self, violation: Violation, events: list[Event]) -> None:
        """Fail the connection (7.1.7); an open one once the Close frame is fetched."""
        events.append(Failed(int(violation.code), violation.detail))
        self._reader = None
        if self.state is State.OPEN:
            self._queue_close(int(violation.code), cut(violation.detail, 123))
        else:
            self._end(Input.FAIL)

    def _end(self, move: Input) -> None:
        self.state = next_state(self.state, move)
        self._reader = self._handshake = None
        if self._writer is not None:
            self._writer.release()

    # Replies

    @property
    def pending(self) -> bool:
        """Whether :meth:`data_to_send` has something."""
        return bool(self._out or self._close_frame or self._pongs)

    def data_to_send(self) -> bytes:
        """
        Return the replies due, each once: handshake, pongs, Close frame.

        After a Close frame nothing follows.

        """
        data, self._out = self._out, b""
        if self._pongs and self._writer is not None:
            frame = self._writer.frame
            data += b"".join(frame(FIN | PONG, payload) for payload in self._pongs)
            self._pongs = []
        if self._close_frame:
            data += self._close_frame
            self._close_frame = b""
            if self.state is State.CLOSING_BY_PEER:
                self.state = next_state(self.state, Input.ECHO_CLOSE)
            elif self.state is State.OPEN:
                self._end(Input.FAIL)
        return data

    # Sending

    def encode(self, message: Data, *, compress: bool | None = None) -> bytes:
        """
        Return a whole message as one frame.

        ``compress`` overrides the threshold of :class:`Deflate`; True does nothing if
        compression was not agreed on.

        Raises:
            MessageTypeError: the message is neither text nor binary.
            ArgumentError: it is a str with lone surrogates.
            LocalProtocolError: the connection is not open, or a fragmented message has
                been begun.

        """
        if self.state is not _OPEN or (writer := self._writer) is None:
            writer = self._writer_for(Input.SEND_MESSAGE)
        return writer.message(message, compress)

    def encode_many(
        self, messages: Iterable[Data], *, compress: bool | None = None
    ) -> bytes:
        """Return messages, a frame each: all or none; otherwise as :meth:`encode`."""
        return self._writer_for(Input.SEND_MESSAGE).messages(messages, compress)

    def encode_fragment(
        self, data: Data, *, fin: bool, compress: bool | None = None
    ) -> bytes:
        """
        Return a fragment as a frame; the first opens the message, ``fin`` ends it.

        The first one's ``compress`` counts; otherwise as :meth:`encode`.

        """
        writer = self._writer_for(Input.SEND_MESSAGE)
        return writer.fragment(data, fin=fin, compress=compress)

    def ping(self, payload: bytes = b"") -> bytes:
        """
        Return a ping (5.5.2).

        Raises:
            ArgumentError: the payload is not bytes, or longer than 125.
            LocalProtocolError: the connection is not open.

        """
        writer = self._writer_for(Input.SEND_CONTROL)
        return writer.frame(FIN | PING, control_payload(payload))

    def pong(self, payload: bytes = b"") -> bytes:
        """
        Return an unsolicited pong (5.5.3); pings are answered without asking.

        Raises:
            ArgumentError, LocalProtocolError: as :meth:`ping`.

        """
        writer = self._writer_for(Input.SEND_CONTROL)
        return writer.frame(FIN | PONG, control_payload(payload))

    def close(self, code: int | None = 1000, reason: str = "") -> bytes:
        """
        Return a Close frame (5.5.1), an empty one for None; nothing follows it.

        Pongs that are due are dropped. After a :class:`Failed` it is what that says.

        Raises:
            ArgumentError: the code may not be sent, or the reason is longer than 123
                bytes of UTF-8.
            LocalProtocolError: the connection is not open.

        """
        closing = next_state(self.state, Input.SEND_CLOSE)
        if not self._close_frame:
            self._queue_close(code, reason)
            self.state = closing
            self._pongs = []
        return self.data_to_send()

    def _queue_close(self, code: int | None, reason: str) -> None:
        assert self._writer is not None
        self._close_frame = self._writer.frame(FIN | CLOSE, pack_close(code, reason))
        said = CloseCode.NO_STATUS_RECEIVED if code is None else code
        self._close_sent = Close(int(said), reason)

    def _writer_for(self, move: Input) -> MessageWriter:
        next_state(self.state, move)
        assert self._writer is not None
        return self._writer
