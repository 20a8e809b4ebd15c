"""One measurement in a process of its own: prints the figures, then ends at once."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
from functools import partial
from importlib import import_module
from typing import Any

import anyio

from .fleets import measure_at_once, measure_comeback, measure_idle, measure_in_turn
from .job import Job
from .messages import MEASURES, measure_messages

IMPORTS = 3  # fresh interpreters for a measurement
FLEETS: dict[str, Any] = {
    "at-once": measure_at_once,
    "comeback": measure_comeback,
    "idle": measure_idle,
    "in-turn": measure_in_turn,
}


def tell(figures: dict[str, float]) -> None:
    """Print the figures; how a library leaves a flooding peer is another story."""
    print(json.dumps(figures), flush=True)
    os._exit(0)


def measure_import(job: Job) -> None:
    """Tell the CPU and wall seconds of a statement in a fresh interpreter."""
    code = (
        "from time import perf_counter, process_time\n"
        "wall, cpu = perf_counter(), process_time()\n"
        f"{job.library}\n"
        "print(process_time() - cpu, perf_counter() - wall)"
    )
    # What pip installs is compiled; a checkout is from the second time on, if it may.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    taken = []
    for _ in range(IMPORTS):
        told = subprocess.check_output(
            [sys.executable, "-c", code], text=True, env=environment
        )
        taken.append([float(number) for number in told.split()])
    cpu, wall = map(statistics.median, zip(*taken, strict=True))
    tell({"cpu": cpu, "wall": wall})


def main() -> None:
    job = Job.read(sys.argv[1])
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if job.measure == "import":
        measure_import(job)
    module, _, name = job.library.partition(".")
    library = getattr(import_module(f"{__package__}.libraries.{module}"), name)
    measure: Any = measure_messages
    if job.measure not in MEASURES:
        measure = FLEETS[job.measure]
    run = partial(measure, job, library, tell)
    if job.backend == "trio":
        anyio.run(run, backend="trio")
    else:
        factory = None
        if job.loop is not None:
            factory = import_module(job.loop).new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run())


if __name__ == "__main__":
    main()
