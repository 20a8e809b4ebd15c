"""wsclient: the connection, the client that outlives it, and its subscriptions."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle, islice
from typing import Any

import wsclient

from ..job import LIMIT, MEMORY, WINDOW, Job
from ..texts import CYCLE
from .session import Connect, Session, tls_of

__all__ = ("client", "connection", "keep", "routed", "sorted_by_hand")


def _deflate_of(job: Job) -> wsclient.Deflate:
    """Return zlib's own window and memory, which others cannot change."""
    settings: dict[str, Any] = {
        "server_max_window_bits": None,
        "client_max_window_bits": WINDOW,
        "mem_level": MEMORY,
        "backend": "zlib",
    }
    return wsclient.Deflate(**settings | job.settings)


def _arguments(job: Job) -> dict[str, Any]:
    return {
        "compression": _deflate_of(job) if job.deflate else None,
        "tls": tls_of(job),
        "max_message_size": LIMIT,
        "ping_interval": job.keepalive or 20,
    }


@asynccontextmanager
async def _opened(making: Any) -> AsyncIterator[Session]:
    async with making as ws:
        ahead = 0

        async def take(count: int) -> None:
            nonlocal ahead
            while ahead < count:
                ahead += len(await ws.recv_many())
            ahead -= count

        yield Session(ws.recv, ws.send, aiter(ws), take, ws.send_many)


@asynccontextmanager
async def connection(job: Job) -> AsyncIterator[Connect]:
    arguments = _arguments(job)
    yield lambda url: _opened(wsclient.connect(url, **arguments))


@asynccontextmanager
async def client(job: Job) -> AsyncIterator[Connect]:
    arguments = _arguments(job)
    yield lambda url: _opened(wsclient.Client(url, **arguments))


@asynccontextmanager
async def routed(job: Job) -> AsyncIterator[Connect]:
    """Take JSON from ``settings["topics"]`` subscriptions in turn."""
    topics = job.settings["topics"]

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Session]:
        making: wsclient.Client[Any] = wsclient.Client(
            url, subprotocol=wsclient.JsonTopics(), compression=None
        )
        async with AsyncExitStack() as stack:
            made = await stack.enter_async_context(making)
            subscriptions = [
                await made.subscribe({"channel": number}) for number in range(topics)
            ]
            turns = cycle(subscriptions)

            async def take(count: int) -> None:
                for _ in range(count // CYCLE):
                    await made.send("more")
                    for subscription in islice(turns, CYCLE):
                        await subscription.recv()

            yield Session(take=take)

    yield connect


@asynccontextmanager
async def sorted_by_hand(job: Job) -> AsyncIterator[Connect]:
    """Do what ``routed`` does with a connection and a dict, no subscription there."""
    topics = job.settings["topics"]

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Session]:
        async with wsclient.connect(url, compression=None) as ws:
            queues: dict[int, deque[Any]] = {at: deque() for at in range(topics)}
            await ws.send_many(["subscribe"] * topics)
            turns = cycle(queues.values())

            async def take(count: int) -> None:
                for _ in range(count // CYCLE):
                    await ws.send("more")
                    left = CYCLE
                    while left:
                        for text in await ws.recv_many():
                            item = json.loads(text)
                            queues[item["channel"]].append(item)
                            left -= 1
                    for queue in islice(turns, CYCLE):
                        queue.popleft()

            yield Session(take=take)

    yield connect


async def keep(job: Job, tell: Callable[[float | None], None]) -> None:
    """Stay connected with the backoff whose settings the job has."""
    due: float | None = None
    wait = wsclient.FullJitter(**job.settings)
    async with wsclient.Client(
        job.url, wait=wait, first="background", compression=None
    ) as client:
        events = client.events()
        if client.state is wsclient.State.OPEN:  # before anybody observed
            tell(None)
        async for event in events:
            match event:
                case wsclient.AttemptFailed() | wsclient.LifeEnded():
                    due = event.time + (event.delay or 0)
                case wsclient.StateChanged(after=wsclient.State.OPEN):
                    tell(None if due is None else event.time - due)
                case _:
                    pass
