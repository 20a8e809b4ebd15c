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

__all__ = ("SHEETS", "BLIP", "CRASH", "FLAPPING", "ROOMY")

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


def _sweep(
    scenario: Scenario,
    settings: Iterable[float],
    strategy: Callable[[float], Strategy],
    measure: Callable[[Figures], float | None],
) -> list[float | None]:
    return [
        measure(simulate(scenario, strategy(setting), clients=SWEPT))
        for setting in settings
    ]


def _base() -> str:
    bases = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

    def strategy(base: float) -> Strategy:
        return ours(base=base)

    peaks = _sweep(BLIP, bases, strategy, lambda found: found.peak_second)
    ends = _sweep(BLIP, bases, strategy, lambda found: found.back[2])
    roomy = replace(ROOMY, returns=0.0)
    medians = _sweep(roomy, bases, strategy, lambda found: found.median)
    unit = "base in seconds"
    return sweeps(
        "A longer base spreads a herd better; a shorter one mends a lone drop sooner",
        [
            Panel(
                "herd: peak attempts per s / capacity",
                unit,
                bases,
                [("", peaks)],
                (1, 10, 100, 1000),
                BASE,
            ),
            Panel(
                "herd: s until 99 % are back",
                unit,
                bases,
                [("", ends)],
                (10, 30, 100, 300),
                BASE,
            ),
            Panel(
                "alone: median outage, s",
                unit,
                bases,
                [("", medians)],
                (0.01, 0.1, 1, 10),
                BASE,
            ),
        ],
    )


def _cap() -> str:
    caps = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)

    def strategy(cap: float) -> Strategy:
        return ours(cap=cap)

    def end(found: Figures) -> float | None:
        return found.back[2]

    unit = "cap in seconds"
    return sweeps(
        "Short caps keep an overload alive, long ones oversleep: 30 s lies between",
        [
            Panel(
                "scarce: s until 99 % are back",
                unit,
                caps,
                [
                    ("a slow recovery", _sweep(SCENARIOS["slow"], caps, strategy, end)),
                    ("a crash, 10 s down", _sweep(CRASH, caps, strategy, end)),
                ],
                (30, 100, 300, 1000),
                CAP,
            ),
            Panel(
                "scarce: tries lost by a client",
                unit,
                caps,
                [
                    ("", _sweep(SCENARIOS["slow"], caps, strategy, _wasted)),
                    ("", _sweep(CRASH, caps, strategy, _wasted)),
                ],
                (1, 10, 100, 1000),
                CAP,
            ),
            Panel(
                "roomy: s from its return to 99 % back",
                unit,
                caps,
                [("", _sweep(ROOMY, caps, strategy, _late))],
                (1, 10, 100, 1000),
                CAP,
            ),
        ],
    )


def _wasted(found: Figures) -> float:
    return found.wasted


def _late(found: Figures) -> float | None:
    return None if found.back[2] is None else found.back[2] - ROOMY.returns


def _floors() -> str:
    parts = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)

    def strategy(part: float) -> Strategy:
        return ours(backoff=spreading(part))

    def against(measure: Callable[[Figures], float | None]) -> Series:
        return [
            (
                f"Retry-After: {advice}",
                _sweep(
                    replace(SCENARIOS["advised"], retry_after=advice),
                    parts,
                    strategy,
                    measure,
                ),
            )
            for advice in (30, 60)
        ]

    unit = "spread above the floor, as a part of it"
    now = round(SPREAD - 1.0, 6)
    return sweeps(
        "A floor that a whole fleet is told at once: 10 % of spread are little",
        [
            Panel(
                "seconds until 99 % are back",
                unit,
                parts,
                against(lambda found: found.back[2]),
                (30, 100, 300, 1000),
                now,
            ),
            Panel(
                "outages: 99th percentile / median",
                unit,
                parts,
                against(lambda found: found.unfairness),
                (1, 2, 5, 10),
                now,
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
