"""What a run found: for each contest and entrant the figures of every round."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

__all__ = ("Results", "Spread")

PACKAGES = (
    "wsclient",
    "websockets",
    "aiohttp",
    "picows",
    "trio-websocket",
    "httpx-ws",
    "anyio",
    "trio",
    "uvloop",
    "isal",
    "zlib-ng",
)

Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a figure over the rounds, how far they lie apart, how many."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def times(self, factor: float) -> Spread:
        return replace(
            self,
            median=self.median * factor,
            least=self.least * factor,
            most=self.most * factor,
        )


@dataclass(slots=True)
class Results:
    """Samples by contest and entrant; an empty one is a measurement that failed."""

    scale: float
    versions: str
    machine: str
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    @classmethod
    def empty(cls, scale: float) -> Results:
        return cls(scale, _versions(), _machine())

    @classmethod
    def load(cls, path: Path) -> Results:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        results = cls(**json.loads(head))
        for line in lines:
            contest, entrant, samples = json.loads(line)
            results.samples.setdefault(contest, {})[entrant] = samples
        return results

    def save(self, path: Path) -> None:
        """Write a line of JSON for the run, and one for each entrant of a contest."""
        head = {
            "scale": self.scale,
            "versions": self.versions,
            "machine": self.machine,
        }
        lines = [json.dumps(head)]
        for contest, entrants in self.samples.items():
            for entrant, samples in entrants.items():
                lines.append(json.dumps([contest, entrant, samples]))
        text = "\n".join(lines) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")

    def over(self, earlier: Results) -> Results:
        """
        Return these results, and the earlier ones of the contests that are not here.

        Raises:
            ValueError: the earlier are of another scale or machine, or other versions.

        """
        for what in ("scale", "versions", "machine"):
            before, now = getattr(earlier, what), getattr(self, what)
            if before != now:
                raise ValueError(f"the {what} was {before}, now it is {now}")
        return replace(self, samples=earlier.samples | self.samples)

    @property
    def rounds(self) -> int:
        """How many rounds there are of each contest, at least."""
        return min(
            (
                len(samples)
                for entrants in self.samples.values()
                for samples in entrants.values()
            ),
            default=0,
        )

    def add(self, contest: str, entrant: str, sample: Sample) -> None:
        short = {figure: float(f"{value:.6g}") for figure, value in sample.items()}
        self.samples.setdefault(contest, {}).setdefault(entrant, []).append(short)

    def spread(self, contest: str, entrant: str, figure: str) -> Spread | None:
        """Return what was found; None if nothing was."""
        samples = self.samples.get(contest, {}).get(entrant, [])
        values = [sample[figure] for sample in samples if figure in sample]
        return Spread.of(values) if values else None

    def ratios(self, contest: str, one: str, other: str, figure: str) -> list[float]:
        """
        Return one / other for each round in which both were measured.

        What slows the machine for a while slows both sides of a ratio.

        """
        found = self.samples.get(contest, {})
        return [
            ours[figure] / theirs[figure]
            for ours, theirs in zip(
                found.get(one, []), found.get(other, []), strict=False
            )
            if figure in ours and figure in theirs
        ]

    def failures(self) -> list[str]:
        return [
            f"{contest}: {entrant}, {failed} of {len(samples)}"
            for contest, entrants in self.samples.items()
            for entrant, samples in entrants.items()
            if (failed := samples.count({}))
        ]


def _versions() -> str:
    """Name what is measured, as installed."""
    parts = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in PACKAGES:
        try:
            parts.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(parts)


def _machine() -> str:
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores"
