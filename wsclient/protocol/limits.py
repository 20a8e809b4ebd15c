"""How much a peer may make us hold, and how much our own queues may."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import ArgumentError

__all__ = ("Limits", "checked_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    Bounds against hostile peers and slow readers; every one is at least 1.

    The size of a message has its own argument, ``max_message_size``.

    Raises:
        ArgumentError: a bound is no integer, or below 1.

    """

    max_fragments: int = 4096
    """Frames of one message, empty ones too; beyond, close code 1008."""
    max_control_backlog: int = 4096
    """Control frames in a row between two frames of one message; beyond, 1008."""
    max_headers: int = 128
    """Header lines of a head of the opening handshake; beyond, HTTP 431."""
    max_header_size: int = 8192
    """Bytes of one header line with its end: 431; of the request target: 414."""
    max_head_size: int = 65536
    """Bytes of a whole head, or of all heads of one answer; beyond, HTTP 431."""
    max_body_size: int = 65536
    """Bytes kept of the body of a rejection; the rest is cut off."""
    max_queue: int = 4096
    """Messages of one queue of received messages."""
    max_queue_bytes: int = 8 * 2**20
    """Bytes of one queue of received messages."""
    max_client_bytes: int = 64 * 2**20
    """Bytes of all queues of one client."""
    max_queued_sends: int = 1000
    """Messages waiting to be sent."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(
                    f"{field.name} must be an integer of at least 1, not {value!r}"
                )


def checked_size(max_message_size: int | None) -> int | None:
    """
    Return the bound of one message.

    Raises:
        ArgumentError: it is neither None nor an integer of at least 1.

    """
    if max_message_size is not None and (
        isinstance(max_message_size, bool)
        or not isinstance(max_message_size, int)
        or max_message_size < 1
    ):
        raise ArgumentError(
            "max_message_size must be at least 1 byte, or None for no limit, not "
            f"{max_message_size!r}"
        )
    return max_message_size
