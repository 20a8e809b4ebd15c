"""The plain view, and the report at the end."""

from __future__ import annotations

import sys

import pytest

from wsclient import Reason
from wsclient.cli.ledger import Row, Verdict
from wsclient.cli.story import Story
from wsclient.cli.view import has_rich, report, showing

VERDICT = Verdict(
    rows=(Row("1.1", 1, 3, 1200, 1000), Row("1.2", 2, 3, 7, 7)),
    gaps=6,
    duplicates=0,
    faults=(),
)


async def test_the_plain_view_prints_each_line_as_it_comes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    story = Story(("a",), lambda: 0.0, 1)
    async with showing(story, "title", plain=True):
        assert capsys.readouterr().out == "title\n"
        story.say("something")
        assert capsys.readouterr().out == "  0.00 s  something\n"


def test_the_report_shows_each_generation_and_the_sums() -> None:
    story = Story(("a",), lambda: 0.0, 1)
    story.ended[1] = Reason.RESET
    lines = report(VERDICT, story)
    assert lines[4].split() == [
        "generation",
        "1",
        "RESET",
        "3",
        "1,200",
        "1,000",
        "200",
    ]
    assert lines[5].split() == ["generation", "2", "3", "7", "7", "0"]
    assert lines[-1] == (
        "1,207 messages written, 1,007 received, 200 under one of 6 gaps, duplicates: 0"
    )


def test_rich_is_missed_where_it_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert has_rich()
    monkeypatch.setitem(sys.modules, "rich", None)
    assert not has_rich()
