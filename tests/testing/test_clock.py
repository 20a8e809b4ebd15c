"""Virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wsclient.testing.clock import (
    VIRTUAL_BACKENDS,
    Deadlock,
    suspend,
    virtual_backend,
)


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


async def test_hours_cost_nothing_and_are_exact() -> None:
    start = anyio.current_time()
    await anyio.sleep(7200)
    assert anyio.current_time() - start == pytest.approx(7200)


async def test_a_deadline_fires_at_its_time_when_all_tasks_wait() -> None:
    start = anyio.current_time()
    with pytest.raises(TimeoutError), anyio.fail_after(30):
        await anyio.Event().wait()
    assert anyio.current_time() - start == pytest.approx(30)


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await anyio.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as group:
        for seconds in (30, 10, 20):
            group.start_soon(sleeper, seconds)
    assert woken == [10, 20, 30]


def test_each_backend_gets_a_clock_of_its_own() -> None:
    async def one_hour() -> float:
        await anyio.sleep(3600)
        return anyio.current_time()

    for name in VIRTUAL_BACKENDS:
        times = set()
        for _ in range(2):
            backend, options = virtual_backend(name)
            times.add(anyio.run(one_hour, backend=backend, backend_options=options))
        assert len(times) == 1


def test_tasks_that_wait_for_each_other_are_told_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under virtual time a deadlock would be a hang that no timeout ends."""
    monkeypatch.setattr("wsclient.testing.clock._PATIENCE", 0.01)
    backend, options = virtual_backend("asyncio")

    async def waits_for_ever() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock, match="waits_for_ever"):
        anyio.run(waits_for_ever, backend=backend, backend_options=options)


async def test_a_thread_is_given_real_time() -> None:
    """Where no deadline is pending, a worker may still call back."""
    assert await anyio.to_thread.run_sync(lambda: 5) == 5


def test_an_unknown_backend_is_told_at_the_call() -> None:
    with pytest.raises(ValueError, match="curio"):
        virtual_backend("curio")


async def test_a_suspended_clock_jumps_and_no_task_runs_meanwhile() -> None:
    start = anyio.current_time()
    woken: list[float] = []

    async def sleeper() -> None:
        for _ in range(3):
            await anyio.sleep(10)
            woken.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        await anyio.sleep(5)
        suspend(3600)
    assert woken == pytest.approx([3605, 3615, 3625])


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_real_clock_cannot_be_suspended() -> None:
    with pytest.raises(RuntimeError, match="virtual_backend"):
        suspend(1)
