"""When to dial again: the supervisor's own backoff, and what others do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Protocol

import tenacity

from ...supervisor import Retry, Stop, Wait
from ...supervisor.backoff import Backoff, FullJitter, Uniform, stop_never

__all__ = (
    "STRATEGIES",
    "Hasty",
    "Pauses",
    "Strategy",
    "decorrelated_jitter",
    "equal_jitter",
    "ours",
    "shipped",
    "spreading",
    "supervised",
)

BASE, CAP = FullJitter().base, FullJitter().cap  # for all that know the two


class Pauses(Protocol):
    """One client's memory of its failures; the supervisor's ``Backoff`` is one."""

    def lives(self, now: float) -> None:
        """The opening handshake succeeded."""
        ...

    def proof(self) -> None:
        """The connection has been open for ``stable_after`` seconds."""
        ...

    def failed(self, error: BaseException, now: float, verdict: Retry) -> float | None:
        """An attempt or a life ended; return the delay in seconds before the next."""
        ...


Pause = Callable[[float], Pauses]
"""Makes the pauses of one client that is entered at this time."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """
    A named way to wait.

    ``pauses`` is given the dice of the fleet and returns what makes the pauses of each
    of its clients.

    """

    name: str
    pauses: Callable[[Random], Pause]


Supervise = Callable[[Wait, Stop, Uniform, float], Backoff]


def supervised(
    name: str, wait: Callable[[Random], Wait], backoff: Supervise = Backoff
) -> Strategy:
    """Put a ``wait`` object into the real ``Backoff``: floors, proof, flap window."""

    def pauses(dice: Random) -> Pause:
        shared = wait(dice)
        return lambda now: backoff(shared, stop_never, dice.uniform, now)

    return Strategy(name, pauses)


class _Shipped:
    """Delays that begin anew with each handshake and know of no verdict."""

    __slots__ = ("_delays", "_dice", "_left")

    def __init__(
        self, delays: Callable[[Random], Iterator[float]], dice: Random
    ) -> None:
        self._delays = delays
        self._dice = dice
        self._left = delays(dice)

    def lives(self, now: float) -> None:
        self._left = self._delays(self._dice)

    def proof(self) -> None:
        """Do nothing: the handshake was proof enough."""

    def failed(self, error: BaseException, now: float, verdict: Retry) -> float:
        return next(self._left)


def shipped(name: str, delays: Callable[[Random], Iterator[float]]) -> Strategy:
    """
    Do as a library does that starts over with each handshake.

    The first of ``delays`` stands between the end of a connection and the next dial.

    """

    def pauses(dice: Random) -> Pause:
        return lambda now: _Shipped(delays, dice)

    return Strategy(name, pauses)


class Hasty(Backoff):
    """What ours would be if the opening handshake were proof of life."""

    def lives(self, now: float) -> None:
        """Begin a life and prove it at once."""
        super().lives(now)
        self.proof()


def ours(
    name: str = "wsclient",
    *,
    base: float = BASE,
    cap: float = CAP,
    backoff: Supervise = Backoff,
) -> Strategy:
    """Full jitter as the supervisor has it, by default with its defaults."""
    return supervised(name, lambda dice: FullJitter(base, cap, dice), backoff)


def spreading(part: float) -> Supervise:
    """Give a backoff that spreads each floor upwards by this part of it."""

    class Spreading(Backoff):
        def failed(
            self, error: BaseException, now: float, verdict: Retry
        ) -> float | None:
            floor = verdict.at_least
            return super().failed(error, now, Retry(floor, floor * (1.0 + part)))

    return Spreading


def equal_jitter(dice: Random, base: float = BASE, cap: float = CAP) -> Wait:
    """Half of the exponential delay, and a random part of the other half."""

    def wait(state: tenacity.RetryCallState) -> float:
        whole = min(cap, base * 2.0 ** min(state.attempt_number - 1, 64))
        return whole / 2 + dice.uniform(0.0, whole / 2)

    return wait


def decorrelated_jitter(dice: Random, base: float = BASE, cap: float = CAP) -> Wait:
    """Between ``base`` and three times the delay before."""

    def wait(state: tenacity.RetryCallState) -> float:
        return min(cap, dice.uniform(base, 3 * max(base, state.upcoming_sleep)))

    return wait


def _websockets(dice: Random) -> Iterator[float]:
    """
    Give the delays of ``async for ws in websockets.connect(...)``, websockets 17.4.

    A dropped connection is replaced at once; ``websockets.client.backoff`` stands
    between failing attempts.

    """
    yield 0.0
    yield dice.uniform(0.0, 5.0)
    delay = 3.1
    while delay < 90.0:
        yield delay
        delay *= 1.618
    while True:
        yield 90.0


def _picows(dice: Random) -> Iterator[float]:
    """Give the delays of ``async for`` over ``picows.websockets.connect``, 2.3.1."""
    yield 0.0
    delay = 1.0
    while True:
        yield delay
        delay = min(2 * delay, 60.0)


def _socketio(dice: Random) -> Iterator[float]:
    """Give the delays of python-socketio 5.18.1, which cuts first and then jitters."""
    delay = 1.0
    while True:
        yield min(delay, 5.0) + dice.uniform(-0.5, 0.5)
        delay *= 2


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        ours(),
        supervised("fixed 5 s", lambda dice: tenacity.wait_fixed(5)),
        supervised(
            "exponential",
            lambda dice: tenacity.wait_exponential(multiplier=BASE, max=CAP),
        ),
        supervised("equal jitter", equal_jitter),
        supervised("decorrelated", decorrelated_jitter),
        shipped("websockets", _websockets),
        shipped("picows", _picows),
        shipped("socket.io", _socketio),
    )
}
"""Ours; other waits within our supervisor; what others ship."""
