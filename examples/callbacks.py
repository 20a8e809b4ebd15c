"""Callbacks on top of a client: a loop that calls them."""

from __future__ import annotations

from collections.abc import Callable

import anyio

import wsclient


async def call_back(
    client: wsclient.Client[str | bytes],
    on_message: Callable[[str | bytes], None],
    on_state: Callable[[str], None],
) -> None:
    async def watch() -> None:
        async for event in client.events():
            on_state(type(event).__name__)

    async with client, anyio.create_task_group() as group:
        group.start_soon(watch)
        async for message in client:
            on_message(message)
            if message == "bye":
                break
        group.cancel_scope.cancel()


async def main(url: str = "ws://localhost:8765") -> None:
    await call_back(
        wsclient.Client(url),
        on_message=lambda message: print("message", message),
        on_state=lambda state: print("state", state),
    )


if __name__ == "__main__":
    anyio.run(main)
