"""The transition table, whole."""

from __future__ import annotations

from itertools import product

import pytest

from wsclient.errors import LocalProtocolError
from wsclient.protocol.state import TRANSITIONS, Input, State, next_state

TABLE = """
                  CONNECTING  OPEN             CLOSING_BY_US  CLOSING_BY_PEER  CLOSED
OPENED            OPEN        -                -              -                -
REFUSED           CLOSED      -                -              -                -
SEND_MESSAGE      -           OPEN             -              -                -
SEND_CONTROL      -           OPEN             -              -                -
SEND_CLOSE        -           CLOSING_BY_US    -              -                -
ECHO_CLOSE        -           -                -              CLOSED           -
RECEIVE_CLOSE     -           CLOSING_BY_PEER  CLOSED         -                -
FAIL              -           CLOSED           CLOSED         -                -
EOF               CLOSED      CLOSED           CLOSED         CLOSED           CLOSED
"""
_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
EXPECTED = {
    (State[state], Input[row[0]]): None if cell == "-" else State[cell]
    for row in _ROWS
    for state, cell in zip(_HEAD, row[1:], strict=True)
}


@pytest.mark.parametrize(("state", "move"), list(product(State, Input)))
def test_each_move_goes_where_the_table_says_or_raises(
    state: State, move: Input
) -> None:
    expected = EXPECTED[state, move]
    if expected is None:
        with pytest.raises(LocalProtocolError, match=f"cannot {move.value} while"):
            next_state(state, move)
    else:
        assert next_state(state, move) is expected


@pytest.mark.parametrize("state", list(State))
def test_closed_is_reached_from_every_state_and_never_left(state: State) -> None:
    assert next_state(state, Input.EOF) is State.CLOSED
    assert set(TRANSITIONS[State.CLOSED].values()) == {State.CLOSED}


def test_every_state_is_reached() -> None:
    reached = {to for moves in TRANSITIONS.values() for to in moves.values()}
    assert reached | {State.CONNECTING} == set(State)
