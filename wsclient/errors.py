"""
Every exception the library raises, and the facts they carry.

::

    WebSocketError
    +-- ArgumentError (ValueError)           a bad argument, told at the call
    |   +-- InvalidURI
    +-- MessageTypeError (TypeError)         nothing here encodes such a message
    +-- ConcurrencyError (RuntimeError)      two tasks, or a thread, in one call
    +-- LocalProtocolError (RuntimeError)    RFC 6455 does not let us do this now
    +-- ConnectError                         an attempt to connect failed
    |   +-- AttemptTimeout (TimeoutError)
    |   +-- CertificateError
    |   +-- HandshakeRejected                the server answered with plain HTTP
    +-- ConnectionClosed (EndOfStream)       the closing handshake was completed
    +-- ConnectionLost (BrokenResourceError) the connection ended without it
    +-- GaveUp                               the client stopped trying
    +-- HookError                            a hook or provider of yours raised
    +-- NotSent (BrokenResourceError)        the message has not left and will not
    |   +-- QueueFull
    +-- MaybeSent (BrokenResourceError)      the connection died while it was leaving
    +-- WouldBlock (anyio.WouldBlock)        send_nowait() would have had to wait
    +-- ReceiveTimeout (TimeoutError)        recv(timeout=...) ran out; nothing is lost
    +-- SubscriptionOverflow                 this subscription was read too slowly

``GiveUp`` stands outside the tree: it is yours to raise, from a provider or a
hook, and ends the client.

"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import anyio

__all__ = (
    "ArgumentError",
    "Attempted",
    "AttemptTimeout",
    "CertificateError",
    "Close",
    "ConcurrencyError",
    "ConnectError",
    "ConnectionClosed",
    "ConnectionLost",
    "Facts",
    "GaveUp",
    "GiveUp",
    "HandshakeRejected",
    "HookError",
    "Initiator",
    "InvalidURI",
    "LocalProtocolError",
    "MaybeSent",
    "MessageTypeError",
    "NotSent",
    "Phase",
    "QueueFull",
    "Reason",
    "ReceiveTimeout",
    "SubscriptionOverflow",
    "WebSocketError",
    "WouldBlock",
)

M = TypeVar("M")


class Reason(StrEnum):
    """Why a connection ended or an attempt failed: one word for each remedy."""

    DNS = "DNS"
    REFUSED = "REFUSED"
    TLS = "TLS"
    REJECTED = "REJECTED"
    OPEN_TIMEOUT = "OPEN_TIMEOUT"
    PREPARE_FAILED = "PREPARE_FAILED"
    EOF = "EOF"
    RESET = "RESET"
    PEER_CLOSED = "PEER_CLOSED"
    PROTOCOL_ERROR = "PROTOCOL_ERROR"
    LIVENESS = "LIVENESS"
    IDLE = "IDLE"
    WRITE_STALLED = "WRITE_STALLED"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    LOCAL = "LOCAL"


class Phase(StrEnum):
    """How far the connection had come."""

    PROVIDER = "PROVIDER"
    DNS = "DNS"
    TCP = "TCP"
    PROXY = "PROXY"
    TLS = "TLS"
    UPGRADE = "UPGRADE"
    PREPARING = "PREPARING"
    OPEN = "OPEN"
    CLOSING = "CLOSING"


class Initiator(StrEnum):
    """Who ended it."""

    US = "us"
    PEER = "peer"
    NOBODY = "nobody"


REMEDIES: dict[Reason, str] = {
    Reason.DNS: "check the host name and the resolver",
    Reason.REFUSED: "check that the server is up and the port is right",
    Reason.TLS: "check the certificate and the TLS settings of both sides",
    Reason.REJECTED: "read the status and the body the server sent",
    Reason.OPEN_TIMEOUT: "check the network, or raise open_timeout",
    Reason.PREPARE_FAILED: "check on_connect and the subprotocol's hello",
    Reason.EOF: "the peer or something between hung up; its log knows why",
    Reason.RESET: "the peer or something between broke the connection off",
    Reason.PEER_CLOSED: "the close code and reason are the peer's words",
    Reason.PROTOCOL_ERROR: "one side broke RFC 6455; the close code says how",
    Reason.LIVENESS: "the network or the peer is gone; see ping_timeout",
    Reason.IDLE: "no message for recv_timeout seconds",
    Reason.WRITE_STALLED: "the peer does not read; see write_timeout",
    Reason.SLOW_CONSUMER: "read faster, or bound the queue that is full",
    Reason.LOCAL: "this side ended it",
}


@dataclass(frozen=True, slots=True)
class Close:
    """What a Close frame says: 1005 stands for an empty one (RFC 6455, 7.1.5)."""

    code: int
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


@dataclass(frozen=True, slots=True)
class Attempted:
    """One line of the history of attempts: when, which, and how it ended."""

    time: float
    generation: int
    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What is known of an end, in plain values.

    ``idle`` is the time in seconds since the last inbound byte, ``latency`` the
    last measured round trip in seconds, ``detail`` one sentence on what happened.

    """

    reason: Reason
    phase: Phase
    host: str = ""
    initiator: Initiator = Initiator.NOBODY
    received: Close | None = None
    sent: Close | None = None
    idle: float | None = None
    latency: float | None = None
    detail: str = ""
    attempts: tuple[Attempted, ...] = ()

    def __str__(self) -> str:
        text = f"{self.detail or self.reason} [{self.reason} in phase {self.phase}"
        if self.host:
            text += f", {self.host}"
        if self.received:
            text += f", received {self.received}"
        if self.sent:
            text += f", sent {self.sent}"
        if self.idle is not None:
            text += f", silent for {self.idle:.1f} s"
        if self.latency is not None:
            text += f", last latency {self.latency * 1000:.0f} ms"
        return f"{text}]: {REMEDIES[self.reason]}"


