"""
Runs the Autobahn test suite against wsclient, and compares with the golden file.

::

    python -m tests.conformance --all                       # ten minutes on two cores
    python -m tests.conformance --role server --backend trio --tls --cases '6.*'

The suite needs Python 2.7, from the path or from pyenv; it installs itself at first
use. Reports with every byte of every case are kept with ``--reports FOLDER``.

"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ..peers.certificates import Certificates
from .golden import PATH, Golden, Judged, Verdict, chosen, is_base
from .runs import ROLES, Run, judge
from .suite import SUITE, Missing, all_cases, python27
from .testee import BACKENDS

MISSING = 3  # exit status: there is no Python 2.7, or no suite for it
PATIENCE = 1800.0  # seconds for each part of a run; a hang guard
BOTH = ("asyncio", "trio")
HEADING = f"{'run':20} {'cases':>5} {'OK':>5} {'informational':>13} {'seconds':>8}"


@dataclass
class Outcome:
    """How a run fared: the sum of its parts."""

    run: Run
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        said = self.verdicts.values()
        strict = sum(verdict.strict for verdict in said)
        informational = sum(verdict.informational for verdict in said)
        verdict = f"  {len(self.differences)} DIFFER" if self.differences else ""
        return (
            f"{self.run!s:20} {len(said):>5} {strict:>5} {informational:>13}"
            f" {self.seconds:>8.1f}{verdict}"
        )


def runs_of(options: argparse.Namespace, cases: Sequence[str]) -> list[Run]:
    """Return what is asked for; over TLS the base cases only."""
    wanted = [
        case
        for case in cases
        if any(fnmatchcase(case, pattern) for pattern in options.cases)
    ]
    return [
        Run(role, backend, tls, tuple(kept))
        for tls in ([False, True] if options.all else [options.tls])
        for kept in [[case for case in wanted if is_base(case) or not tls]]
        for role in options.role or ROLES
        for backend in options.backend or BOTH
        if kept
    ]


def run_all(
    runs: Sequence[Run], golden: Golden, folder: Path, jobs: int
) -> list[Outcome]:
    """Run the parts of all side by side, the longest first."""
    certificates = Certificates.issue(folder)
    outcomes = {str(run): Outcome(run) for run in runs}

    def play(part: Run) -> None:
        outcome = outcomes[str(part)]
        start = time.monotonic()
        place = folder / str(part) / f"from-{part.cases[0]}"
        try:
            judged = judge(part, place, certificates, patience=PATIENCE)
        except (OSError, RuntimeError) as error:  # the others go on
            judged = Judged({}, {part.cases[0]: str(error)})
        outcome.seconds += time.monotonic() - start
        outcome.verdicts |= judged.verdicts
        outcome.differences += golden.differences(part.cases, judged)

    parts = [part for run in runs for part in run.parts()]
    parts.sort(key=lambda part: part.weight, reverse=True)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(play, parts))
    return list(outcomes.values())


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--all", action="store_true", help="plain, then over TLS")
    parser.add_argument("--role", action="append", choices=ROLES)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--tls", action="store_true", help="the base cases, over TLS")
    parser.add_argument("--cases", nargs="+", default=["*"], metavar="PATTERN")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--reports", type=Path, help="keep the suite's reports here")
    parser.add_argument(
        "--update", action="store_true", help="write the golden file anew"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parsed(arguments)
    golden = Golden.load()
    try:
        python27()
    except Missing as missing:
        print(missing, file=sys.stderr)
        return MISSING
    cases = chosen(all_cases()) if options.update else golden.cases
    runs = runs_of(options, cases)
    if not runs:
        print("no case matches", file=sys.stderr)
        return 2
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.reports or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = run_all(runs, golden, folder, options.jobs)
    print(HEADING, *outcomes, sep="\n")
    print(f"{SUITE}, {time.monotonic() - start:.0f} s in all")
    if options.update:
        for outcome in outcomes:
            golden = golden.updated(outcome.verdicts)
        PATH.write_text(golden.text(), encoding="utf-8")
        return 0
    for outcome in outcomes:
        for line in outcome.differences:
            print(f"{outcome.run}: {line}", file=sys.stderr)
    return 1 if any(outcome.differences for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
