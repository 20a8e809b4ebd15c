"""The exceptions: one tree, and facts that make a sentence."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import anyio
import pytest

import wsclient
from wsclient import errors
from wsclient.errors import (
    REMEDIES,
    ArgumentError,
    Attempted,
    Close,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    HandshakeRejected,
    Initiator,
    MaybeSent,
    NotSent,
    Phase,
    QueueFull,
    Reason,
    ReceiveTimeout,
    WebSocketError,
    WouldBlock,
    seconds,
    whole_number,
)

FACTS = Facts(reason=Reason.EOF, phase=Phase.OPEN)


def test_the_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"\+-- (\w+)", errors.__doc__)) | {"WebSocketError"}
    there = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, WebSocketError)
        and not name.startswith("_")
    }
    assert drawn == there


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (ArgumentError, ValueError),
        (errors.MessageTypeError, TypeError),
        (errors.ConcurrencyError, RuntimeError),
        (errors.AttemptTimeout, TimeoutError),
        (ConnectionClosed, anyio.EndOfStream),
        (ConnectionLost, anyio.BrokenResourceError),
        (NotSent, anyio.BrokenResourceError),
        (MaybeSent, anyio.BrokenResourceError),
        (QueueFull, NotSent),
        (WouldBlock, anyio.WouldBlock),
        (ReceiveTimeout, TimeoutError),
    ],
)
def test_who_knows_anyio_or_python_can_catch_it_by_what_they_know(
    error: type[Exception], base: type[Exception]
) -> None:
    assert issubclass(error, base)
    assert issubclass(error, WebSocketError)


def test_an_order_to_give_up_is_no_error_of_the_library() -> None:
    assert not issubclass(wsclient.GiveUp, WebSocketError)


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Reason)


def test_an_error_tells_what_happened_where_to_whom_and_what_to_do() -> None:
    facts = Facts(
        reason=Reason.LIVENESS,
        phase=Phase.OPEN,
        host="example.com:443",
        initiator=Initiator.US,
        received=Close(1000, "bye"),
        sent=Close(1001),
        idle=40.04,
        latency=0.0234,
        detail="nothing was heard from the peer",
    )
    assert str(ConnectionLost(facts)) == (
        "nothing was heard from the peer [LIVENESS in phase OPEN, example.com:443,"
        " received 1000 bye, sent 1001, silent for 40.0 s, last latency 23 ms]:"
        " the network or the peer is gone; see ping_timeout"
    )
    assert str(ConnectionLost(FACTS)).startswith("EOF [EOF in phase OPEN]: ")


def test_every_fact_is_an_attribute_of_the_error() -> None:
    attempts = (Attempted(1.0, 2, 3, "no"),)
    facts = replace(FACTS, attempts=attempts)
    error = ConnectError(facts)
    for name in ("reason", "phase", "host", "initiator", "received", "sent"):
        assert getattr(error, name) == getattr(facts, name)
    assert (error.idle, error.latency, error.attempts) == (None, None, attempts)


def test_the_code_is_what_the_peer_sent_or_1006() -> None:
    assert ConnectionLost(FACTS).code == 1006
    closed = Facts(reason=Reason.PEER_CLOSED, phase=Phase.OPEN, received=Close(4001))
    assert ConnectionClosed(closed).code == 4001


def test_a_rejection_carries_the_answer() -> None:
    error = HandshakeRejected(FACTS, status=503, headers=(("a", "b"),), body=b"busy")
    assert (error.status, error.headers, error.body) == (503, (("a", "b"),), b"busy")


def test_what_was_not_sent_is_carried() -> None:
    message = {"op": "order"}
    assert NotSent("no connection", message).message is message
    assert str(MaybeSent("it broke", message)) == "it broke"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionLost(FACTS),
        HandshakeRejected(FACTS, 403, body=b"no"),
        NotSent("text", "message"),
    ],
)
def test_errors_can_be_copied_and_sent_to_other_processes(error: Exception) -> None:
    twin = copy.copy(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)


@pytest.mark.parametrize(("value", "is_"), [(None, None), (0, 0.0), (2.5, 2.5)])
def test_a_duration_is_a_number_of_seconds_or_none(
    value: float | None, is_: float | None
) -> None:
    assert seconds("timeout", value) == is_


@pytest.mark.parametrize("value", [float("nan"), -1, True, "5"])
def test_what_is_no_duration_is_refused_by_name(value: object) -> None:
    with pytest.raises(ArgumentError, match="open_timeout"):
        seconds("open_timeout", value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True, None])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"bound=.*whole number"):
        whole_number("bound", value)


def test_a_whole_number_is_given_back() -> None:
    assert whole_number("bound", 3) == 3
