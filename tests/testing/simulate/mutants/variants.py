"""The broken variants: what their patches say, and how one is applied and lived."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ("ROOT", "Verdict", "Variant", "prove", "variants")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
_HEADER = re.compile(
    r"breaks: (.+)\ncheck: (.+)\ncaught-by: seeds (\d+)-(\d+) on (\w+)\n"
)
_CAUGHT = re.compile(r"(.*) breaks a promise: (.+)")


@dataclass(frozen=True, slots=True)
class Variant:
    """
    One patch of the source, and the header it begins with.

    ``first`` and ``last`` are seeds near the one that catches it, on ``backend``.
    """

    path: Path
    breaks: str
    check: str
    first: int
    last: int
    backend: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.stem

    def apply(self, directory: Path) -> Path:
        """
        Copy the package into ``directory`` and break it there.

        Raises:
            AssertionError: the patch no longer applies.

        """
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "wsclient", directory / "wsclient", ignore=skipped)
        git = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", str(self.path)],
            cwd=directory,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(directory.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        if git.returncode != 0:
            raise AssertionError(f"{self.path.name} does not apply: {git.stderr}")
        return directory


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the command ended: its status, who caught it, by which check."""

    status: int
    story: str
    check: str
    output: str


def variants() -> list[Variant]:
    """Read the headers of all patches."""
    found = []
    for path in sorted(HERE.glob("*.patch")):
        header = _HEADER.match(path.read_text(encoding="utf-8"))
        if header is None:
            raise AssertionError(f"{path.name} begins with no header")
        breaks, check, first, last, backend = header.groups()
        found.append(Variant(path, breaks, check, int(first), int(last), backend))
    return found


def prove(root: Path, first: int, last: int, backend: str) -> Verdict:
    """Live through the stories ``first`` to ``last`` with the package in ``root``."""
    options = ["--from", str(first), "--seeds", str(last - first + 1), "--jobs", "1"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "wsclient.testing.simulate", "--no-shrink"),
            *(*options, "--backend", backend),
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    caught = _CAUGHT.search(done.stdout)
    story, check = caught.groups() if caught else ("", "")
    return Verdict(done.returncode, story, check, done.stdout + done.stderr)
