"""What was found gets to its place on the page, and nowhere else."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from .contests import CONTESTS
from .pages import filled
from .plots import SHEETS, draw
from .report import ahead_of_us, rankings_of
from .results import Results

PAGE = "before\n<!-- made: run -->\nold\n<!-- made end -->\nafter\n"


def found() -> Results:
    results = Results.empty(1)
    for entrant, cpu in {"picows": 2e-6, "wsclient": 1e-6, "aiohttp": 5e-7}.items():
        results.add("send-64B", entrant, {"cpu": cpu, "rate": 1 / cpu})
    return results


def test_only_what_stands_between_the_marks_is_written_anew() -> None:
    once = filled(PAGE, {"run": "new"})
    assert once == PAGE.replace("old", "new")
    assert filled(once, {"run": "new"}) == once


def test_a_page_without_the_place_is_refused() -> None:
    with pytest.raises(ValueError, match="goals"):
        filled(PAGE, {"goals": ""})


def test_the_best_is_the_first_and_who_is_ahead_is_named() -> None:
    [ranking] = rankings_of(found(), CONTESTS.values())
    rows = [row.split(" | ") for row in ranking.splitlines()[4:]]
    assert [(row[0], row[-1]) for row in rows] == [
        ("| aiohttp", "0.50 |"),
        ("| **wsclient**", "1.00 |"),
        ("| picows", "2.00 |"),
    ]
    assert [*ahead_of_us(found())] == [
        "- send 64 B texts, each awaited: aiohttp (0.50)"
    ]


def test_who_compresses_less_is_not_ahead() -> None:
    results = Results.empty(1)
    for entrant, ratio in {"wsclient": 4.5, "aiohttp": 3.8, "picows": 4.5}.items():
        cpu = 2e-6 if entrant == "wsclient" else 1e-6
        results.add("send-deflate-1KiB", entrant, {"cpu": cpu, "ratio": ratio})
    [line] = ahead_of_us(results)
    assert line.endswith("each awaited: picows (0.50)")


@pytest.mark.parametrize("name", SHEETS)
def test_a_plot_is_an_image_also_of_little(name: str) -> None:
    image = ElementTree.fromstring(draw(SHEETS[name], found()))
    assert image.tag.endswith("svg")
