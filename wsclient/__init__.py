"""WebSocket conversations that outlive their connections, on asyncio and trio."""

from __future__ import annotations

from importlib import import_module

from .client import Client, connect
from .connection import Connection, MessageStream
from .errors import (
    ArgumentError,
    Attempted,
    AttemptTimeout,
    CertificateError,
    Close,
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    GaveUp,
    GiveUp,
    HandshakeRejected,
    HookError,
    Initiator,
    InvalidURI,
    LocalProtocolError,
    MaybeSent,
    MessageTypeError,
    NotSent,
    Phase,
    QueueFull,
    Reason,
    ReceiveTimeout,
    SubscriptionOverflow,
    WebSocketError,
    WouldBlock,
)
from .protocol import CODEC, CloseCode, Deflate, Limits, Request
from .subprotocols import Base, JsonTopics, Plain
from .supervisor import (
    Ack,
    Attempt,
    AttemptFailed,
    Attempting,
    Conversation,
    Fatal,
    Fate,
    FullJitter,
    Gap,
    Kind,
    LifeEnded,
    Outcome,
    Position,
    Proven,
    Receipt,
    Refused,
    Reply,
    Retry,
    State,
    StateChanged,
    Stats,
    Subprotocol,
    Subscription,
    Topic,
    classify_default,
)

__version__ = "0.1.0"

__all__ = (
    # One connection, or one that comes back
    "connect",
    "Connection",
    "MessageStream",
    "Client",
    "Subscription",
    "Gap",
    "Receipt",
    "Fate",
    "State",
    "Stats",
    # What client.events() tells
    "StateChanged",
    "Attempting",
    "AttemptFailed",
    "LifeEnded",
    "Proven",
    "Refused",
    # The other end
    "serve",
    "Server",
    "HTTPResponse",
    "Request",
    "cookies",
    # Settings
    "Deflate",
    "Limits",
    "CODEC",
    "FullJitter",
    # What is told to providers and classifiers, and what they answer
    "Attempt",
    "Outcome",
    "Kind",
    "Retry",
    "Fatal",
    "classify_default",
    "GiveUp",
    # Application protocols
    "JsonTopics",
    "Plain",
    "Base",
    "Subprotocol",
    "Conversation",
    "Topic",
    "Reply",
    "Ack",
    "Position",
    # Errors and their facts
    "WebSocketError",
    "ArgumentError",
    "AttemptTimeout",
    "Attempted",
    "CertificateError",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectError",
    "ConnectionClosed",
    "ConnectionLost",
    "Facts",
    "GaveUp",
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
    "WouldBlock",
)

# Names whose rooms are loaded when first asked for: a client needs no server.
_LAZY = {
    "serve": "server",
    "Server": "server",
    "HTTPResponse": "server",
    "Request": "server",
    "cookies": "server",
    "testing": "testing",
}


def __getattr__(name: str) -> object:
    room = _LAZY.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{room}", __name__)
    return module if name == room else getattr(module, name)
