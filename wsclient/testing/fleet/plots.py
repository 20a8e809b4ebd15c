"""Three kinds of pictures: loads over time, times to recover, and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import Figures
from .svg import Axes, Page, Scale

__all__ = ("Panel", "loads", "sweeps", "times")

WIDTH = 900
OURS = "wsclient"


def _style(name: str) -> str:
    return "ours" if name == OURS else "other"


def _seconds(at: float | None) -> str:
    return "never" if at is None else f"{at:.0f} s"


def loads(
    title: str, fleets: Sequence[Figures], *, until: int, step: int, capacity: str
) -> str:
    """Draw the attempts per second of each fleet, side by side on the same scales."""
    columns, wide, high, pitch = 4, 212, 105, 188
    rows = -(-len(fleets) // columns)
    page = Page(WIDTH, 150 + high + (rows - 1) * pitch, title)
    page.text(
        16,
        48,
        f"Attempts per second in multiples of capacity (dashed: 1), logarithmic. "
        f"Capacity: {capacity}.",
        "soft",
    )
    for number, fleet in enumerate(fleets):
        left = 52 + number % columns * wide
        top = 104 + number // columns * pitch
        axes = Axes(
            page,
            Scale(0, until, left, left + wide - 38),
            Scale(0.01, 100, top + high, top, log=True),
        )
        ticks = range(0, until + 1, step)
        axes.bottom([(at, str(at)) for at in ticks], "seconds")
        marks = ((0.01, "0.01"), (0.1, "0.1"), (1, "1"), (10, "10"), (100, "100"))
        axes.left(marks if number % columns == 0 else [(at, "") for at, _ in marks])
        _load(axes, fleet, until)
        page.text(left, top - 24, fleet.strategy, "bold")
        told = f"99 % back: {_seconds(fleet.back[2])}, {fleet.wasted:.1f} tries lost"
        page.text(left, top - 8, told, "soft")
    return str(page)


def _load(axes: Axes, fleet: Figures, until: int) -> None:
    x, y = axes.x, axes.y
    axes.page.line(x.start, y(1), x.end, y(1), "limit")
    load = fleet.load[:until]
    steps = [
        (x(at + edge), y(count)) for at, count in enumerate(load) for edge in (0, 1)
    ]
    outline = [(x(0), y.start), *steps, (x(len(load)), y.start)]
    axes.page.path(outline, f"{_style(fleet.strategy)} area")


def times(
    title: str,
    scenarios: Sequence[tuple[str, Sequence[Figures]]],
    *,
    until: int,
    step: int,
) -> str:
    """Draw from when to when the fleets came back, a column for each scenario."""
    rows = len(scenarios[0][1])
    wide = (WIDTH - 120) // len(scenarios)
    page = Page(WIDTH, 136 + rows * 26, title)
    page.text(
        16,
        48,
        "Seconds until 50 % (hollow), 95 %, 99 % and 100 % (the number) of the clients "
        "are back. Never: not within the time of the simulation.",
        "soft",
    )
    for column, (name, fleets) in enumerate(scenarios):
        left = 112 + column * wide
        axes = Axes(
            page,
            Scale(0, until, left, left + wide - 52),
            Scale(0, rows, 92 + rows * 26, 92),
        )
        page.text(left, 78, name, "bold")
        axes.bottom([(at, str(at)) for at in range(0, until + 1, step)], "seconds")
        for row, fleet in enumerate(fleets):
            y = 92 + 26 * row + 13
            if column == 0:
                style = "bold blue" if fleet.strategy == OURS else ""
                page.text(left - 10, y + 4, fleet.strategy, style, "end")
            _times(axes, fleet, y, until)
    return str(page)


def _times(axes: Axes, fleet: Figures, y: float, until: int) -> None:
    style = _style(fleet.strategy)
    first, *others = fleet.back
    ends = [until if at is None else at for at in fleet.back]
    axes.page.line(axes.x(ends[0]), y, axes.x(ends[-1]), y, f"{style} line")
    for at in others:
        if at is not None and at <= until:
            axes.page.dot(axes.x(at), y, style)
    if first is not None and first <= until:
        axes.page.dot(axes.x(first), y, f"{style} hollow")
    last = fleet.back[-1]
    told = _seconds(last)
    if last is None or last > until:
        told = f"→ {told}"
    axes.page.text(axes.x(ends[-1]) + 8, y + 4, told, "soft")


@dataclass(frozen=True, slots=True)
class Panel:
    """
    One measure against one setting.

    ``series`` are names, empty where another panel tells them, and a value for each of
    ``settings``; None: never. ``marks`` are the values written at the axis.

    """

    label: str
    unit: str
    settings: Sequence[float]
    series: Sequence[tuple[str, Sequence[float | None]]]
    marks: Sequence[float]
    now: float


def sweeps(title: str, panels: Sequence[Panel]) -> str:
    """Draw what follows from each value of a setting, with the default marked."""
    wide, high = (WIDTH - 20) // len(panels), 220
    page = Page(WIDTH, high + 134, title)
    for column, panel in enumerate(panels):
        left = 52 + column * wide
        last = len(panel.settings) - 1
        axes = Axes(
            page,
            Scale(-0.3, last + 0.3, left, left + wide - 70),
            Scale(panel.marks[0], panel.marks[-1], 86 + high, 86, log=True),
        )
        page.text(left - 30, 58, panel.label, "bold")
        axes.left([(mark, f"{mark:g}") for mark in panel.marks])
        axes.bottom(
            [(at, f"{setting:g}") for at, setting in enumerate(panel.settings)],
            panel.unit,
        )
        now = axes.x(list(panel.settings).index(panel.now))
        page.line(now, axes.y.start, now, axes.y.end, "now")
        page.text(now, axes.y.end - 6, "default", "blue", "middle")
        for number, (name, values) in enumerate(panel.series):
            style, ink = ("other", "soft") if number else ("ours", "blue")
            _sweep(axes, values, style)
            legend = axes.y.start - 10 - 16 * (len(panel.series) - 1 - number)
            if name:
                page.text(axes.x.end - 6, legend, name, ink, "end")
    return str(page)


def _sweep(axes: Axes, values: Sequence[float | None], style: str) -> None:
    points = [
        (axes.x(at), axes.y(value))
        for at, value in enumerate(values)
        if value is not None
    ]
    axes.page.path(points, f"{style} line")
    for point in points:
        axes.page.dot(*point, style)
    for at, value in enumerate(values):
        if value is None:
            axes.page.text(axes.x(at), axes.y.end + 16, "never", "orange", "middle")
