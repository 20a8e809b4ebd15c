"""What an endpoint tells its driver; a message is an event by itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = (
    "CloseReceived",
    "Event",
    "Failed",
    "HandshakeFailed",
    "Headers",
    "Part",
    "Ping",
    "Pong",
    "Rejection",
    "Request",
    "Response",
)

Headers = tuple[tuple[str, str], ...]
"""Pairs in the order of the wire, the names in lower case."""


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of a message that is told as it comes: ``str`` of text, ``bytes`` of binary.

    Only the last one, ``fin``, may be empty; parts of text end between characters.

    """

    data: str | bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a sign of life; the pong is already due (5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to one of our pings, or an unsolicited sign of life (5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A client asks a server to open a connection: accept or reject it.

    ``upgrade`` is False for plain HTTP, which only an endpoint made with
    ``plain_http=True`` hands over; it can be rejected, not accepted.

    """

    target: str
    headers: Headers
    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    method: str = "GET"
    upgrade: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The server agreed: the connection is open."""

    status: int
    headers: Headers
    subprotocol: str | None = None
    compression: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The server answered with plain HTTP, its body cut off at the limit."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class HandshakeFailed:
    """
    The opening handshake broke RFC 6455, section 4.

    ``status`` is what the server answered: to a client the one received, if any; on
    a server the one of the error response that is now due.

    """

    detail: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The peer's Close frame; 1005 if it carried no code (7.1.5)."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """
    We fail the connection (7.1.7): the peer broke the protocol or a limit.

    The Close frame that says so is due. What came before may still be answered: until
    :meth:`Endpoint.data_to_send` gives it, messages can be sent.

    """

    code: int
    detail: str


Event = (
    str
    | bytes
    | Part
    | Ping
    | Pong
    | Request
    | Response
    | Rejection
    | HandshakeFailed
    | CloseReceived
    | Failed
)
"""Complete text messages are ``str``, binary ones ``bytes``."""
