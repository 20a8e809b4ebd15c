"""A client's opening handshake: whatever a server answers, and what comes behind it."""

from __future__ import annotations

from collections.abc import Iterable

from wsclient.protocol import (
    Endpoint,
    Event,
    HandshakeFailed,
    Rejection,
    Response,
    Role,
    State,
)

from ..naive import agreed_parameters, behind_head, may_answer
from ..reading import blurred, check_reading, deliver, retained
from ..shared import ACCEPT, DIALLED, Setup, check_head, endpoint, read_setup


def target(data: bytes) -> None:
    """Any answer opens the connection rightly, or ends it and is told."""
    setup, data = read_setup(data)
    us, whole = read(setup, [data])
    if setup.story == "eof":
        assert us.state is State.CLOSED
        assert us.receive_data(data) == us.receive_eof() == []
    elif not whole:
        assert us.state is State.CONNECTING
        # Either a body is being read, or all this were heads: they have one bound.
        assert us.receive_eof() or len(data) <= setup.limits.max_head_size
    else:
        check_outcome(setup, us, data, whole)

    us, pieces = read(setup, setup.chunks(data))
    compression = us.response is not None and us.response.compression
    if compression:
        assert blurred(pieces) == blurred(whole)
    else:
        assert pieces == whole


def read(
    setup: Setup, chunks: Iterable[bytes | memoryview]
) -> tuple[Endpoint, list[Event]]:
    """Ask, and read what is answered; in pieces no more is kept than the limits say."""
    us = endpoint(setup, Role.CLIENT, setup.deflate)
    us.connect(DIALLED)
    before = retained(us)
    events = deliver(us, chunks)
    limits = setup.limits
    if not isinstance(chunks, list) and not events:
        fed = max(setup.first, setup.then)
        bound = limits.max_head_size + limits.max_body_size + fed
        assert retained(us) <= before + 2 * bound + 4096
    if setup.story == "eof":
        events += us.receive_eof()
    return us, events


def check_outcome(setup: Setup, us: Endpoint, data: bytes, events: list[Event]) -> None:
    """The first event is the outcome; only behind a 101 there are others."""
    outcome, *rest = events
    assert not [
        e for e in rest if isinstance(e, Response | Rejection | HandshakeFailed)
    ]
    if isinstance(outcome, Response):
        check_response(setup, us, outcome, data)
        check_reading(setup, us, behind_head(data, b" 101"), rest, closing=False)
        return
    assert not rest
    assert us.state is State.CLOSED
    assert not us.pending
    assert us.response is None
    assert us.receive_data(data) == us.receive_eof() == []
    if isinstance(outcome, Rejection):
        check_head(outcome.headers, setup.limits)
        assert 200 <= outcome.status <= 999
        assert len(outcome.body) <= setup.limits.max_body_size
    else:
        assert isinstance(outcome, HandshakeFailed)
        assert outcome.detail.isprintable()


def check_response(setup: Setup, us: Endpoint, response: Response, data: bytes) -> None:
    """It opened rightly (RFC 6455, 4.1): our key, our offers; and we speak so."""
    check_head(response.headers, setup.limits)
    assert us.response is response
    assert ACCEPT.encode() in data
    assert response.status == 101
    assert response.subprotocol in (None, *setup.subprotocols)
    agreed = agreed_parameters(response.headers)
    assert response.compression is (agreed is not None)
    if agreed is not None:
        assert setup.deflate is not None
        assert any(may_answer(offer, agreed) for _, offer in setup.deflate.offers())
