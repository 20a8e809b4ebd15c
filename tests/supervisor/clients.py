"""Supervisors on a network in memory, with dice that always fall the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio

from wsclient.subprotocols import Base, JsonTopics, Plain
from wsclient.supervisor import Ack, Data, Position, Reply, State, Supervisor

from .network import Network

Raw = Supervisor[Data]
Json = Supervisor[Any]


def lowest(a: float, b: float) -> float:
    return a


def highest(a: float, b: float) -> float:
    return b


class Dice:
    """Always falls on the highest number."""

    def uniform(self, a: float, b: float, /) -> float:
        return b


def fixed(seconds: float) -> Callable[[object], float]:
    """A backoff that always is the same."""
    return lambda state: seconds


def plain(network: Network, **options: Any) -> Raw:
    options.setdefault("wait", fixed(1.0))
    options.setdefault("uniform", lowest)
    return Supervisor(network, Plain(), **options)


def topics(network: Network, *, ack: Any = None, **options: Any) -> Json:
    options.setdefault("wait", fixed(1.0))
    options.setdefault("uniform", lowest)
    return Supervisor(network, JsonTopics(ack=ack), **options)


class Words(Base[str]):
    """
    Texts of the form ``key:rest``; several in one message stand between bars.

    ``?x`` asks for the reply ``!x``, ``+key`` acknowledges, ``@key`` is a position, and
    ``bad`` makes route raise, ``worse`` decode.
    """

    def encode(self, item: str) -> Data:
        if not isinstance(item, str):
            raise TypeError(item)
        return item

    def decode(self, data: Data) -> list[str]:
        assert isinstance(data, str)
        if data == "worse":
            raise ValueError(data)
        return data.split("|")

    def key(self, topic: Any) -> object:
        return topic.message

    def route(self, item: str) -> object:
        if item == "bad":
            raise ValueError(item)
        match item[:1]:
            case "?":
                return Reply("!" + item[1:])
            case "+":
                return Ack(item[1:])
            case "@":
                return Position(item[1:], 1)
        key, colon, _ = item.partition(":")
        return key if colon else None


def words(network: Network, **options: Any) -> Supervisor[str]:
    options.setdefault("wait", fixed(1.0))
    options.setdefault("uniform", lowest)
    return Supervisor(network, options.pop("subprotocol", Words), **options)


def state_of(client: Supervisor[Any]) -> State:
    """Its state now: a type checker believes that a property never changes."""
    return client.state


async def settle() -> None:
    """Let everything happen that can happen now."""
    await anyio.sleep(1e-6)  # virtual time goes on when nobody can


async def read(source: Any) -> list[Any]:
    """Everything that can be read now, gaps too."""
    found: list[Any] = []
    gaps = source.with_gaps()
    with anyio.move_on_after(1e-6):
        while True:
            found.append(await anext(gaps))
    return found


class Log(logging.Handler):
    """Keeps what was logged."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.DEBUG)
        self.logger = logging.Logger(name, logging.DEBUG)
        self.logger.addHandler(self)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def texts(self, level: int) -> list[str]:
        return [r.getMessage() for r in self.records if r.levelno == level]
