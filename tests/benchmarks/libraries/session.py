"""What a library must be able to do to take part."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ..job import Job

__all__ = ("Connect", "Keep", "Library", "Session", "opened", "tls_of")


def _as_they_are(texts: list[str]) -> list[Any]:
    return texts


@dataclass(frozen=True, slots=True)
class Session:
    """
    One open connection, as the calls that a library has.

    ``take(n)`` receives n messages as fast as the library can give them; ``send_many``
    sends a list of what ``prepare`` makes of texts, once, before it is measured.

    """

    recv: Callable[[], Awaitable[object]] | None = None
    send: Callable[[str], Awaitable[object]] | None = None
    messages: AsyncIterator[object] | None = None
    take: Callable[[int], Awaitable[object]] | None = None
    send_many: Callable[[list[Any]], Awaitable[object]] | None = None
    prepare: Callable[[list[str]], list[Any]] = _as_they_are


Connect = Callable[[str], AbstractAsyncContextManager[Session]]
"""Opens a connection to a URL."""

Library = Callable[[Job], AbstractAsyncContextManager[Connect]]
"""Makes what all connections of a process share, and gives the way to open them."""

Keep = Callable[[Job, Callable[[float | None], None]], Coroutine[Any, Any, None]]
"""
Keeps one conversation across its connections, for ever.

It tells each time it is open how many seconds after the delay it had drawn for that
attempt, or None if nobody knows.
"""


@asynccontextmanager
async def opened(making: Any) -> AsyncIterator[Session]:
    """Enter what ``websockets``, and who has its interface, give for a connection."""
    async with making as ws:
        yield Session(ws.recv, ws.send, aiter(ws))


def tls_of(job: Job) -> ssl.SSLContext | None:
    """Trust the authority of the job, if the peer speaks TLS."""
    if job.authority is None:
        return None
    return ssl.create_default_context(cafile=job.authority)
