"""
Lives through the stories of many seeds, and tells of the first promise broken.

::

    python -m wsclient.testing.simulate --seeds 20000         # both backends
    python -m wsclient.testing.simulate --seed 4711 --backend trio    # with its trace
    python -m wsclient.testing.simulate --story FILE --backend trio

Each seed is a story: what a user, a network and a server do to one client. It is lived
in virtual time and judged by the records of the network and the server. A story that
breaks a promise is made as short as it can be, and printed as code; that ends the
command with status 1.

"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from ..clock import VIRTUAL_BACKENDS
from .run import Outcome, Report, live, run
from .shrink import shrunk
from .story import Story, draw, read

BATCH = 25


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m wsclient.testing.simulate",
        description="Live through random stories of a client, and judge each.",
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many; default 100")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first")
    parser.add_argument("--seed", type=int, help="this one only, with its trace")
    parser.add_argument("--story", type=Path, help="the story in this file only")
    parser.add_argument(
        "--backend", choices=(*VIRTUAL_BACKENDS, "both"), default="both"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--no-shrink", action="store_true", help="show no shorter story that fails"
    )
    options = parser.parse_args(arguments)
    backends = VIRTUAL_BACKENDS if options.backend == "both" else (options.backend,)
    if options.seed is not None:
        return max(_show(draw(options.seed), backend) for backend in backends)
    if options.story is not None:
        story = read(options.story.read_text(encoding="utf-8"))
        return max(_show(story, backend) for backend in backends)
    seeds = range(options.first, options.first + options.seeds)
    return _prove(seeds, backends, max(1, options.jobs), shrink=not options.no_shrink)


def _prove(
    seeds: Sequence[int], backends: Sequence[str], jobs: int, *, shrink: bool = True
) -> int:
    """Live through all; at the first that fails, tell the shortest such story."""
    cpu = dict.fromkeys(backends, 0.0)
    seen: Counter[str] = Counter()
    steps: Counter[str] = Counter()
    lived: Counter[str] = Counter()
    for outcome in _outcomes(seeds, backends, jobs):
        lived[outcome.backend] += 1
        cpu[outcome.backend] += outcome.cpu
        seen.update(outcome.seen)
        steps.update(outcome.kinds)
        if outcome.broken is not None:
            print(f"{outcome} breaks a promise: {outcome.broken}", flush=True)
            if shrink:
                _tell(draw(outcome.seed), outcome.backend, outcome.broken)
            return 1
    for backend in backends:
        rate = lived[backend] / cpu[backend] if cpu[backend] else 0
        print(f"{backend}: {lived[backend]} stories held, {rate:.1f} a CPU second")
    print("steps: " + _counted(steps))
    print("clients told: " + _counted(seen))
    return 0


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _outcomes(
    seeds: Iterable[int], backends: Sequence[str], jobs: int
) -> Iterator[Outcome]:
    """Live through the stories, in the order of the seeds."""
    pairs = list(product(seeds, backends))
    tasks = [pairs[first : first + BATCH] for first in range(0, len(pairs), BATCH)]
    if jobs == 1:
        for task in tasks:
            yield from live(task)
        return
    context = get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context)
    try:
        for outcomes in pool.map(live, tasks):
            yield from outcomes
    finally:
        pool.shutdown(cancel_futures=True)


def _tell(story: Story, backend: str, check: str) -> None:
    """Make it as short as it can be, and show it."""

    def fails(shorter: Story) -> bool:
        violation = run(shorter, backend).violation
        return violation is not None and violation.check == check

    print("looking for the shortest story that does ...", flush=True)
    _show(shrunk(story, fails), backend)
    print(f"The whole one: python -m {__package__} --seed {story.seed}", end=" ")
    print(f"--backend {backend}")


def _show(story: Story, backend: str) -> int:
    """Live through one story and print everything; return an exit status."""
    report: Report = run(story, backend)
    print(story)
    print(f"on {backend}, trace {report.digest}:")
    print("\n".join(report.trace))
    print(report.violation or "every promise holds")
    return 0 if report.violation is None else 1


if __name__ == "__main__":
    sys.exit(main())
