"""What a fault proxy does to each of its links: rules that may change at any time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from random import Random
from typing import Generic, Literal, TypeVar, get_args

from ..errors import ArgumentError

__all__ = ("Ending", "Latency", "Rules", "Unreachable")

Ending = Literal["eof", "reset", "silence", "forget"]
"""How a proxy ends a link: the name of a verb of :class:`ProxyLink`."""

Unreachable = Literal["eof", "reset", "silence"]
"""What a client meets whose server cannot be reached."""

Latency = float | tuple[float, float]
"""Seconds, or the least and the most of what is drawn."""

T = TypeVar("T")


class _Rule(Generic[T]):
    """An attribute that is checked when it is set, and heeded at once."""

    def __init__(self, holds: Callable[[T], bool], remedy: str) -> None:
        self._holds = holds
        self._remedy = remedy

    def __set_name__(self, owner: type[Rules], name: str) -> None:
        self._name = name

    def __get__(self, rules: Rules, owner: type[Rules]) -> T:
        value: T = rules.__dict__[self._name]
        return value

    def __set__(self, rules: Rules, value: T) -> None:
        if not self._holds(value):
            raise ArgumentError(f"{self._name}={value!r}: give {self._remedy}")
        vars(rules)[self._name] = value
        rules._stir()


def _is_latency(value: Latency) -> bool:
    least, most = value if isinstance(value, tuple) else (value, value)
    return 0 <= least <= most < inf


def _is_bound(value: float | None) -> bool:
    return value is None or 0 < value < inf


def _is_ending(value: str) -> bool:
    return value in get_args(Ending)


class Rules(ABC):
    """What a link asks its proxy, again and again."""

    target: str
    target_port: int
    random: Random

    latency = _Rule[Latency](
        _is_latency, "seconds, 0 or more, or (the least, the most) of them"
    )
    bandwidth = _Rule[float | None](_is_bound, "bytes a second, more than 0, or None")
    capacity = _Rule[int](_is_bound, "bytes, more than 0")
    idle_timeout = _Rule[float | None](_is_bound, "seconds, more than 0, or None")
    on_idle = _Rule[Ending](_is_ending, "'eof', 'reset', 'silence' or 'forget'")
    cut_after = _Rule[int | None](_is_bound, "bytes, more than 0, or None")
    on_cut = _Rule[Ending](_is_ending, "'eof', 'reset', 'silence' or 'forget'")
    on_unreachable = _Rule[Unreachable](
        lambda value: value in get_args(Unreachable), "'eof', 'reset' or 'silence'"
    )

    def draw_latency(self) -> float:
        """Return how many seconds the bytes just read take."""
        if isinstance(self.latency, tuple):
            return self.random.uniform(*self.latency)
        return self.latency

    @abstractmethod
    def _stir(self) -> None:
        """Tell every link that a rule has changed."""
