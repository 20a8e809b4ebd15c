"""One WebSocket connection, for both roles."""

from .connection import Connection
from .dice import DICE, Dice, bytes_of
from .sending import Sendable
from .streaming import MessageStream
from .watch import Timeouts

__all__ = (
    "DICE",
    "Connection",
    "Dice",
    "MessageStream",
    "Sendable",
    "Timeouts",
    "bytes_of",
)
