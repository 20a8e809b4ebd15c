"""The suite works; what it finds is for a quiet machine and a patient hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .__main__ import main
from .running import ROOT

OPTIONS = ("--rounds", "1", "--scale", "0.005", "--only", "supervised-take-asyncio")


@pytest.mark.real
def test_the_command_ranks_those_who_took_part_and_says_how_the_goals_stand(
    tmp_path: Path,
) -> None:
    saved = tmp_path / "results.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *OPTIONS, "--results", saved],
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
    assert len(saved.read_text().splitlines()) == 3  # the run, and two entrants


def test_no_round_at_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--rounds", "0"])
    assert "at least 1" in capsys.readouterr().err
