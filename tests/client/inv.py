"""INV: what must hold after every test, whatever it did to the client."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from wsclient.testing.clock import VIRTUAL_BACKENDS, on_asyncio, virtual_backend

__all__ = ("anyio_backend", "inv", "invariants")


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, Any]]:
    """Both backends: in virtual time, or as they are for what is ``real``."""
    if request.node.get_closest_marker("real"):
        return str(request.param)
    return virtual_backend(request.param)


@pytest.fixture(autouse=True)
async def inv(anyio_backend: object) -> AsyncIterator[None]:
    """Nothing is left behind, nothing was complained of where no test would look."""
    async with invariants():
        yield


@asynccontextmanager
async def invariants(*, hanging: tuple[str, ...] = ()) -> AsyncIterator[None]:
    """
    See that descriptors, tasks and threads are afterwards what they were before.

    ``hanging`` names threads that a test has left so on purpose.

    And that neither the interpreter nor the event loop had to report an exception that
    nobody took: unraisable, never retrieved, or a ResourceWarning.

    """
    complaints: list[str] = []
    with _unraisable(complaints), _logged(complaints), _of_asyncio(complaints):
        before = _descriptors(), _tasks(), _threads()
        gc.freeze()  # what is there already need not be looked at again and again
        try:
            yield
            await _settle()
            _await_lookups(before[2], hanging)
        finally:
            gc.unfreeze()
        after = _descriptors(), _tasks(), _threads()
    for old, new in zip(before, after, strict=True):
        left = [name for key, name in new.items() if key not in old]
        left = [name for name in left if not any(part in name for part in hanging)]
        assert not left, f"left behind: {left}"
    assert not complaints, complaints


async def _settle() -> None:
    """Let what has ended go: callbacks due now, then what only a collection frees."""
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    gc.collect()
    await anyio.lowlevel.checkpoint()


def _await_lookups(before: dict[object, str], hanging: tuple[str, ...]) -> None:
    """A lookup that was abandoned ends when the system has answered it."""
    for thread in threading.enumerate():
        name = "wsclient resolver"
        if thread.name == name and thread.ident not in before and name not in hanging:
            thread.join(30)


def _descriptors() -> dict[object, str]:
    found: dict[object, str] = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one of this listing
            target = os.readlink(f"/proc/self/fd/{name}")
            found[name, target] = f"descriptor {name}: {target}"
    return found


def _tasks() -> dict[object, str]:
    # pytest's runner starts a task of its own for each test and each fixture.
    return {
        task.id: f"task {task.name}: {task.coro!r}"
        for task in anyio.get_running_tasks()
        if "TestRunner" not in repr(task.coro)
    }


def _threads() -> dict[object, str]:
    # trio's guest run, which pytest's runner is, waits in one of trio's own threads.
    return {
        thread.ident: repr(thread)
        for thread in threading.enumerate()
        if not thread.name.startswith("Trio thread")
    }


@contextmanager
def _unraisable(complaints: list[str]) -> Iterator[None]:
    def hook(unraisable: Any) -> None:
        complaints.append(f"{unraisable.err_msg} {unraisable.exc_value!r}")

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def _logged(complaints: list[str]) -> Iterator[None]:
    """What event loops and garbage collectors say where they cannot raise."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complaints.append(record.getMessage())

    listener = Listener(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("asyncio", "trio")]
    for logger in loggers:
        logger.addHandler(listener)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(listener)


@contextmanager
def _of_asyncio(complaints: list[str]) -> Iterator[None]:
    """Callbacks that raised, tasks whose exception was never retrieved."""
    if not on_asyncio():
        yield
        return
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    try:
        yield
    finally:
        loop.set_exception_handler(before)
