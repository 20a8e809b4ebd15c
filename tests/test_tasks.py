"""Background tasks that the user's body never notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.tasks import OwnedTasks, checkpoint_here, current_task_here
from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio")])
ON_TRIO = pytest.mark.parametrize("anyio_backend", [virtual_backend("trio")])


class Mine(Exception):
    """The user's own."""


class Stop(BaseException):
    """Like KeyboardInterrupt, but asyncio lets a test see it."""


def never(error: Exception) -> None:
    raise AssertionError(f"nothing fails here: {error!r}")


async def test_a_checkpoint_lets_others_run_and_notices_cancellation() -> None:
    rest, steps = checkpoint_here(), list[int]()

    async def walk() -> None:
        for step in range(3):
            steps.append(step)
            await rest()

    async with anyio.create_task_group() as group:
        group.start_soon(walk)
        group.start_soon(walk)
    assert steps == [0, 0, 1, 1, 2, 2]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await rest()
        steps.append(3)
    assert scope.cancelled_caught
    assert 3 not in steps


@ON_ASYNCIO
async def test_the_current_task_is_that_of_who_asks() -> None:
    current, told = current_task_here(), list[object]()
    assert current() is asyncio.current_task()
    async with anyio.create_task_group() as group:
        group.start_soon(checkpoint)
        asyncio.get_running_loop().call_soon(lambda: told.append(current()))
    assert told == [None]


async def test_tasks_run_beside_the_body_and_end_with_it() -> None:
    steps = list[str]()

    async def work() -> None:
        try:
            steps.append("begun")
            await anyio.sleep_forever()
        finally:
            steps.append("ended")

    async with OwnedTasks(never) as tasks:
        tasks.start_soon(work)
        await anyio.sleep(1)
        steps.append("body")
    assert steps == ["begun", "body", "ended"]


async def test_tasks_that_are_done_leave_nothing_to_end() -> None:
    async with OwnedTasks(never) as tasks:
        tasks.start_soon(checkpoint)
        await anyio.sleep(1)


async def test_what_a_task_raises_goes_to_the_owner_alone() -> None:
    told = list[Exception]()
    error = Mine()

    async def fail() -> None:
        raise error

    async with OwnedTasks(told.append) as tasks:
        tasks.start_soon(fail)
        await anyio.sleep(1)
        tasks.start_soon(fail)
        await anyio.sleep(1)
    assert told == [error, error]


async def test_the_users_cancellation_does_not_reach_the_tasks() -> None:
    worked = 0

    async def work() -> None:
        nonlocal worked
        for _ in range(5):
            await anyio.sleep(1)
            worked += 1

    async with OwnedTasks(never) as tasks:
        tasks.start_soon(work)
        with anyio.move_on_after(0.5):
            await anyio.sleep_forever()
        await anyio.sleep(10)
    assert worked == 5


async def test_leaving_waits_for_the_tasks_also_in_a_cancelled_scope() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            ended = True

    start = anyio.current_time()
    with anyio.move_on_after(1) as scope:
        async with OwnedTasks(never) as tasks:
            tasks.start_soon(work)
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert ended
    assert anyio.current_time() == start + 3


async def test_a_task_that_takes_its_time_to_end_is_waited_for_without_a_word() -> None:
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(60)

    async with OwnedTasks(never) as tasks:
        tasks.start_soon(work)
        await anyio.sleep(1)
        start = anyio.current_time()
    assert anyio.current_time() == start + 60
    await checkpoint()


async def test_the_users_exception_leaves_untouched() -> None:
    error = Mine()
    with pytest.raises(Mine) as raised:
        await _leave_with(error)
    assert raised.value is error
    assert error.__cause__ is None
    assert isinstance(error.__context__, KeyError)
    assert error.__context__.__context__ is None


async def _leave_with(error: Exception) -> None:
    async with OwnedTasks(never) as tasks:
        tasks.start_soon(anyio.sleep_forever)
        await checkpoint()
        try:
            raise KeyError("what went before")
        except KeyError:
            raise error  # noqa: B904 - its context is the point


async def test_the_users_group_is_not_unwrapped() -> None:
    group = ExceptionGroup("of the user's", [Mine()])
    with pytest.raises(ExceptionGroup) as raised:
        await _leave_with(group)
    assert raised.value is group


async def test_what_is_no_exception_leaves_as_itself() -> None:
    async def stop() -> None:
        raise Stop

    async def stop_in_a_group() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(stop)

    for function in (stop, stop_in_a_group):
        with pytest.raises(Stop):
            await _beside(function)


async def _beside(function: Callable[[], Awaitable[None]]) -> None:
    async with OwnedTasks(never) as tasks:
        tasks.start_soon(function)
        await anyio.sleep_forever()


@ON_TRIO
async def test_an_interrupt_in_a_task_leaves_as_itself() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await _beside(interrupted)


@ON_ASYNCIO
async def test_a_native_cancellation_while_leaving_goes_on() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            ended = True

    async def body() -> None:
        async with OwnedTasks(never) as tasks:
            tasks.start_soon(work)
            await anyio.sleep(1)

    task = asyncio.ensure_future(body())
    await anyio.sleep(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


@ON_ASYNCIO
async def test_a_native_cancellation_of_the_body_goes_on() -> None:
    async def body() -> None:
        async with OwnedTasks(never) as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    task = asyncio.ensure_future(body())
    await anyio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@ON_ASYNCIO
async def test_a_task_cancelled_from_outside_is_a_failure_and_no_more() -> None:
    told = list[Exception]()
    tasks_of_theirs = list[Any]()

    async def work() -> None:
        tasks_of_theirs.append(asyncio.current_task())
        await anyio.sleep_forever()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async with OwnedTasks(told.append) as tasks:
        tasks.start_soon(work)
        await anyio.sleep(1)
        tasks_of_theirs[0].cancel()
        tasks.start_soon(cancelled)
        await anyio.sleep(1)
    assert ["from outside" in str(error) for error in told] == [True, True]
    assert isinstance(told[0].__cause__, asyncio.CancelledError)


@ON_ASYNCIO
async def test_a_task_that_ends_by_a_cancellation_of_its_own_has_ended() -> None:
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise asyncio.CancelledError

    async with OwnedTasks(never) as tasks:
        tasks.start_soon(work)
        await anyio.sleep(1)


async def test_what_is_started_while_leaving_still_does_what_it_shields() -> None:
    done = list[str]()

    async def last() -> None:
        done.append("at once")
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
            done.append("shielded")
        await checkpoint()
        done.append("never")

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            tasks.start_soon(last)

    async with OwnedTasks(never) as tasks:
        tasks.start_soon(work)
        await anyio.sleep(1)
        tasks.start_soon(last)
    assert done == ["at once", "at once", "shielded", "shielded"]


async def test_outside_the_context_nothing_is_started() -> None:
    ran = list[str]()

    async def work() -> None:
        ran.append("work")

    tasks = OwnedTasks(never)
    tasks.start_soon(work)
    async with tasks:
        await anyio.sleep(1)
    tasks.start_soon(work)
    await anyio.sleep(1)
    assert ran == []
