"""A program that brings a client into a state, and stays: backend, state, url."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio

import wsclient
from wsclient.subprotocols import Base
from wsclient.transport import dial
from wsclient.transport.resolver import Resolver


class States(logging.Handler):
    """Tells each state that the client's log names."""

    def emit(self, record: logging.LogRecord) -> None:
        _, sign, state = record.getMessage().partition("= ")
        if sign:
            print(state.partition(",")[0], flush=True)


async def prepares_for_ever(conversation: wsclient.Conversation[str | bytes]) -> None:
    await conversation.send("login")
    await conversation.recv()


def hangs(*_: Any, **__: Any) -> Any:
    time.sleep(600)


async def is_interrupted(conversation: wsclient.Conversation[str | bytes]) -> None:
    signal.raise_signal(signal.SIGINT)
    await anyio.sleep_forever()


def interrupted(_: object) -> float:
    signal.raise_signal(signal.SIGINT)
    return 1000.0


class Interrupted(Base[str | bytes]):
    """Somebody presses Ctrl-C while a message is being decoded."""

    def encode(self, item: str | bytes) -> str | bytes:
        return item

    def decode(self, data: str | bytes) -> list[str | bytes]:
        signal.raise_signal(signal.SIGINT)
        return [data]


OPTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "RESOLVING": lambda: {
        "dial": partial(dial, resolve=Resolver(ask=hangs).getaddrinfo)
    },
    "PREPARING": lambda: {"on_connect": prepares_for_ever},
    "DOWN": lambda: {"wait": lambda state: 1000.0},
    "IN A HOOK": lambda: {"on_connect": is_interrupted},
    "IN WAIT": lambda: {"wait": interrupted},
    "IN DECODE": lambda: {"subprotocol": Interrupted},
}


async def main(state: str, url: str) -> None:
    options = OPTIONS[state]() if state in OPTIONS else {}
    client: wsclient.Client[str | bytes] = wsclient.Client(
        url,
        open_timeout=1000,
        close_timeout=1000,
        write_timeout=1000,
        compression=None,
        **options,
    )
    if state == "RUN":
        async with anyio.create_task_group() as group:
            await group.start(client.run)
            await anyio.sleep_forever()
    async with client:
        match state:  # "IN ..." and others just stay until they are interrupted
            case "CLOSING":
                return
            case "SENDING":
                await client.send(bytes(50_000_000))
            case "RECEIVING":
                async for _ in client:
                    pass
            case _:
                await anyio.sleep_forever()


if __name__ == "__main__":
    logger = logging.getLogger("wsclient.client")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(States())
    backend, state, url = sys.argv[1:]
    anyio.run(main, state, url, backend=backend)
