"""
What wsclient costs, and what other libraries cost: fresh processes, rounds in turn.

::

    pip install -e ".[bench]"
    python -m tests.benchmarks                       # all, 5 rounds
    python -m tests.benchmarks --only send-64B trip-32B --rounds 15
    python -m tests.benchmarks --among wsclient picows
    python -m tests.benchmarks --write               # and docs/performance.md anew
    python -m tests.benchmarks --write --only idle   # this contest anew, there as well
    python -m tests.benchmarks --again               # the page, from the last results

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

from .contests import CONTESTS
from .entrants import ENTRANTS
from .pages import write
from .report import report
from .results import Results
from .running import ROOT, run

SAVED = Path(__file__).with_name("results.jsonl")


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=(__doc__ or "").strip().split("\n")[0],
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--only", nargs="+", choices=CONTESTS, help="default: all")
    parser.add_argument("--among", nargs="+", choices=ENTRANTS, help="default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="of how long and many")
    parser.add_argument("--results", type=Path, metavar="FILE", help="save them there")
    parser.add_argument(
        "--write", action="store_true", help="the page, the plots and the results anew"
    )
    parser.add_argument("--again", action="store_true", help="measure nothing")
    parser.add_argument(
        "--docs", type=Path, default=ROOT / "docs", help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if options.write and options.among:
        parser.error("--write: ratios need everybody, so not with --among")
    if options.results is None and (options.write or options.again):
        options.results = SAVED
    options.earlier = None
    if options.write and options.only:
        options.earlier = Results.load(options.results)
        try:
            Results.empty(options.scale).over(options.earlier)
        except ValueError as error:
            parser.error(f"--write --only: {error}; measure all anew")
    return options


def measured(options: argparse.Namespace) -> Results:
    """Measure what was chosen; save after each round, if anywhere; return all."""
    began = time.monotonic()

    def saying(text: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr)

    def together(results: Results) -> Results:
        earlier: Results | None = options.earlier
        return results if earlier is None else results.over(earlier)

    def after_round(results: Results) -> None:
        if options.results is not None:
            together(results).save(options.results)

    with tempfile.TemporaryDirectory() as folder:
        results = run(
            [CONTESTS[name] for name in options.only or CONTESTS],
            rounds=options.rounds,
            scale=options.scale,
            among=options.among or ENTRANTS,
            folder=Path(folder),
            saying=saying,
            after_round=after_round,
        )
    return together(results)


def main(arguments: list[str] | None = None) -> int:
    """Do as the arguments say; return 1 if a measurement failed."""
    options = options_of(arguments)
    results = Results.load(options.results) if options.again else measured(options)
    print(report(results))
    if options.write or options.again:
        for path in write(results, options.docs):
            print(f"written: {path}", file=sys.stderr)
    return bool(results.failures())


if __name__ == "__main__":
    sys.exit(main())
