"""What is measured of a fleet, and what each figure means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ("SHARES", "Figures", "jain", "percentile")

SHARES = (0.50, 0.95, 0.99, 1.0)  # of the fleet that is back


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the least value that this share of the ordered values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def jain(values: Sequence[float]) -> float:
    """Give Jain's index: 1 if all have the same, 1/n if one has everything."""
    total = math.fsum(values)
    squares = math.fsum(value * value for value in values)
    return total * total / (len(values) * squares) if squares else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    How one fleet came back.

    ``peak_second`` and ``peak_tenth`` are the most attempts that a listening server met
    in 1 s and in 100 ms, as a multiple of what it can accept in that time. ``back``
    holds the times in seconds, from the end of the connections on, at which 50, 95, 99
    and 100 % of the fleet have the connection that lasts; None: not within the horizon.
    ``wasted`` is the number of attempts of a client, on average, that led to no such
    connection. ``median`` is the median outage of a client in seconds, ``unfairness``
    the 99th percentile of the outages divided by it, ``jain`` Jain's index of the
    outages. Who is not back at the horizon has its outage end there. ``load`` is the
    number of attempts in each second as a multiple of the capacity.

    """

    scenario: str
    strategy: str
    clients: int
    attempts: int
    peak_second: float
    peak_tenth: float
    back: tuple[float | None, ...]
    wasted: float
    median: float
    unfairness: float
    jain: float
    load: tuple[float, ...]

    @classmethod
    def of(
        cls,
        *,
        scenario: str,
        strategy: str,
        capacity: float,
        returns: float,
        horizon: float,
        ended: Sequence[float],
        back: Sequence[float],
        tenths: Sequence[int],
        attempts: int,
    ) -> Figures:
        """
        Reckon from when each connection ended and was back (negative: never).

        ``tenths`` counts the attempts of each tenth of a second, ``capacity`` is what
        the server can accept in a second, and it listens from ``returns`` on.

        """
        clients = len(ended)
        times = sorted(at if at >= 0 else math.inf for at in back)
        reached = (percentile(times, share) for share in SHARES)
        outages = sorted(
            (at if at >= 0 else horizon) - end
            for at, end in zip(back, ended, strict=True)
        )
        median = percentile(outages, 0.5)
        seconds = [sum(tenths[at : at + 10]) for at in range(0, len(tenths), 10)]
        last = max((at for at, count in enumerate(seconds) if count), default=0)
        first = int(returns)
        return cls(
            scenario=scenario,
            strategy=strategy,
            clients=clients,
            attempts=attempts,
            peak_second=max(seconds[first:]) / capacity,
            peak_tenth=max(tenths[first * 10 :]) * 10 / capacity,
            back=tuple(None if math.isinf(at) else at for at in reached),
            wasted=(attempts - sum(at >= 0 for at in back)) / clients,
            median=median,
            unfairness=percentile(outages, 0.99) / median if median else 1.0,
            jain=jain(outages),
            load=tuple(count / capacity for count in seconds[: last + 1]),
        )
