"""The suite works; what it finds is for a quiet machine and a patient hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def test_the_command_ranks_those_who_took_part_and_says_how_the_goals_stand() -> None:
    options = ["--rounds", "1", "--scale", "0.005", "--only", "supervised-take-asyncio"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *options],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "round 1 of 1: supervised-take-asyncio" in done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if "|" in line]
    ranked = {row[0] for row in rows if "**" in row[0]}
    assert ranked == {"| **wsclient**", "| **Client**"}
    assert rows[-1][1] == "CPU us: Client / wsclient <= 1.05"
    assert rows[-1][-1] in ("met |", "MISSED |")