class WebSocketError(Exception):
    """Everything the library raises is one of these."""


class ArgumentError(WebSocketError, ValueError):
    """An argument cannot be used; the text says which one and what would do."""


class InvalidURI(ArgumentError):
    """The URL is no ``ws://`` or ``wss://`` URI (RFC 6455, section 3)."""


class MessageTypeError(WebSocketError, TypeError):
    """Nothing here knows how to send an object of this type."""


class ConcurrencyError(WebSocketError, RuntimeError):
    """A call that only one task at a time, or only the owning thread, may make."""


class LocalProtocolError(WebSocketError, RuntimeError):
    """A call that the protocol does not allow in this state; nothing was sent."""


class _Ended(WebSocketError):
    """Carries :class:`Facts`; each of them is an attribute too."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        return str(self.facts)

    @property
    def reason(self) -> Reason:
        """Why it ended."""
        return self.facts.reason

    @property
    def phase(self) -> Phase:
        """How far it had come."""
        return self.facts.phase

    @property
    def host(self) -> str:
        """The authority that was dialled: host and port."""
        return self.facts.host

    @property
    def initiator(self) -> Initiator:
        """Who ended it."""
        return self.facts.initiator

    @property
    def received(self) -> Close | None:
        """The Close frame the peer sent."""
        return self.facts.received

    @property
    def sent(self) -> Close | None:
        """The Close frame we sent."""
        return self.facts.sent

    @property
    def idle(self) -> float | None:
        """Seconds since the last inbound byte."""
        return self.facts.idle

    @property
    def latency(self) -> float | None:
        """The last measured round trip, in seconds."""
        return self.facts.latency

    @property
    def attempts(self) -> tuple[Attempted, ...]:
        """The attempts made since the last proof of life, oldest first."""
        return self.facts.attempts


class ConnectError(_Ended):
    """An attempt to connect failed."""


class AttemptTimeout(ConnectError, TimeoutError):
    """The attempt did not get past :attr:`phase` within its budget."""


class CertificateError(ConnectError):
    """The server's certificate was not accepted."""


