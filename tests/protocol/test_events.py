"""Events are values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from wsclient.protocol import (
    CloseReceived,
    Failed,
    HandshakeFailed,
    Ping,
    Pong,
    Rejection,
    Request,
    Response,
)

EVENTS = [
    lambda: Ping(b"1"),
    lambda: Pong(b"1"),
    lambda: Request(target="/", headers=(("host", "x"),)),
    lambda: Response(status=101, headers=()),
    lambda: Rejection(status=403, headers=(), body=b"no"),
    lambda: HandshakeFailed("why", 400),
    lambda: CloseReceived(1000, "bye"),
    lambda: Failed(1002, "why"),
]


@pytest.mark.parametrize("make", EVENTS)
def test_an_event_is_a_frozen_hashable_value_without_a_dict(make: object) -> None:
    assert callable(make)
    event, other = make(), make()
    assert event == other
    assert hash(event) == hash(other)
    assert not hasattr(event, "__dict__")
    name = next(iter(type(event).__slots__))
    with pytest.raises(FrozenInstanceError):
        setattr(event, name, None)


def test_a_ping_is_not_a_pong() -> None:
    assert len({Ping(b""), Pong(b"")}) == 2
