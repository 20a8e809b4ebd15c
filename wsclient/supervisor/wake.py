"""Waiting to be woken once: on asyncio a future, which costs half an event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import anyio
from anyio.lowlevel import current_token

__all__ = ("Wake", "waker_here")


class Wake(Protocol):
    """Wakes one task, once; to set it again, or when that task has left, is no harm."""

    def set(self) -> None:
        """Wake it. Synchronous, from anywhere in the loop's thread."""
        ...

    def wait(self) -> Awaitable[None]:
        """Wait until it is set; cancelling changes nothing."""
        ...


def waker_here() -> Callable[[], Wake]:
    """Return what makes one on this event loop, which is not looked up again."""
    loop: Any = current_token().native_token
    if hasattr(loop, "create_future"):
        return partial(_Future, loop.create_future)
    return anyio.Event


class _Future:
    __slots__ = ("_future",)

    def __init__(self, create_future: Callable[[], Any]) -> None:
        self._future = create_future()

    def set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> Awaitable[None]:
        future: Awaitable[None] = self._future
        return future
