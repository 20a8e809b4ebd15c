"""What tasks need: owners that alone end them, and cheap checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

import anyio
from anyio.lowlevel import current_token

__all__ = ("Checkpoint", "OwnedTasks", "checkpoint_here", "current_task_here")

Checkpoint = Callable[[], Awaitable[None]]
"""Lets other tasks run, and notices cancellation."""

PATIENCE = 5.0  # seconds that ended tasks get; they are synchronous at heart


def checkpoint_here() -> Checkpoint:
    """Return anyio's checkpoint for this event loop, which is not looked up again."""
    if hasattr(current_token().native_token, "create_future"):
        from asyncio import sleep  # on the other one it is not needed

        return partial(sleep, 0)
    from trio.lowlevel import checkpoint

    return checkpoint


def current_task_here() -> Callable[[], object]:
    """Return what tells the task that runs on this asyncio loop; None: a callback."""
    from asyncio import current_task, get_running_loop, tasks

    # Before 3.12 the function is one in Python, which looks there.
    there: Any = tasks
    known = there._current_tasks.get if sys.version_info < (3, 12) else current_task
    return partial(known, get_running_loop())


class OwnedTasks:
    """
    A task group around a user's body that the user never notices.

    The user's cancellation does not reach these tasks; leaving ends them and waits for
    it, also when the user's scope is cancelled. What a task raises goes to ``failed``,
    synchronously, and nothing else: neither is the body cancelled nor does an
    ``ExceptionGroup`` appear. Enter and leave it in the same task.

    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._open = False
        self._ending = False
        self._scopes: set[anyio.CancelScope] = set()

    async def __aenter__(self) -> OwnedTasks:
        # Transparent while the body runs; leaving turns it into a bounded shield.
        self._shield = anyio.CancelScope()
        self._group = anyio.create_task_group()
        self._shield.__enter__()
        await self._group.__aenter__()  # it waits for nothing
        self._open = True
        return self

    def start_soon(self, function: Callable[[], Awaitable[None]]) -> None:
        """
        Run ``function`` in a task; it never raises.

        While the end is awaited it runs cancelled: what it does before it waits, or
        under a shield of its own, is still done. Outside the context it does not run.

        """
        if self._open:
            self._group.start_soon(self._run, function)

    async def _run(self, function: Callable[[], Awaitable[None]]) -> None:
        try:
            with anyio.CancelScope(shield=True) as scope:
                if self._ending:
                    scope.cancel()
                self._scopes.add(scope)
                try:
                    await function()
                except Exception as exc:  # noqa: BLE001 - told to the owner, whole
                    self._failed(exc)
                finally:
                    self._scopes.discard(scope)
        except anyio.get_cancelled_exc_class() as exc:
            # A native task.cancel(), or a CancelledError of the function's own: anyio
            # would cancel the whole group, and the user's body with it.
            error = RuntimeError("a task was cancelled from outside")
            error.__cause__ = exc
            self._failed(error)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending = True
        self._shield.shield = True
        self._shield.deadline = anyio.current_time() + PATIENCE
        for scope in self._scopes:
            scope.cancel()
        try:
            # The body's exception is not for the group: it would wrap it.
            await self._group.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            # KeyboardInterrupt and SystemExit leave as themselves.
            self._shield.__exit__(None, None, None)
            raise _innermost(group) from None
        except BaseException as error:
            # A native task.cancel(): the tasks have ended, let it go on.
            if not self._shield.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            self._shield.__exit__(None, None, None)
        finally:
            self._open = False


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
