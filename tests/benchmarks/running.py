"""Goes round: a process for each measurement, against a peer of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import trustme

from .contests import Contest
from .crowd import BACKLOG
from .entrants import ENTRANTS
from .job import Job
from .results import Results

__all__ = ("Cores", "run")

ROOT = Path(__file__).resolve().parents[2]  # what is measured is this checkout
PATIENCE = 120.0  # seconds for one measurement
USED = {"comeback": "keep", "import": "statement"}  # of an entrant


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the peer and that of the contestant, where there are two."""

    peer: int | None = None
    contestant: int | None = None

    @classmethod
    def find(cls) -> Cores:
        if hasattr(os, "sched_getaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:
                return cls(cores[-1], cores[0])
        return cls()


class MeasurementFailed(Exception):
    """A contestant or its peer ended otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Track:
    """Where measurements take place: cores, certificates, and how long they last."""

    cores: Cores
    folder: Path
    scale: float

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    def prepare(self) -> None:
        """Issue a certificate for the peers that speak TLS."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.certificate))
        authority.cert_pem.write_to_path(str(self.authority))

    def measure(self, contest: Contest, name: str) -> dict[str, float]:
        """Measure once, in a fresh process; return the figures."""
        entrant = ENTRANTS[name]
        with self._peer(contest) as (port, told):
            job = Job(
                measure=contest.instead.get(name, contest.measure),
                library=getattr(entrant, USED.get(contest.measure, "library")),
                backend=entrant.backend,
                loop=entrant.loop,
                url=f"{'wss' if contest.tls else 'ws'}://127.0.0.1:{port}",
                size=contest.size,
                deflate=contest.deflate,
                seconds=contest.seconds * self.scale,
                clients=max(5, round(contest.clients * self.scale)),
                keepalive=contest.keepalive and contest.keepalive * self.scale,
                outage=contest.outage * min(1, self.scale),
                authority=str(self.authority) if contest.tls else None,
                core=self.cores.contestant,
                settings={**entrant.settings, **contest.settings},
            )
            figures = _figures(job, entrant.pure)
            if contest.deflate:
                told_by_peer = told()
                said = figures.pop("said", None)
                if said is not None:
                    told_by_peer = {"ratio": said / told_by_peer["bytes"]}
                figures |= told_by_peer
        if "wall" in figures:
            figures["rate"] = 1 / figures["wall"]
            figures["wall_ms"] = figures.pop("wall")
        if "cpu" in figures:
            figures["cpu_ms"] = figures["cpu"]
        return {
            figure: figures[figure] for figure in contest.figures if figure in figures
        }

    @contextmanager
    def _peer(
        self, contest: Contest
    ) -> Iterator[tuple[int, Callable[[], dict[str, float]]]]:
        """Run a peer; give its port, and what gives what it tells when it is alone."""
        if contest.peer is None:
            yield 0, dict
            return
        command = [sys.executable, "-m", f"{__package__}.{contest.peer}"]
        if self.cores.peer is not None:
            command += ["--core", str(self.cores.peer)]
        if contest.tls:
            command += ["--certificate", str(self.certificate)]
        # It listens from the start, so that both ends are loaded at the same time.
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            port: int = listener.getsockname()[1]
            command += ["--listener", str(listener.fileno())]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                pass_fds=[listener.fileno()],
            )
        with process:
            assert process.stdout is not None
            out = process.stdout
            try:
                yield port, lambda: json.loads(out.readline())
            finally:
                process.kill()


def _figures(job: Job, pure: bool) -> dict[str, float]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "WSCLIENT_PURE": "1" if pure else "",
    }
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.contestant", job.told()],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
        env=environment,
    )
    if done.returncode or not done.stdout:
        raise MeasurementFailed(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@cache
def installed(name: str) -> bool:
    """Whether all that an entrant needs is there."""
    needs = ENTRANTS[name].needs
    if ENTRANTS[name].backend == "trio":
        needs += ("trio",)
    return all(find_spec(module) for module in needs)


def run(
    contests: Sequence[Contest],
    *,
    rounds: int,
    scale: float,
    among: Collection[str],
    folder: Path,
    saying: Callable[[str], None],
    after_round: Callable[[Results], None],
) -> Results:
    """Go round all contests and entrants, a different one first each time."""
    track = Track(Cores.find(), folder, scale)
    track.prepare()
    results = Results.empty(scale)
    for number in range(rounds):
        for contest in contests:
            entrants = [
                name for name in contest.entrants if name in among and installed(name)
            ]
            saying(f"round {number + 1} of {rounds}: {contest.name}")
            for repeated in range(contest.repeat):
                turn = (number * contest.repeat + repeated) % len(entrants)
                for name in entrants[turn:] + entrants[:turn]:
                    try:
                        sample = track.measure(contest, name)
                    except (MeasurementFailed, subprocess.TimeoutExpired) as error:
                        saying(f"{contest.name}: {name} failed:\n{error}")
                        sample = {}
                    results.add(contest.name, name, sample)
        after_round(results)
    return results
