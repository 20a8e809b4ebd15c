"""What users hold: one connection, or one that comes back."""

from .client import Client
from .connect import connect

__all__ = ("Client", "connect")
