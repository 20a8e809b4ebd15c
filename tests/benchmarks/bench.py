"""
What a message costs, here and elsewhere: CPU time, fresh processes, rounds in turn.

Run it by hand, on a quiet machine with two cores::

    python tests/benchmarks/bench.py --rounds 15

Each measurement is a process of its own against a peer of its own; in every round
each contestant has its turn, another one first each time. Ratios are taken within a
round, so what slows the machine for a while slows both sides of a ratio.

"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]  # what is measured is the checkout this script stands in
MISSING = 3  # exit status of contestant.py: the library is not installed
PATIENCE = 120.0  # seconds for one measurement
PEERS = ("websockets", "trio-websocket", "picows", "aiohttp")


@dataclass(frozen=True, slots=True)
class Contest:
    """
    One measure on one backend: who takes part, with how many messages each.

    The ratio is theirs / ours, to be at least the goal; or, if ``at_most``, ours /
    theirs, to be at most the goal.

    """

    name: str
    measure: str
    what: str
    counts: dict[str, int]
    goal: float
    at_most: bool = False
    size: int = 64
    instead: dict[str, str] = field(default_factory=dict)
    """The measure of those that have no such call."""

    @property
    def backend(self) -> str:
        return self.name.partition("-")[0]

    @property
    def ours(self) -> str:
        return next(iter(self.counts))

    @property
    def theirs(self) -> str:
        return [*self.counts][-1]

    def ratio(self, cpu: dict[str, float]) -> float:
        if self.at_most:
            return cpu[self.ours] / cpu[self.theirs]
        return cpu[self.theirs] / cpu[self.ours]

    def holds(self, ratio: float) -> bool:
        return ratio <= self.goal if self.at_most else ratio >= self.goal

    @property
    def wanted(self) -> str:
        if self.at_most:
            return f"{self.ours} / {self.theirs} <= {self.goal:g}"
        return f"{self.theirs} / {self.ours} >= {self.goal:g}"


RECEIVE, SEND = "receive 64 B texts with recv()", "send 64 B texts, each awaited"
SEND_1K = "send 1 KiB texts, each awaited"
TRIP = "32 B round trip, the peer answers after 50 us"
ITERATE = "receive 64 B texts with async for"
BATCHES = "receive 64 B texts with recv_many()"
MANY = "send 64 B texts with send_many(), 1000 at a time"

CONTESTS = (
    Contest(
        "asyncio-receive",
        "receive",
        RECEIVE,
        {"wsclient": 400_000, "websockets": 100_000},
        4.0,
    ),
    Contest(
        "asyncio-receive-picows",
        "receive",
        RECEIVE,
        {"wsclient": 400_000, "aiohttp": 400_000, "picows": 400_000},
        1.0,
    ),
    Contest(
        "asyncio-batches-picows",
        "take",
        BATCHES,
        {"wsclient": 2_000_000, "Client": 2_000_000, "picows callbacks": 2_000_000},
        1.5,
    ),
    Contest(
        "asyncio-send",
        "send",
        SEND,
        {"wsclient": 60_000, "websockets": 50_000},
        1.1,
    ),
    Contest(
        "asyncio-send-picows",
        "send",
        SEND,
        {"wsclient": 100_000, "aiohttp": 100_000, "picows": 100_000},
        1.0,
    ),
    Contest(
        "asyncio-send-1k-picows",
        "send",
        SEND_1K,
        {"wsclient": 100_000, "aiohttp": 100_000, "picows": 100_000},
        1.0,
        size=1024,
    ),
    Contest(
        "asyncio-send-many-picows",
        "send-many",
        MANY,
        {
            "wsclient": 1_000_000,
            "Client": 1_000_000,
            "picows callbacks": 300_000,
            "picows": 100_000,
        },
        5.0,
        instead={"picows": "send"},
    ),
    Contest(
        "asyncio-roundtrip",
        "roundtrip",
        TRIP,
        {"wsclient": 8_000, "websockets": 4_000},
        0.95,
        at_most=True,
        size=32,
    ),
    Contest(
        "asyncio-roundtrip-picows",
        "roundtrip",
        TRIP,
        {"wsclient": 8_000, "aiohttp": 8_000, "picows": 8_000},
        1.0,
        at_most=True,
        size=32,
    ),
    Contest(
        "trio-receive",
        "receive",
        RECEIVE,
        {"wsclient": 400_000, "trio-websocket": 20_000},
        20.0,
    ),
    Contest(
        "trio-send",
        "send",
        SEND,
        {"wsclient": 60_000, "trio-websocket": 10_000},
        3.0,
    ),
    Contest(
        "trio-roundtrip",
        "roundtrip",
        TRIP,
        {"wsclient": 8_000, "trio-websocket": 4_000},
        0.5,
        at_most=True,
        size=32,
    ),
    *(
        Contest(
            f"{backend}-iterate",
            "iterate",
            ITERATE,
            {"Client": 400_000, "wsclient": 400_000},
            1.1,
            at_most=True,
        )
        for backend in ("asyncio", "trio")
    ),
)


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the peer and that of the contestant, where there are two."""

    peer: list[str]
    contestant: list[str]

    @classmethod
    def find(cls) -> Cores:
        if hasattr(os, "sched_getaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:
                return cls([str(cores[-1])], [str(cores[0])])
        return cls([], [])


@contextmanager
def peer(cores: Cores) -> Iterator[str]:
    """Run a peer for one connection; give its port."""
    command = [sys.executable, str(HERE / "peer.py"), *cores.peer]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement, for each message: CPU seconds and wall seconds."""

    cpu: float
    wall: float


def measure(contest: Contest, library: str, count: int, cores: Cores) -> Sample | None:
    """Measure once, in a fresh process; None if the library is not installed."""
    with peer(cores) as port:
        name = contest.instead.get(library, contest.measure)
        arguments = [name, library, contest.backend, port]
        arguments += [str(count), str(contest.size)]
        done = subprocess.run(
            [
                sys.executable,
                str(HERE / "contestant.py"),
                *arguments,
                *cores.contestant,
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    if done.returncode == MISSING:
        print(f"{library} is left out: {done.stderr.strip()}", file=sys.stderr)
        return None
    if done.returncode:
        raise RuntimeError(f"{contest.name}: {library} failed:\n{done.stderr}")
    figures = json.loads(done.stdout)
    return Sample(figures["cpu"] / count, figures["wall"] / count)


@dataclass(slots=True)
class Result:
    """All samples of a contest, by library, one for each round."""

    contest: Contest
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def ratios(self) -> list[float]:
        contest = self.contest
        if not {contest.ours, contest.theirs} <= self.samples.keys():
            return []
        rounds = zip(
            self.samples[contest.ours], self.samples[contest.theirs], strict=True
        )
        return [
            contest.ratio({contest.ours: ours.cpu, contest.theirs: theirs.cpu})
            for ours, theirs in rounds
        ]


def run(chosen: Sequence[Contest], rounds: int, scale: float) -> list[Result]:
    """Go round all contests and contestants, a different one first each time."""
    cores = Cores.find()
    results = [Result(contest) for contest in chosen]
    missing: set[str] = set()
    for number in range(rounds):
        for result in results:
            libraries = list(result.contest.counts.items())
            turn = number % len(libraries)
            for library, count in libraries[turn:] + libraries[:turn]:
                if library in missing:
                    continue
                count = max(20, int(count * scale))
                sample = measure(result.contest, library, count, cores)
                if sample is None:
                    missing.add(library)
                else:
                    result.samples.setdefault(library, []).append(sample)
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return results


def spread(values: Sequence[float], digits: int) -> str:
    """Write median and range."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def table(results: Sequence[Result]) -> Iterator[str]:
    """Write the figures and the verdicts as two Markdown tables."""
    yield "| backend | measure | library | CPU us/message | messages/s |"
    yield "|---|---|---|--:|--:|"
    for result in results:
        for library, samples in result.samples.items():
            cpu = spread([1e6 * sample.cpu for sample in samples], 2)
            rate = statistics.median(1 / sample.wall for sample in samples)
            head = f"| {result.contest.backend} | {result.contest.what} | {library}"
            yield f"{head} | {cpu} | {rate:,.0f} |"
    yield ""
    yield "| backend | measure | goal (CPU per message) | ratio | |"
    yield "|---|---|---|--:|---|"
    for result in results:
        contest, ratios = result.contest, result.ratios()
        if ratios:
            verdict = "met" if contest.holds(statistics.median(ratios)) else "MISSED"
            yield (
                f"| {contest.backend} | {contest.what} | {contest.wanted} "
                f"| {spread(ratios, 2)} | {verdict} |"
            )


def versions() -> str:
    """Name what was measured, as installed."""
    parts = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in ("wsclient", "anyio", "trio", *PEERS):
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(parts)


def main() -> None:
    known = {contest.name: contest for contest in CONTESTS}
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--only", nargs="+", choices=known, help="default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="of message counts")
    options = parser.parse_args()
    chosen = [known[name] for name in options.only or known]
    results = run(chosen, options.rounds, options.scale)
    print(f"{versions()}; {options.rounds} rounds, median (min..max)\n")
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
