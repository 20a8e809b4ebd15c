"""WebSocket conversations that outlive their connections, on asyncio and trio."""

from __future__ import annotations

from importlib import import_module

from .client import connect
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

# Names whose rooms are loaded when first asked for: one connection needs no supervisor,
# a client needs no server.
_LATER = {
    "client.client": {"Client"},
    "server": {"HTTPResponse", "Server", "cookies", "serve"},
    "subprotocols": {"Base", "JsonTopics", "Plain"},
    "supervisor": {
        "Ack",
        "Attempt",
        "AttemptFailed",
        "Attempting",
        "Conversation",
        "Fatal",
        "Fate",
        "FullJitter",
        "Gap",
        "Kind",
        "LifeEnded",
        "Outcome",
        "Position",
        "Proven",
        "Receipt",
        "Refused",
        "Reply",
        "Retry",
        "State",
        "StateChanged",
        "Stats",
        "Subprotocol",
        "Subscription",
        "Topic",
        "classify_default",
    },
    "testing": {"testing"},
}


def __getattr__(name: str) -> object:
    """Load what is asked for and nothing else."""
    for home, names in _LATER.items():
        if name in names:
            module = import_module(f".{home}", __name__)
            found = module if name == home else getattr(module, name)
            globals()[name] = found  # from now on it is found at once
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
