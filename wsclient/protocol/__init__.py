"""RFC 6455 and RFC 7692 for both roles, without I/O, clock, dice or logging."""

from __future__ import annotations

from .codec import CODEC
from .codes import CloseCode
from .deflate import Deflate, deflate_of
from .endpoint import Endpoint
from .events import (
    CloseReceived,
    Event,
    Failed,
    HandshakeFailed,
    Headers,
    Part,
    Ping,
    Pong,
    Rejection,
    Request,
    Response,
)
from .headers import check_header, check_subprotocol
from .limits import Limits
from .messages import check_messages
from .reader import Delivery
from .state import Role, State
from .uri import URI, parse_uri

__all__ = (
    "CODEC",
    "URI",
    "CloseCode",
    "CloseReceived",
    "Deflate",
    "Endpoint",
    "Event",
    "Failed",
    "Delivery",
    "HandshakeFailed",
    "Headers",
    "Limits",
    "Part",
    "Ping",
    "Pong",
    "Rejection",
    "Request",
    "Response",
    "Role",
    "State",
    "check_header",
    "check_messages",
    "check_subprotocol",
    "deflate_of",
    "parse_uri",
)
