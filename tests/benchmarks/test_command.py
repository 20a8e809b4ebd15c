"""The suite works; what it finds is for a quiet machine and a patient hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import pytest

from .__main__ import SAVED, main
from .results import Results
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


def test_the_page_and_the_plots_are_those_of_the_saved_results(tmp_path: Path) -> None:
    docs = ROOT / "docs"
    (tmp_path / "plots").mkdir()
    copyfile(docs / "performance.md", tmp_path / "performance.md")
    assert main(["--again", "--docs", str(tmp_path)]) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 1
    for path in written:
        there = docs / path.relative_to(tmp_path)
        assert path.read_text(encoding="utf-8") == there.read_text(encoding="utf-8")
    assert SAVED.exists()


def test_one_contest_measured_anew_takes_its_place_among_the_others(
    tmp_path: Path,
) -> None:
    saved = tmp_path / "results.jsonl"
    earlier = Results.empty(0.005)
    earlier.add("idle", "aiohttp", {"memory": 1.0, "load": 1.0})
    earlier.add("import", "websockets", {"cpu_ms": 1.0, "wall_ms": 1.0})
    earlier.save(saved)
    again = Results.empty(0.005)
    again.add("import", "websockets", {"cpu_ms": 2.0, "wall_ms": 2.0})
    again.over(Results.load(saved)).save(saved)
    both = Results.load(saved)
    assert both.samples["idle"] == earlier.samples["idle"]
    assert both.samples["import"] == again.samples["import"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--rounds", "0"], "at least 1"),
        (["--write", "--among", "wsclient"], "ratios need everybody"),
        (["--write", "--only", "idle", "--scale", "7"], "the scale was"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    saved = tmp_path / "results.jsonl"
    Results.empty(1).save(saved)
    with pytest.raises(SystemExit):
        main([*arguments, "--results", str(saved)])
    assert why in capsys.readouterr().err
