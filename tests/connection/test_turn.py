"""Senders in turn."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from wsclient.connection.turn import Turn


async def test_who_waits_longest_goes_first() -> None:
    turn, went = Turn(), list[int]()

    async def sender(number: int) -> None:
        await turn.wait()
        went.append(number)
        turn.held = False
        turn.grant()

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(sender, number)
            while len(turn.waiting) != number + 1:
                await checkpoint()
        turn.grant()
    assert went == [0, 1, 2, 3, 4]
    assert not turn.held
    assert not turn.waiting


async def test_a_turn_that_is_held_is_not_given_away() -> None:
    turn = Turn()
    turn.held = True
    turn.grant()
    assert turn.held


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    turn = Turn()
    with anyio.move_on_after(0):
        await turn.wait()
    assert not turn.held
    assert not turn.waiting


async def test_a_waiter_cancelled_with_the_turn_passes_it_on() -> None:
    turn, went = Turn(), list[str]()

    async def sender(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await turn.wait()
            went.append(name)

    first, second = anyio.CancelScope(), anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(sender, "first", first)
        while len(turn.waiting) != 1:
            await checkpoint()
        group.start_soon(sender, "second", second)
        while len(turn.waiting) != 2:
            await checkpoint()
        first.cancel()
        turn.grant()
    assert went == ["second"]
    assert turn.held


async def test_at_the_end_all_learn_it_at_once_whoever_holds_the_turn() -> None:
    turn, woken = Turn(), list[int]()
    turn.held = True

    async def sender(number: int) -> None:
        await turn.wait()
        woken.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(sender, number)
        while len(turn.waiting) != 3:
            await checkpoint()
        turn.wake_all()
    assert sorted(woken) == [0, 1, 2]
    assert turn.held
