"""The pictures show what the figures say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from wsclient.testing.fleet import Figures
from wsclient.testing.fleet.plots import Panel, loads, sweeps, times

SVG = "{http://www.w3.org/2000/svg}"


def figures(
    strategy: str, back: tuple[float | None, ...] = (10.0, 20.0, 30.0, 40.0)
) -> Figures:
    return Figures(
        scenario="test",
        strategy=strategy,
        clients=10,
        attempts=70,
        peak_second=5.0,
        peak_tenth=6.0,
        back=back,
        wasted=6.0,
        median=10.0,
        unfairness=3.0,
        jain=0.5,
        load=(0.01, 100.0, 0.0),
    )


def drawn(picture: str) -> tuple[list[str], ET.Element]:
    root = ET.fromstring(picture)
    return [text.text or "" for text in root.iter(f"{SVG}text")], root


def styles(root: ET.Element, tag: str, style: str) -> list[ET.Element]:
    return [one for one in root.iter(SVG + tag) if one.get("class") == style]


def test_loads_have_a_panel_for_each_fleet_with_its_figures() -> None:
    fleets = [figures(name) for name in ("wsclient", "b", "c", "d", "e")]
    picture = loads("Title", fleets, until=60, step=30, capacity="so much")
    texts, root = drawn(picture)
    assert {"Title", "wsclient", "b", "c", "d", "e", "seconds", "30"} <= set(texts)
    assert texts.count("99 % back: 30 s, 6.0 tries lost") == 5
    assert len(styles(root, "line", "limit")) == 5
    assert len(styles(root, "path", "ours area")) == 1
    assert len(styles(root, "path", "other area")) == 4


def test_a_load_is_drawn_as_steps_from_the_ground_up() -> None:
    (fleet,) = [figures("wsclient")]
    picture = loads("", [fleet], until=60, step=30, capacity="")
    (area,) = styles(drawn(picture)[1], "path", "ours area")
    points = (area.get("d") or "").removeprefix("M").split("L")
    heights = [float(point.split()[1]) for point in points]
    assert heights == [209.0, 209.0, 209.0, 104.0, 104.0, 209.0, 209.0, 209.0]


def test_times_mark_each_share_and_say_the_last() -> None:
    late = figures("late", (10.0, 200.0, None, None))
    never = figures("never", (None,) * 4)
    fleets = [figures("wsclient"), late, never]
    picture = times("Title", [("s", fleets)], until=100, step=50)
    texts, root = drawn(picture)
    assert {"wsclient", "late", "never", "s", "40 s"} <= set(texts)
    assert texts.count("→ never") == 2
    assert len(styles(root, "circle", "ours")) == 3
    assert len(styles(root, "circle", "ours hollow")) == 1
    assert len(styles(root, "circle", "other hollow")) == 1
    assert not styles(root, "circle", "other"), "beyond the end of the scale"


def test_what_lies_beyond_the_scale_is_told_with_an_arrow() -> None:
    slow = figures("slow", (10.0, 20.0, 30.0, 150.0))
    texts, _ = drawn(times("", [("s", [slow])], until=100, step=50))
    assert "→ 150 s" in texts


def test_sweeps_mark_the_default_and_what_never_ends() -> None:
    panel = Panel(
        label="seconds",
        unit="cap",
        settings=(1.0, 2.0, 4.0),
        series=[("low", (None, 10.0, 20.0)), ("high", (30.0, 20.0, 40.0))],
        marks=(1, 10, 100),
        now=2.0,
    )
    texts, root = drawn(sweeps("Title", [panel]))
    assert {"low", "high", "seconds", "cap", "default", "100"} <= set(texts)
    assert texts.count("never") == 1
    (now,) = styles(root, "line", "now")
    (second, *_) = styles(root, "circle", "ours")
    assert now.get("x1") == second.get("cx")
    assert len(styles(root, "circle", "ours")) == 2
    assert len(styles(root, "circle", "other")) == 3
    by_text = {text.text: text for text in root.iter(f"{SVG}text")}
    assert by_text["low"].get("class") == "blue", "as its line"
    assert by_text["high"].get("class") == "soft"
    assert by_text["low"].get("y") != by_text["high"].get("y")
