"""The script works; what it measures is for a quiet machine and a patient hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

BENCH = Path(__file__).with_name("bench.py")


def test_the_script_measures_both_sides_and_prints_their_ratio() -> None:
    options = ["--rounds", "1", "--scale", "0.005", "--only", "asyncio-receive"]
    done = subprocess.run(
        [sys.executable, BENCH, *options], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if "recv()" in line]
    ours, theirs, verdict = rows
    assert (ours[2], theirs[2]) == ("wsclient", "websockets")
    assert float(ours[3].split(" ")[0]) > 0
    assert verdict[2] == "websockets / wsclient >= 4"
