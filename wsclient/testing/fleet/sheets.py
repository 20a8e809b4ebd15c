"""The pictures of the documentation: which fleets, and what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache

import tenacity

from ...supervisor.policy import SPREAD
from .figures import Figures
from .plots import Panel, loads, sweeps, times
from .scenarios import SCENARIOS, Answer, Scenario
from .simulation import simulate
from .strategies import (
    BASE,
    CAP,
    STRATEGIES,
    Hasty,
    Strategy,
    ours,
    spreading,
    supervised,
)

__all__ = ("SHEETS", "BLIP", "CLIENTS", "CRASH", "FLAPPING", "ROOMY")

CLIENTS = 5_000
SWEPT = 2_000  # clients of each point of a sweep

BLIP = Scenario(name="blip")
ROOMY = Scenario(name="roomy", whole=0.1, returns=600.0)
"""A balancer cuts all and serves on; a long outage of a server with room for all."""

Series = list[tuple[str, Sequence[float | None]]]

CRASH = replace(SCENARIOS["restart"], name="crash", ended=Answer.BROKEN)

FLAPPING = (
    ours(),
    ours("proof at once", backoff=Hasty),
    supervised("no pause", lambda dice: tenacity.wait_none()),
    *(STRATEGIES[name] for name in ("fixed 5 s", "exponential")),
    *(STRATEGIES[name] for name in ("websockets", "picows", "socket.io")),
)


@cache
def _fleets(
    name: str, strategies: tuple[Strategy, ...] = tuple(STRATEGIES.values())
) -> list[Figures]:
    scenario = SCENARIOS[name]
    return [simulate(scenario, strategy, clients=CLIENTS) for strategy in strategies]


def _restart() -> str:
    return loads(
        "A restart: what waits without jitter comes back in step, and again in step",
        _fleets("restart"),
        until=240,
        step=60,
        capacity="the whole fleet in 50 s; down for 10 s",
    )


def _region() -> str:
    return loads(
        "A region is lost: silence spreads the clients, and jitter keeps them spread",
        _fleets("region"),
        until=240,
        step=60,
        capacity="the whole fleet in 50 s, from 60 s on",
    )


def _slow() -> str:
    return loads(
        "A slow recovery: short caps feed the overload, long ones without jitter sleep "
        "through its end",
        _fleets("slow"),
        until=420,
        step=120,
        capacity="the whole fleet in 50 s; at 30 s a tenth of it, growing until 210 s",
    )


def _loop() -> str:
    return loads(
        "A server that accepts and drops for five minutes: the handshake is no proof "
        "of life",
        _fleets("loop", FLAPPING),
        until=360,
        step=60,
        capacity="half of the fleet in a second",
    )


def _recovery() -> str:
    names = {
        "restart": "a restart",
        "region": "a region lost",
        "slow": "a slow recovery",
    }
    return times(
        "Jitter in proportion to the delay brings the last client back soonest",
        [(label, _fleets(name)) for name, label in names.items()],
        until=400,
        step=100,
    )


def _sweep(scenario: Scenario, strategies: Iterable[Strategy]) -> list[Figures]:
    return [simulate(scenario, strategy, clients=SWEPT) for strategy in strategies]


def _ends(fleets: Iterable[Figures], since: float = 0.0) -> list[float | None]:
    """Give the times at which 99 % were back."""
    ends = [fleet.back[2] for fleet in fleets]
    return [None if end is None else end - since for end in ends]


def _base() -> str:
    bases = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
    strategies = [ours(base=base) for base in bases]
    herds = _sweep(BLIP, strategies)
    lone = _sweep(replace(ROOMY, returns=0.0), strategies)

    def panel(
        label: str, values: Sequence[float | None], marks: Sequence[float]
    ) -> Panel:
        return Panel(label, "base in seconds", bases, [("", values)], marks, BASE)

    return sweeps(
        "A longer base spreads a herd better; a shorter one mends a lone drop sooner",
        [
            panel(
                "herd: peak attempts per s / capacity",
                [fleet.peak_second for fleet in herds],
                (1, 10, 100, 1000),
            ),
            panel("herd: s until 99 % are back", _ends(herds), (10, 30, 100, 300)),
            panel(
                "alone: median outage, s",
                [fleet.median for fleet in lone],
                (0.01, 0.1, 1, 10),
            ),
        ],
    )


def _cap() -> str:
    caps = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
    strategies = [ours(cap=cap) for cap in caps]
    slow = _sweep(SCENARIOS["slow"], strategies)
    crash = _sweep(CRASH, strategies)
    roomy = _sweep(ROOMY, strategies)

    def panel(label: str, series: Series, marks: Sequence[float]) -> Panel:
        return Panel(label, "cap in seconds", caps, series, marks, CAP)

    return sweeps(
        "Short caps keep an overload alive, long ones oversleep: 30 s lies between",
        [
            panel(
                "scarce: s until 99 % are back",
                [
                    ("slow recovery", _ends(slow)),
                    ("10 s down", _ends(crash)),
                ],
                (30, 100, 300, 1000),
            ),
            panel(
                "scarce: tries lost by a client",
                [("", [fleet.wasted for fleet in fleets]) for fleets in (slow, crash)],
                (1, 10, 100, 1000),
            ),
            panel(
                "roomy: s from its return to 99 % back",
                [("", _ends(roomy, ROOMY.returns))],
                (1, 10, 100, 1000),
            ),
        ],
    )


def _floors() -> str:
    parts = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
    strategies = [ours(backoff=spreading(part)) for part in parts]
    advised = {
        f"Retry-After: {advice}": _sweep(
            replace(SCENARIOS["advised"], retry_after=advice), strategies
        )
        for advice in (30, 60)
    }

    def panel(label: str, series: Series, marks: Sequence[float]) -> Panel:
        now = round(SPREAD - 1.0, 6)
        unit = "spread above the floor, as a part of it"
        return Panel(label, unit, parts, series, marks, now)

    return sweeps(
        "A floor that a whole fleet is told at once: 10 % of spread are little",
        [
            panel(
                "seconds until 99 % are back",
                [(name, _ends(fleets)) for name, fleets in advised.items()],
                (30, 100, 300, 1000),
            ),
            panel(
                "outages: 99th percentile / median",
                [
                    ("", [fleet.unfairness for fleet in fleets])
                    for fleets in advised.values()
                ],
                (1, 2, 5, 10),
            ),
        ],
    )


SHEETS: dict[str, Callable[[], str]] = {
    "restart": _restart,
    "region": _region,
    "slow": _slow,
    "loop": _loop,
    "recovery": _recovery,
    "base": _base,
    "cap": _cap,
    "floors": _floors,
}
"""The name of each picture and what draws it."""
