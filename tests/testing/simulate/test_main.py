"""The command: its summary, its status, and what it shows of a story that fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsclient.testing.simulate import draw, read, run
from wsclient.testing.simulate.__main__ import main

NO_STEP = "Story(seed=1, settings=Settings(), steps=(Step(1.0, 'nothing'),))"
RESET = "Story(seed=1, settings=Settings(), steps=(Step(5.0, 'reset'),))"


def without_speed(text: str) -> str:
    return re.sub(r"[\d.]+ a CPU second", "", text)


def test_stories_that_hold_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--from", "5", "--jobs", "1"]) == 0
    told = capsys.readouterr().out
    assert "asyncio: 3 stories held" in told
    assert "trio: 3 stories held" in told
    assert re.search(r"^steps: .*subscribe \d+", told, re.MULTILINE)
    assert re.search(r"^clients told: .*StateChanged \d+", told, re.MULTILINE)


def test_one_process_and_two_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """The seeds are more than one batch, so that both have something to do."""
    told = []
    for jobs in ("1", "2"):
        arguments = ["--seeds", "26", "--backend", "asyncio", "--jobs", jobs]
        assert main(arguments) == 0
        told.append(without_speed(capsys.readouterr().out))
    assert told[0] == told[1]
    assert "asyncio: 26 stories held" in told[0]


def test_a_seed_is_shown_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "7", "--backend", "trio"]) == 0
    report = run(draw(7), "trio")
    shown = [
        str(draw(7)),
        f"on trio, trace {report.digest}:",
        *report.trace,
        "every promise holds",
    ]
    assert capsys.readouterr().out == "\n".join(shown) + "\n"


def test_a_story_is_taken_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "story"
    file.write_text(RESET, encoding="utf-8")
    assert main(["--story", str(file)]) == 0
    told = capsys.readouterr().out
    assert told.count(str(read(RESET))) == 2
    assert told.count("every promise holds") == 2


def test_a_story_that_breaks_a_promise_ends_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "story"
    file.write_text(NO_STEP, encoding="utf-8")
    assert main(["--story", str(file), "--backend", "asyncio"]) == 1
    assert "raises what is documented: " in capsys.readouterr().out


def test_what_is_no_story_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "story"
    file.write_text("no story", encoding="utf-8")
    with pytest.raises(ValueError, match="no story"):
        main(["--story", str(file)])
