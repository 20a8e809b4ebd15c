"""How long to wait and when to stop: tenacity's language, spoken on anyio's clock."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Protocol

import tenacity

from ..errors import ArgumentError
from .checks import check_seconds
from .policy import SPREAD
from .seam import Retry

__all__ = ("Backoff", "Dice", "FullJitter", "Stop", "Uniform", "Wait", "stop_never")

Wait = Callable[[tenacity.RetryCallState], "int | float"]
"""Any of tenacity's ``wait`` objects, or a function like one."""

Stop = Callable[[tenacity.RetryCallState], bool]
"""Any of tenacity's ``stop`` objects, or a function like one."""

Uniform = Callable[[float, float], float]

stop_never: Stop = tenacity.stop_never

WINDOW = 60.0  # seconds in which there are at most LIVES lives without proof
LIVES = 6


class Dice(Protocol):
    """The one method of ``random.Random`` that is used."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between a and b."""
        ...


class FullJitter(tenacity.wait.wait_base):
    """
    Wait ``uniform(0, min(cap, base * 2 ** (attempt_number - 1)))`` seconds.

    ``random`` is a ``random.Random`` or anything with its ``uniform``; by default the
    operating system's dice are thrown.

    Raises:
        ArgumentError: ``base`` or ``cap`` is no finite number of seconds above 0.

    """

    def __init__(
        self, base: float = 1.0, cap: float = 30.0, random: Dice | None = None
    ) -> None:
        for name, value in ("base", base), ("cap", cap):
            if check_seconds(name, value) == 0:
                raise ArgumentError(f"{name}=0 would redial without a pause")
        self.base = base
        self.cap = cap
        self.random: Dice = secrets.SystemRandom() if random is None else random

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        exponent = min(retry_state.attempt_number - 1, 64)  # far beyond any cap
        return self.random.uniform(0.0, min(self.cap, self.base * 2.0**exponent))

    def __repr__(self) -> str:
        return f"FullJitter(base={self.base}, cap={self.cap})"


class Backoff:
    """
    Counts attempts since the last proof of life and gives the delay of each.

    An outage begins at the end of the last proven life (at first, with the client) and
    ends at the next proof. The life that gave proof counts as its first attempt, so
    ``attempt_number`` is never 0.

    """

    def __init__(self, wait: Wait, stop: Stop, uniform: Uniform, now: float) -> None:
        self._wait = wait
        self._stop = stop
        self._uniform = uniform
        self._retrying = tenacity.Retrying(sleep=_never_sleeps)
        self._proven = False
        self._unproven: deque[float] = deque(maxlen=LIVES)
        self._state = self._outage(now)

    def _outage(self, now: float) -> tenacity.RetryCallState:
        state = tenacity.RetryCallState(self._retrying, None, (), {})
        state.start_time = now  # tenacity took its own clock
        return state

    @property
    def number(self) -> int:
        """The number of the attempt that is being made or that lives."""
        return self._state.attempt_number

    def lives(self, now: float) -> None:
        """A life begins; it is unproven until :meth:`proof`."""
        self._unproven.append(now)

    def proof(self) -> None:
        """The present life gave proof of life."""
        if not self._proven:
            self._proven = True
            self._unproven.pop()
            self._state.attempt_number = 1

    def failed(self, error: BaseException, now: float, verdict: Retry) -> float | None:
        """
        Count an end and return the delay before the next attempt; None: stop.

        What ``wait`` and ``stop`` raise goes through.

        """
        self._begin_outage(now)
        state = self._state
        state.outcome = tenacity.Future(state.attempt_number)
        state.outcome.set_exception(error)
        state.outcome_timestamp = now
        delay = check_seconds("what wait gives", self._wait(state))
        delay = self._stretched(max(delay, self._floor(verdict)), now)
        state.upcoming_sleep = delay
        if self._stop(state):
            return None
        state.idle_for += delay
        state.prepare_for_next_attempt()
        return delay

    def skipped(self, now: float) -> None:
        """Count an end that the user asked for: no delay, no question."""
        self._begin_outage(now)
        self._state.prepare_for_next_attempt()

    def _begin_outage(self, now: float) -> None:
        if self._proven:
            self._proven = False
            self._state = self._outage(now)

    def _floor(self, verdict: Retry) -> float:
        at_least = check_seconds("Retry.at_least", verdict.at_least)
        if verdict.at_most is None:
            return at_least
        at_most = check_seconds("Retry.at_most", verdict.at_most)
        return self._uniform(at_least, max(at_least, at_most))

    def _stretched(self, delay: float, now: float) -> float:
        """Keep the flap window: whoever flaps comes back slowly, and not in step."""
        if len(self._unproven) == LIVES:
            needed = self._unproven[0] + WINDOW - now
            if needed > delay:
                return self._uniform(needed, needed * SPREAD)
        return delay


def _never_sleeps(seconds: float) -> None:
    raise AssertionError("tenacity keeps the count here, not the time")
