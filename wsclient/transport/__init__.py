"""Wires: what carries bytes on each event loop, how they are opened and accepted."""

from __future__ import annotations

from .backend import wire_of
from .dial import dial
from .listen import SocketListener, listen, listen_unix

__all__ = ("SocketListener", "dial", "listen", "listen_unix", "wire_of")
