"""Texts to send: plain ones, and such as a feed of JSON has, to be compressed."""

from __future__ import annotations

import json
import random

__all__ = ("CYCLE", "DIFFERENT", "json_texts", "plain_texts", "topic_texts")

DIFFERENT = 500  # texts at most, and fewer of long ones; no window holds them all
TOGETHER = 1 << 20  # bytes of them, about
CYCLE = 10_000  # messages that the peer sends when it is asked, to all topics in turn


def plain_texts(size: int) -> list[str]:
    return ["x" * size]


def json_texts(size: int) -> list[str]:
    """Make trades of a market, as many in a text as ``size`` bytes hold."""
    dice = random.Random(1)
    texts = []
    for number in range(max(2, min(DIFFERENT, TOGETHER // size))):
        parts = ['{"channel":"trades","data":[']
        length = 0
        while length < size:
            parts.append(_trade(dice, number) + ",")
            length += len(parts[-1])
        texts.append("".join(parts)[:size])
    return texts


def _trade(dice: random.Random, number: int) -> str:
    trade = {
        "id": 880_000_000 + 1000 * number + dice.randrange(1000),
        "symbol": dice.choice(("BTC-USD", "ETH-USD", "SOL-EUR", "ADA-USD")),
        "side": dice.choice(("buy", "sell")),
        "price": f"{dice.uniform(100, 70_000):.2f}",
        "size": f"{dice.expovariate(2):.8f}",
        "time": f"2026-11-22T12:{dice.randrange(60):02}:{dice.uniform(0, 60):09.6f}Z",
    }
    return json.dumps(trade, separators=(",", ":"))


def topic_texts(topics: int) -> list[str]:
    """Make a cycle of what ``JsonTopics`` routes, to each topic in turn."""
    return [f'{{"channel":{at % topics},"price":12345.67}}' for at in range(CYCLE)]
