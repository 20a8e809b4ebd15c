"""A client that keeps an idle connection open through proxies and load balancers."""

from __future__ import annotations

import anyio

import wsclient


async def main(
    url: str = "ws://localhost:8765", interval: float = 20, idle: float = 3600
) -> None:
    # Proxies close what is silent, often after 60 seconds: ping more often than that.
    async with wsclient.connect(url, ping_interval=interval, ping_timeout=20) as ws:
        await anyio.sleep(idle)
        await ws.send("still here")
        print("received", await ws.recv())
        print("answered pings:", ws.latency is not None)


if __name__ == "__main__":
    anyio.run(main)
