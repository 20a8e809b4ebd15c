"""
What wsclient costs, and what other libraries cost: fresh processes, rounds in turn.

::

    pip install -e ".[bench]"
    python -m tests.benchmarks                       # all, 5 rounds
    python -m tests.benchmarks --only send-64B trip-32B --rounds 15

Run it on a quiet machine with two cores. Each measurement is a process of its own
against a peer of its own; in every round each entrant has its turn, another one first
each time. Ratios are taken within a round, so what slows the machine for a while slows
both sides of a ratio.

"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .contests import CONTESTS, ENTRANTS
from .report import report
from .running import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=(__doc__ or "").strip().split("\n")[0],
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--only", nargs="+", choices=CONTESTS, help="default: all")
    parser.add_argument("--among", nargs="+", choices=ENTRANTS, help="default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="of how long and many")
    options = parser.parse_args()
    began = time.monotonic()

    def saying(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        results = run(
            [CONTESTS[name] for name in options.only or CONTESTS],
            rounds=options.rounds,
            scale=options.scale,
            among=options.among or ENTRANTS,
            folder=Path(folder),
            saying=saying,
            after_round=lambda results: None,
        )
    print(report(results))
    sys.exit(bool(results.failures()))


if __name__ == "__main__":
    main()
