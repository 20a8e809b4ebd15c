"""Cancelling a call at its n-th checkpoint, for every n there is."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from enum import Enum
from itertools import count
from typing import Any, TypeVar

import anyio

__all__ = ("Cancelling", "cancelled_at", "ways_to_cancel")

T = TypeVar("T")


class Cancelling(Enum):
    """
    How a call is cancelled as it suspends itself.

    On asyncio there is, besides anyio's scopes, the native ``task.cancel()``: also when
    what the task waits for has just come, and it has not run yet.

    """

    SCOPE = "scope"
    NATIVE = "native"
    TOO_LATE = "too late"


def ways_to_cancel(backend: str) -> list[Cancelling]:
    """Return those that there are on a backend."""
    return list(Cancelling) if backend == "asyncio" else [Cancelling.SCOPE]


async def cancelled_at(
    number: int,
    coroutine: Coroutine[Any, Any, T],
    how: Cancelling = Cancelling.SCOPE,
) -> float | None:
    """
    Run it, cancel it as it suspends itself for the n-th time, counted from 0.

    Returns when that was, or None if it did not get that far; what it raises of its own
    is raised. A test calls this with 0, 1, 2 ... until it returns None: then nothing
    was cut short.

    """
    struck: float | None = None

    def cancel(_: object = None) -> None:
        nonlocal struck
        struck = anyio.current_time()
        scope.cancel() if task is None else task.cancel()

    def strike(awaited: asyncio.Future[Any] | None) -> None:
        if how is not Cancelling.TOO_LATE:
            cancel()
        elif awaited is None:
            asyncio.get_running_loop().call_soon(cancel)
        else:
            awaited.add_done_callback(cancel)

    async def run() -> None:
        await _struck_at(number, coroutine, strike)

    task: asyncio.Task[None] | None = None
    with anyio.CancelScope() as scope:
        if how is Cancelling.SCOPE:
            await run()
        else:
            task = asyncio.get_running_loop().create_task(run())
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
    return struck


@types.coroutine
def _struck_at(
    number: int, coroutine: Coroutine[Any, Any, T], strike: Callable[[Any], None]
) -> Generator[Any, Any, T]:
    """Await it, and strike as it suspends itself for the n-th time."""
    send: Callable[[Any], Any] = coroutine.send
    value: Any = None
    for suspended in count():
        try:
            awaited = send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        if suspended == number:
            strike(awaited)
        try:
            value = yield awaited
            send = coroutine.send
        except BaseException as error:
            value, send = error, coroutine.throw
    raise AssertionError
