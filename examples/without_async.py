"""A client in a program that knows no async and await."""

from __future__ import annotations

from anyio.from_thread import start_blocking_portal

import wsclient


def main(url: str = "ws://localhost:8765", backend: str = "asyncio") -> None:
    # The event loop runs in a thread of its own; the portal calls into it.
    with (
        start_blocking_portal(backend) as portal,
        portal.wrap_async_context_manager(wsclient.connect(url)) as ws,
    ):
        portal.call(ws.send, "hello")
        print("received", portal.call(ws.recv, 5))  # timeout in seconds


if __name__ == "__main__":
    main()
