"""Virtual time on both backends: hours cost nothing, and a deadlock is told."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable
from typing import Any

__all__ = ("VIRTUAL_BACKENDS", "Deadlock", "suspend", "virtual_backend")

VIRTUAL_BACKENDS = ("asyncio", "trio")
"""What :func:`virtual_backend` takes."""

_PATIENCE = 5.0  # real seconds given to threads when nothing else is left to wait for


class Deadlock(RuntimeError):
    """Every task waits, no deadline is pending: nothing can ever happen any more."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a deadline: goes there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None:
            self.now += timeout
            return ready
        # No deadline is pending. Only a thread or a real socket can go on from here:
        # the loop's own socket pair is the one thing that is always registered.
        if len(self.get_map()) > 1 or threading.active_count() > 1:
            ready = super().select(_PATIENCE)
            if ready:
                return ready
        raise Deadlock(
            "all tasks wait for each other and no deadline is pending:\n"
            + "\n".join(sorted(_where(task) for task in asyncio.all_tasks()))
        )


def _where(task: asyncio.Task[Any]) -> str:
    stack = task.get_stack(limit=1)
    place = f"{stack[-1].f_code.co_filename}:{stack[-1].f_lineno}" if stack else "?"
    return f"  {task.get_name()} at {place}"


class _JumpingLoop(asyncio.SelectorEventLoop):
    """What ``MockClock(autojump_threshold=0)`` is to trio."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        self._jumping.now += seconds


def virtual_backend(name: str) -> tuple[str, dict[str, Any]]:
    """
    Return what an ``anyio_backend`` fixture returns, with a clock of its own.

    ::

        @pytest.fixture(params=VIRTUAL_BACKENDS)
        def anyio_backend(request):
            return virtual_backend(request.param)

    The clock goes to the next deadline as soon as every task waits. Real sockets and
    worker threads look idle to it, so keep them out. Where no deadline is left either,
    asyncio's raises :class:`Deadlock`; trio waits for ever.

    Raises:
        ValueError: there is no such backend.

    """
    if name == "asyncio":
        return "asyncio", {"loop_factory": _JumpingLoop}
    if name == "trio":
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}
    raise ValueError(f"no backend is called {name!r}: asyncio or trio")


def on_asyncio() -> bool:
    """Whether the event loop that runs here is asyncio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def clock_here() -> Callable[[], float]:
    """Return what tells the time of the event loop that runs here, cheaply."""
    if on_asyncio():
        return asyncio.get_running_loop().time
    from trio import current_time

    return current_time


def suspend(seconds: float) -> None:
    """
    Let the virtual clock jump, as a machine's does that sleeps.

    No task runs meanwhile: what was due comes late, all at once, and what was on its
    way has arrived.

    Args:
        seconds: how long the sleep lasts.

    Raises:
        RuntimeError: this event loop does not run on a virtual clock.

    """
    if on_asyncio():
        loop = asyncio.get_running_loop()
        if isinstance(loop, _JumpingLoop):
            loop.jump(seconds)
            return
    else:
        from trio.lowlevel import current_clock
        from trio.testing import MockClock

        clock = current_clock()
        if isinstance(clock, MockClock):
            clock.jump(seconds)
            return
    raise RuntimeError("the clock is real: take virtual_backend() for this test")
