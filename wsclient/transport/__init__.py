"""Wires: what carries bytes on each event loop, how they are opened and accepted."""

from __future__ import annotations

from .backend import wire_of
from .dial import dial

__all__ = ("dial", "wire_of")
