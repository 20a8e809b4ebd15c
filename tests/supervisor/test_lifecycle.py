"""One table for all states and inputs, and observers that cannot hold anybody up."""

from __future__ import annotations

from itertools import product

import anyio
import pytest

from wsclient.errors import LocalProtocolError
from wsclient.supervisor.lifecycle import (
    FINAL,
    TRANSITIONS,
    Events,
    Input,
    Proven,
    State,
    next_state,
)

from .clients import settle

ALLOWED = {
    (State.NEW, Input.ENTER): State.CONNECTING,
    (State.NEW, Input.LEAVE): State.CLOSED,
    (State.CONNECTING, Input.LINKED): State.PREPARING,
    (State.CONNECTING, Input.DROPPED): State.DOWN,
    (State.CONNECTING, Input.GAVE_UP): State.FAILED,
    (State.CONNECTING, Input.LEAVE): State.CLOSING,
    (State.PREPARING, Input.PREPARED): State.OPEN,
    (State.PREPARING, Input.DROPPED): State.DOWN,
    (State.PREPARING, Input.GAVE_UP): State.FAILED,
    (State.PREPARING, Input.LEAVE): State.CLOSING,
    (State.OPEN, Input.DROPPED): State.DOWN,
    (State.OPEN, Input.GAVE_UP): State.FAILED,
    (State.OPEN, Input.LEAVE): State.CLOSING,
    (State.DOWN, Input.DIAL): State.CONNECTING,
    (State.DOWN, Input.GAVE_UP): State.FAILED,
    (State.DOWN, Input.LEAVE): State.CLOSING,
    (State.CLOSING, Input.LINKED): State.CLOSING,
    (State.CLOSING, Input.PREPARED): State.CLOSING,
    (State.CLOSING, Input.DROPPED): State.CLOSING,
    (State.CLOSING, Input.GAVE_UP): State.CLOSING,
    (State.CLOSING, Input.LEAVE): State.CLOSING,
    (State.CLOSING, Input.ENDED): State.CLOSED,
    (State.CLOSED, Input.LEAVE): State.CLOSED,
    (State.CLOSED, Input.ENDED): State.CLOSED,
    (State.FAILED, Input.LEAVE): State.FAILED,
    (State.FAILED, Input.ENDED): State.FAILED,
}


@pytest.mark.parametrize(("state", "what"), list(product(State, Input)))
def test_every_input_in_every_state_is_in_the_table(state: State, what: Input) -> None:
    assert (state, what) in TRANSITIONS
    if (state, what) in ALLOWED:
        assert next_state(state, what) is ALLOWED[state, what]
    else:
        with pytest.raises(LocalProtocolError, match=f"{what} cannot happen.*{state}"):
            next_state(state, what)


def test_final_states_stay_and_every_state_reaches_one() -> None:
    for state, what in TRANSITIONS:
        after = TRANSITIONS[state, what]
        if state in FINAL:
            assert after in {None, state}
    for state in State:
        seen = {state}
        while True:
            more = {TRANSITIONS[s, w] for s in seen for w in Input} - {None} | seen
            if more == seen:
                break
            seen = {s for s in more if s is not None}
        assert seen & FINAL


def test_a_second_enter_says_what_to_do() -> None:
    with pytest.raises(LocalProtocolError, match="used once, make a new one"):
        next_state(State.CLOSED, Input.ENTER)


async def test_an_observer_that_is_late_gets_the_latest() -> None:
    events = Events(2)
    values = [Proven(time=0.0, generation=n) for n in range(5)]
    for value in values:
        events.put(value)
    events.finish()
    assert [value async for value in events] == values[3:]
    assert events.lost == 3


async def test_a_waiting_observer_is_woken_and_loses_nothing_by_a_cancel() -> None:
    events = Events(2)
    got: list[object] = []

    async def observe() -> None:
        got.extend([value async for value in events])

    with anyio.move_on_after(1):
        await anext(events)
    async with anyio.create_task_group() as group:
        group.start_soon(observe)
        await settle()
        events.put(Proven(time=1.0, generation=1))
        await settle()
        events.finish()
    assert got == [Proven(time=1.0, generation=1)]
