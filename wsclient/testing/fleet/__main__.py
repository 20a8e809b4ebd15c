"""``python -m wsclient.testing.fleet``: let fleets come back, and tell or draw how."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .figures import SHARES, Figures
from .scenarios import SCENARIOS
from .sheets import SHEETS
from .simulation import simulate
from .strategies import STRATEGIES

__all__ = ("main",)

HEAD = (
    f"{'strategy':13}{'peak/1 s':>9}{'/100 ms':>9}"
    + "".join(f"{share:>8.0%}" for share in SHARES)
    + f"{'wasted':>8}{'p99/p50':>9}{'Jain':>7}{'attempts/s':>12}\n"
)


def _row(found: Figures, took: float) -> str:
    back = "".join(f"{'never' if at is None else f'{at:.1f}':>8}" for at in found.back)
    return (
        f"{found.strategy:13}{found.peak_second:9.1f}{found.peak_tenth:9.1f}{back}"
        f"{found.wasted:8.1f}{found.unfairness:9.2f}{found.jain:7.3f}"
        f"{found.attempts / took:12,.0f}\n"
    )


def _options(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m wsclient.testing.fleet",
        description="Simulate how fleets of clients come back. The peaks are multiples "
        "of what the server accepts, the times are in seconds; attempts/s is the speed "
        "of the simulation.",
    )
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--strategy", action="append", choices=STRATEGIES)
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw, tell nothing")
    parser.add_argument("--sheet", action="append", choices=SHEETS, help="draw only it")
    options = parser.parse_args(args)
    if options.clients < 1:
        parser.error("--clients: at least 1")
    return options


def main(args: Sequence[str] | None = None) -> None:
    """Do as the arguments say."""
    options = _options(args)
    gc.disable()  # millions of small objects and not one cycle among them
    try:
        if options.plot is not None:
            options.plot.mkdir(parents=True, exist_ok=True)
            for name in options.sheet or SHEETS:
                path = options.plot / f"{name}.svg"
                path.write_text(SHEETS[name](), encoding="utf-8", newline="\n")
                sys.stdout.write(f"{path}\n")
            return
        for name in options.scenario or SCENARIOS:
            sys.stdout.write(f"\n{name}, {options.clients:,} clients\n{HEAD}")
            for strategy in options.strategy or STRATEGIES:
                began = time.perf_counter()
                found = simulate(
                    SCENARIOS[name],
                    STRATEGIES[strategy],
                    clients=options.clients,
                    seed=options.seed,
                )
                sys.stdout.write(_row(found, time.perf_counter() - began))
                sys.stdout.flush()
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
