"""Follows prices, and sells when one is high enough."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anyio

import wsclient


class PriceBot:
    """
    A bot that sells each product once, as soon as somebody pays its limit.

    Attributes:
        prices: the last price of each product that was heard of.
        gaps: how often the connection was away.

    """

    def __init__(self, url: str, limits: dict[str, float], **options: Any) -> None:
        self.prices: dict[str, float] = {}
        self.gaps = 0
        self._limits = limits
        self._client = wsclient.Client[Any](
            url,
            subprotocol=wsclient.JsonTopics(key="product"),
            recv_timeout=60,
            **options,
        )

    async def run(self, *, told: Callable[[str], object] = print) -> None:
        """Follow all products until each is sold."""
        async with self._client, anyio.create_task_group() as group:
            for product, limit in self._limits.items():
                group.start_soon(self._follow, product, limit, told)

    async def _follow(
        self, product: str, limit: float, told: Callable[[str], object]
    ) -> None:
        async with self._client.subscribe({"product": product}) as trades:
            async for trade in trades.with_gaps():
                if isinstance(trade, wsclient.Gap):
                    self.gaps += 1
                    continue
                self.prices[product] = trade["price"]
                if trade["price"] >= limit:
                    await self._client.send({"sell": product, "price": trade["price"]})
                    told(f"sold {product} at {trade['price']}")
                    return


if __name__ == "__main__":
    anyio.run(PriceBot(sys.argv[1], {"tea": 20.0, "coffee": 30.0}).run)
