"""One WebSocket connection, for both roles."""

from .connection import Connection
from .dice import DICE, Dice, bytes_of
from .sending import Sendable
from .watch import Timeouts

__all__ = ("DICE", "Connection", "Dice", "Sendable", "Timeouts", "bytes_of")
