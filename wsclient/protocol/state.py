"""The states of an endpoint and every move between them: the one table."""

from __future__ import annotations

from enum import Enum

from ..errors import LocalProtocolError

__all__ = ("TRANSITIONS", "Input", "Role", "State", "next_state")


class Role(Enum):
    """Which end of the connection."""

    CLIENT = "client"
    SERVER = "server"


class State(Enum):
    """
    How far the connection has come, and who began to close it.

    CLOSED: both Close frames were exchanged, or the connection failed, was refused
    or lost. What :meth:`Endpoint.data_to_send` still holds may be sent.

    """

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING_BY_US = "closing by us"
    CLOSING_BY_PEER = "closing by peer"
    CLOSED = "closed"


class Input(Enum):
    """What can happen to an endpoint."""

    OPENED = "complete the opening handshake"
    REFUSED = "refuse the opening handshake"
    SEND_MESSAGE = "send a message"
    SEND_CONTROL = "send a ping or pong"
    SEND_CLOSE = "send a Close frame"
    ECHO_CLOSE = "answer a Close frame"
    RECEIVE_CLOSE = "receive a Close frame"
    FAIL = "fail the connection"
    EOF = "meet the end of the stream"


TRANSITIONS: dict[State, dict[Input, State]] = {
    State.CONNECTING: {
        Input.OPENED: State.OPEN,
        Input.REFUSED: State.CLOSED,
        Input.EOF: State.CLOSED,
    },
    State.OPEN: {
        Input.SEND_MESSAGE: State.OPEN,
        Input.SEND_CONTROL: State.OPEN,
        Input.SEND_CLOSE: State.CLOSING_BY_US,
        Input.RECEIVE_CLOSE: State.CLOSING_BY_PEER,
        Input.FAIL: State.CLOSED,
        Input.EOF: State.CLOSED,
    },
    # 5.5.1: no data after a Close frame. We send no ping or pong after it either.
    State.CLOSING_BY_US: {
        Input.RECEIVE_CLOSE: State.CLOSED,
        Input.FAIL: State.CLOSED,
        Input.EOF: State.CLOSED,
    },
    # The answer is the only thing left to say; it is sent without being asked for.
    State.CLOSING_BY_PEER: {
        Input.ECHO_CLOSE: State.CLOSED,
        Input.EOF: State.CLOSED,
    },
    State.CLOSED: {
        Input.EOF: State.CLOSED,
    },
}


def next_state(state: State, move: Input) -> State:
    """
    Return the state after ``move``.

    Raises:
        LocalProtocolError: the move is illegal in this state.

    """
    try:
        return TRANSITIONS[state][move]
    except KeyError:
        raise LocalProtocolError(
            f"cannot {move.value} while {state.name}; nothing was sent"
        ) from None
