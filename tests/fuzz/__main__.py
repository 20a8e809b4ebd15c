"""
Looks for inputs that break what the protocol promises, with atheris and libFuzzer.

::

    pip install "atheris>=3"
    python -m tests.fuzz                                # 30 s each, two at a time
    python -m tests.fuzz --seconds 600 --target frames
    python -m tests.fuzz --target frames --input FILE   # once more, without atheris

What was found stands in ``tests/fuzz/found``: inputs that break something, which end
the run with status 1, and inputs that reach new code, from which the next run goes on.
An input that broke something belongs into ``tests/fuzz/corpus``, where the tests try
it again for ever, named for its story.

"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOUND = HERE / "found"
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("*.py"))

MISSING = 3  # exit status: atheris is not installed
INSTALL = (
    "atheris is not installed: pip install 'atheris>=3'\n"
    "(there are wheels for Linux on x86-64 and CPython 3.11 to 3.14)"
)
OPTIONS = (
    "-timeout=3600",  # by the clock; drive.py bounds the CPU time of an input
    "-rss_limit_mb=1024",
    "-max_len=4096",
    "-print_final_stats=1",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a target fared."""

    target: str
    status: int
    cpu: float
    log: Path

    @property
    def figures(self) -> str:
        """One line of a table, read from libFuzzer's log."""
        text = self.log.read_text(errors="replace")
        runs = [int(n) for n in re.findall(r"^#(\d+)\t", text, re.MULTILINE)][-1:]
        covered = re.findall(r"\bcov: (\d+) ft: (\d+) corp: (\d+)", text)[-1:]
        edges, features, corpus = covered[0] if covered else ("-", "-", "-")
        executions = runs[0] if runs else 0
        each = executions / self.cpu if self.cpu else 0
        verdict = "ok" if self.status == 0 else f"FAILED ({self.status})"
        return (
            f"{self.target:17} {executions:>11,} {self.cpu:>7.0f} {each:>9.0f} "
            f"{edges:>6} {features:>9} {corpus:>7}  {verdict}"
        )

    @property
    def story(self) -> str:
        """What went wrong, and how to see it again."""
        text = self.log.read_text(errors="replace")
        said = [line for line in text.splitlines() if not _NOISE.match(line)]
        advice = [
            f"Once more: python -m tests.fuzz --target {self.target} --input {path}"
            for path in re.findall(r"Test unit written to (.+)", text)
        ]
        return "\n".join([f"== {self.target}", *said[-60:], *advice])


_NOISE = re.compile(r"INFO: |#\d+\t|stat::|WARNING: Failed to find function")
HEADING = (
    f"{'target':17} {'executions':>11} {'CPU s':>7} {'per CPU s':>9} "
    f"{'edges':>6} {'features':>9} {'corpus':>7}"
)


def fuzz(target: str, seconds: int) -> Outcome:
    """Run one target in a process of its own."""
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    log = FOUND / f"{target}.log"
    command = [
        *(sys.executable, "-m", "tests.fuzz.drive", target, *OPTIONS),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={FOUND}/{target}-",
        *(f"-dict={path}" for path in HERE.glob(f"dictionaries/{target}.dict")),
        *(str(found), str(HERE / "corpus" / target)),
    ]
    with log.open("wb") as file:
        # What guides libFuzzer is the Python that it sees run.
        pure = {**os.environ, "WSCLIENT_PURE": "1"}
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env=pure
        )
        _, status, usage = os.wait4(process.pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    return Outcome(target, os.waitstatus_to_exitcode(status), cpu, log)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--input", type=Path, help="run the target on this file, once")
    options = parser.parse_args(arguments)
    targets: list[str] = options.target or TARGETS
    if options.input is not None:
        for target in targets:
            import_module(f"tests.fuzz.targets.{target}").target(
                options.input.read_bytes()
            )
        return 0
    if find_spec("atheris") is None:
        print(INSTALL, file=sys.stderr)
        return MISSING
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda name: fuzz(name, options.seconds), targets))
    broken = [outcome for outcome in outcomes if outcome.status != 0]
    for outcome in broken:
        print(outcome.story, file=sys.stderr)
    print(HEADING, *(outcome.figures for outcome in outcomes), sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
