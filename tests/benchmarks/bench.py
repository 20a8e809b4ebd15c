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


@dataclass(frozen=True, slots=True)
class Contest:
    """One measure on one backend: who takes part, with how many messages each."""

    backend: str
    measure: str
    what: str
    counts: dict[str, int]
    ours: str
    theirs: str
    goal: float
    at_least: bool
    """The ratio is theirs / ours, to be at least the goal; else ours / theirs, at
    most the goal."""

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.measure}"

    def ratio(self, cpu: dict[str, float]) -> float:
        if self.at_least:
            return cpu[self.theirs] / cpu[self.ours]
        return cpu[self.ours] / cpu[self.theirs]

    def holds(self, ratio: float) -> bool:
        return ratio >= self.goal if self.at_least else ratio <= self.goal

    @property
    def wanted(self) -> str:
        if self.at_least:
            return f"{self.theirs} / {self.ours} >= {self.goal:g}"
        return f"{self.ours} / {self.theirs} <= {self.goal:g}"


def contests() -> Iterator[Contest]:
    receive, send = "receive 64 B texts with recv()", "send 64 B texts, each awaited"
    trip = "32 B round trip, the peer answers after 50 us"
    for backend, theirs, scale, goals in (
        ("asyncio", "websockets", 5, (4.0, 1.1, 0.95)),
        ("trio", "trio-websocket", 1, (20.0, 3.0, 0.5)),
    ):
        yield Contest(
            backend,
            "receive",
            receive,
            {"wsclient": 400_000, theirs: 20_000 * scale},
            "wsclient",
            theirs,
            goals[0],
            True,
        )
        yield Contest(
            backend,
            "send",
            send,
            {"wsclient": 60_000, theirs: 10_000 * scale},
            "wsclient",
            theirs,
            goals[1],
            True,
        )
        yield Contest(
            backend,
            "roundtrip",
            trip,
            {"wsclient": 8_000, theirs: 4_000},
            "wsclient",
            theirs,
            goals[2],
            False,
        )
    for backend in ("asyncio", "trio"):
        yield Contest(
            backend,
            "iterate",
            "receive 64 B texts with async for",
            {"wsclient": 400_000, "Client": 400_000},
            "Client",
            "wsclient",
            1.1,
            False,
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
        arguments = [contest.measure, library, contest.backend, port, str(count)]
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
    for name in ("wsclient", "anyio", "trio", "websockets", "trio-websocket"):
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(parts)


def main() -> None:
    known = {contest.name: contest for contest in contests()}
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
