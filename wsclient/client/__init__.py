"""What users hold: one connection, or one that comes back."""

from .connect import connect

__all__ = ("connect",)