class HandshakeRejected(ConnectError):
    """
    The server answered the opening handshake with plain HTTP.

    ``status`` is the HTTP status, ``headers`` the pairs of the response in
    order, ``body`` as much of its body as the limits let in.

    """

    def __init__(
        self,
        facts: Facts,
        status: int,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(facts)
        self.args = (facts, status, headers, body)  # whole, so that it can be copied
        self.status = status
        self.headers = headers
        self.body = body


class _Lived(_Ended):
    """The end of a connection that was open."""

    @property
    def code(self) -> int:
        """
        The close code: what the peer sent, else 1006 (RFC 6455, 7.1.5).

        1005 is an empty Close frame, 1006 no Close frame at all; neither ever
        stands on the wire.

        """
        return self.facts.received.code if self.facts.received else 1006


class ConnectionClosed(_Lived, anyio.EndOfStream):
    """The connection is over, both sides having sent a Close frame."""


class ConnectionLost(_Lived, anyio.BrokenResourceError):
    """The connection is over without a completed closing handshake."""


class GaveUp(_Ended):
    """
    The client stopped trying: a fatal outcome, or ``stop`` said so.

    ``__cause__`` is the last failure, :attr:`attempts` the history.

    """


class HookError(WebSocketError):
    """A hook or provider raised; ``__cause__`` is what it raised."""


class _Unsent(WebSocketError, anyio.BrokenResourceError):
    """Carries the message it is about; ``__cause__`` says what happened."""

    def __init__(self, text: str, message: object) -> None:
        super().__init__(text, message)
        self.message = message

    def __str__(self) -> str:
        return str(self.args[0])


class NotSent(_Unsent):
    """Not a byte of ``message`` has left, and none will."""


class QueueFull(NotSent):
    """The queue of sends is full; ``message`` was not taken."""


class MaybeSent(_Unsent):
    """
    The connection ended while ``message`` was on its way to the kernel.

    The peer may have it or not; only an answer of the peer can tell.

    """


class WouldBlock(WebSocketError, anyio.WouldBlock):
    """``send_nowait()`` would have had to wait; nothing was sent."""


class ReceiveTimeout(WebSocketError, TimeoutError):
    """No message within ``recv(timeout=...)``; nothing is lost, nothing ended."""


class SubscriptionOverflow(WebSocketError):
    """This subscription's queue was full; it alone has ended."""


class GiveUp(Exception):
    """Raise it from a provider or a hook to end the client for good."""


def utf8(text: str) -> bytes:
    """
    Encode a text message.

    Raises:
        ArgumentError: it holds lone surrogates, which UTF-8 cannot say.

    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(
            "a text message cannot hold lone surrogates: send bytes, or encode "
            "with errors='replace' first"
        ) from None


def seconds(name: str, value: float | None) -> float | None:
    """
    Return a duration if it can be one: None or a positive number of seconds.

    Raises:
        ArgumentError: it is negative, nan or no number; nan would silently mean
            "never" to an event loop.

    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(f"{name} is {value!r}; give seconds as a number, or None")
    if not value >= 0:
        raise ArgumentError(f"{name} is {value!r}; give 0 or more seconds, or None")
    return float(value)


def whole_number(name: str, value: object) -> int:
    """
    Return a bound if it can be one.

    Raises:
        ArgumentError: it is no integer of at least 1.

    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}={value!r}: give a whole number, 1 or more")
    return value


def listed(messages: Iterable[M]) -> list[M]:
    """
    Return messages as a list.

    Raises:
        MessageTypeError: it is one message, which would be sent piece by piece.

    """
    if isinstance(messages, str | bytes | bytearray | memoryview | Mapping):
        raise MessageTypeError(
            f"{type(messages).__name__} is one message: use send(), or give a list"
        )
    return [*messages]
