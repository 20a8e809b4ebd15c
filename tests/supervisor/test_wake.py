"""One task waits, and is woken, on whatever event loop it runs."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import trio

from wsclient.supervisor.wake import Wake, waker_here

from .clients import settle


async def test_it_wakes_who_waits() -> None:
    waker, woken = waker_here()(), []

    async def wait() -> None:
        await waker.wait()
        woken.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await settle()
        assert not woken
        waker.set()
        waker.set()
    assert woken


async def test_set_before_it_is_awaited_it_is_not_missed() -> None:
    waker = waker_here()()
    waker.set()
    await waker.wait()


async def test_set_behind_a_cancelled_wait_it_does_no_harm() -> None:
    waker = waker_here()()
    with anyio.move_on_after(0.1) as scope:
        await waker.wait()
    assert scope.cancelled_caught
    waker.set()


def test_trio_may_be_a_guest_of_asyncio() -> None:
    async def wait(waker: Wake) -> None:
        await waker.wait()

    async def guest() -> str:
        waker = waker_here()()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, waker)
            await trio.lowlevel.checkpoint()
            waker.set()
        return "woken"

    async def host() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=lambda outcome: done.set_result(outcome.unwrap()),
        )
        return str(await done)

    assert asyncio.run(host()) == "woken"
