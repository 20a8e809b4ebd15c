"""The command that fuzzes: what it runs, what it prints, what it says is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .__main__ import MISSING, ROOT, Outcome, main
from .seeds import CORPUS

LOG = """\
INFO: Instrumenting wsclient.protocol.uri
#2\tINITED cov: 4 ft: 5 corp: 1/1b exec/s: 0 rss: 51Mb
#390\tNEW    cov: 11 ft: 12 corp: 3/3b lim: 6 exec/s: 0 rss: 51Mb L: 1/1
#524288\tpulse  cov: 11 ft: 12 corp: 3/3b lim: 4096 exec/s: 262144 rss: 52Mb
"""
CRASH = """\
 === Uncaught Python exception: ===
AssertionError: the host
artifact_prefix='found/'; Test unit written to found/uris-crash-1
stat::peak_rss_mb:              52
"""


def test_the_figures_are_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "uris.log"
    log.write_text(LOG)
    columns = Outcome("uris", 0, 10.0, log).figures.split()
    assert columns == ["uris", "524,288", "10", "52429", "11", "12", "3", "ok"]


def test_a_failure_is_told_with_the_command_that_shows_it_again(tmp_path: Path) -> None:
    log = tmp_path / "uris.log"
    log.write_text(LOG + CRASH)
    outcome = Outcome("uris", 77, 1.0, log)
    assert outcome.figures.endswith("FAILED (77)")
    assert outcome.story.splitlines() == [
        "== uris",
        *CRASH.splitlines()[:3],
        "Once more: python -m tests.fuzz --target uris --input found/uris-crash-1",
    ]


def test_an_input_is_tried_once_more_without_a_fuzzer() -> None:
    assert main(["--target", "uris", "--input", str(CORPUS / "uris" / "plain")]) == 0
    with pytest.raises(FileNotFoundError):
        main(["--target", "uris", "--input", "nowhere"])


def test_the_command_fuzzes_or_says_what_to_install() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "1", "--target", "uris"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    if find_spec("atheris") is None:
        assert done.returncode == MISSING
        assert "pip install 'atheris>=3'" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("uris ")
