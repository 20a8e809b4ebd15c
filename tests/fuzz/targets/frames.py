"""Frames: any bytes behind the opening handshake, in both roles, kept or told."""

from __future__ import annotations

from ..reading import check_pieces, check_reading, deliver
from ..shared import opened, read_setup


def target(data: bytes) -> None:
    """Whole and in pieces, kept and told, the same bytes say the same."""
    setup, data = read_setup(data)
    us = opened(setup)
    closing = setup.story == "closing"
    if closing:
        us.close(1001)
    events = deliver(us, [data])
    check_reading(setup, us, data, events, closing=closing)
    check_pieces(setup, data, events)
