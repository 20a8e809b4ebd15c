"""A page of SVG is well-formed, has its colours twice and its axes labelled."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from wsclient.testing.fleet.svg import Axes, Page, Scale

SVG = "{http://www.w3.org/2000/svg}"


def test_a_scale_puts_values_between_its_ends_and_no_further() -> None:
    scale = Scale(0, 10, 100, 200)
    assert [scale(value) for value in (-5, 0, 5, 10, 50)] == [100, 100, 150, 200, 200]
    falling = Scale(0.01, 100, 200, 100, log=True)
    values = (0, 0.01, 1, 100, 1e9)
    assert [falling(value) for value in values] == pytest.approx(
        [200, 200, 150, 100, 100]
    )


def test_what_is_drawn_is_there_and_what_is_written_is_escaped() -> None:
    page = Page(100, 50, "a < b & c")
    page.text(1, 2, "x > y", "soft", "end")
    page.line(0, 0, 1, 1, "grid")
    page.path([(0, 0), (1, 2), (3, 4)], "ours line")
    page.dot(5, 6, "other")
    root = ET.fromstring(str(page))
    assert root.findtext(f"{SVG}title") == "a < b & c"
    assert [text.text for text in root.iter(f"{SVG}text")] == ["a < b & c", "x > y"]
    path = root.find(f"{SVG}path")
    assert path is not None
    assert path.get("d") == "M0.0 0.0L1.0 2.0L3.0 4.0"
    assert len(root.findall(f"{SVG}line")) == len(root.findall(f"{SVG}circle")) == 1


def test_a_page_has_a_ground_and_colours_for_the_light_and_for_the_dark() -> None:
    page = str(Page(10, 10, ""))
    assert 'class="ground" width="10" height="10"' in page
    light, dark = page.split("@media (prefers-color-scheme: dark)")
    for colour in ("ground", "ink", "soft", "grid", "ours", "other", "mark"):
        assert f"--{colour}: #" in light
        assert f"--{colour}: #" in dark


def test_ticks_stand_where_their_values_are() -> None:
    page = Page(200, 200, "")
    axes = Axes(page, Scale(0, 10, 50, 150), Scale(0, 1, 180, 80))
    axes.bottom([(5, "five")], "seconds")
    axes.left([(1, "all")])
    texts = {text.text: text for text in ET.fromstring(str(page)).iter(f"{SVG}text")}
    assert texts["five"].get("x") == "100.0"
    assert texts["all"].get("y") == "84.0"
    assert "seconds" in texts
