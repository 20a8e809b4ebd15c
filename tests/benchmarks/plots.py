"""Pictures of what was found: a row for each entrant, a panel for each figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wsclient.testing.fleet.svg import Axes, Page, Scale

from .contests import FIGURES
from .entrants import ENTRANTS
from .results import Results, Spread

__all__ = ("SHEETS", "Panel", "Sheet", "draw")

WIDTH = 900
LEFT = 172  # the names
TOP = 92
ROW = 22


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of one contest."""

    label: str
    contest: str
    figure: str

    def found(self, results: Results, entrant: str) -> Spread | None:
        spread = results.spread(self.contest, entrant, self.figure)
        return spread and spread.times(FIGURES[self.figure].factor)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Panels side by side, with the same entrants in each."""

    title: str
    note: str
    entrants: Sequence[str]
    panels: Sequence[Panel]


LIBRARIES = (
    "wsclient",
    "wsclient trio",
    "wsclient pure",
    "picows",
    "aiohttp",
    "websockets",
    "trio-websocket",
    "httpx-ws",
)
SPEEDS = ("wsclient level 1", "wsclient[speed]", "wsclient[speed] level 1")
FLOORS = ("asyncio protocol", "blocking socket")
LESS = "Less is better; the axis is logarithmic, the line goes from least to most."
CPU = f"CPU time of the client in us a message. {LESS}"

SHEETS: dict[str, Sheet] = {
    "summary": Sheet(
        "What a message and a connection cost",
        LESS,
        LIBRARIES,
        (
            Panel("receive 64 B, CPU us", "receive-64B", "cpu"),
            Panel("send 64 B, CPU us", "send-64B", "cpu"),
            Panel("32 B there and back, us", "trip-32B", "p50"),
            Panel("idle, bytes", "idle", "memory"),
        ),
    ),
    "receive": Sheet(
        "Receiving texts, one recv() each",
        CPU,
        (*LIBRARIES, *FLOORS),
        (
            Panel("64 B", "receive-64B", "cpu"),
            Panel("1 KiB", "receive-1KiB", "cpu"),
            Panel("64 KiB", "receive-64KiB", "cpu"),
            Panel("1 MiB", "receive-1MiB", "cpu"),
        ),
    ),
    "send": Sheet(
        "Sending texts, each awaited",
        CPU,
        (*LIBRARIES, *FLOORS),
        (
            Panel("64 B", "send-64B", "cpu"),
            Panel("1 KiB", "send-1KiB", "cpu"),
            Panel("64 KiB", "send-64KiB", "cpu"),
            Panel("1 MiB", "send-1MiB", "cpu"),
        ),
    ),
    "trips": Sheet(
        "There and back, the peer answers after 50 us",
        f"Median us, the 50 included. {LESS}",
        (*LIBRARIES, *FLOORS),
        (
            Panel("32 B", "trip-32B", "p50"),
            Panel("1 KiB", "trip-1KiB", "p50"),
            Panel("64 KiB", "trip-64KiB", "p50"),
        ),
    ),
    "deflate-tls": Sheet(
        "Compressed, and over TLS",
        CPU,
        ("wsclient", *SPEEDS, *LIBRARIES[1:], *FLOORS),
        (
            Panel("receive 1 KiB deflated", "receive-deflate-1KiB", "cpu"),
            Panel("send 1 KiB deflated", "send-deflate-1KiB", "cpu"),
            Panel("TLS, 32 B and back", "trip-tls-32B", "cpu"),
            Panel("TLS, receive 1 KiB", "receive-tls-1KiB", "cpu"),
        ),
    ),
    "many": Sheet(
        "Many connections",
        LESS,
        LIBRARIES,
        (
            Panel("connect at once, CPU ms", "at-once", "cpu_ms"),
            Panel("idle, bytes each", "idle", "memory"),
            Panel("2000 idle, CPU ms/s", "idle", "load"),
            Panel("import, CPU ms", "import", "cpu_ms"),
        ),
    ),
}


def draw(sheet: Sheet, results: Results) -> str:
    """Draw a sheet as SVG."""
    entrants = [
        name
        for name in sheet.entrants
        if any(panel.found(results, name) for panel in sheet.panels)
    ]
    page = Page(WIDTH, TOP + ROW * len(entrants) + 48, sheet.title)
    page.text(16, 48, sheet.note, "soft")
    wide = (WIDTH - LEFT) // len(sheet.panels)
    for row, name in enumerate(entrants):
        style = "bold blue" if ENTRANTS[name].ours else ""
        page.text(LEFT - 12, TOP + ROW * row + 15, name, style, "end")
    for column, panel in enumerate(sheet.panels):
        _panel(page, panel, entrants, results, LEFT + wide * column, wide)
    return str(page)


def _panel(
    page: Page,
    panel: Panel,
    entrants: Sequence[str],
    results: Results,
    left: int,
    wide: int,
) -> None:
    found = {
        row: spread
        for row, name in enumerate(entrants)
        if (spread := panel.found(results, name))
    }
    page.text(left, TOP - 14, panel.label, "bold")
    if not found:
        page.text(left, TOP + 15, "not measured", "soft")
        return
    least = min(spread.least for spread in found.values())
    most = max(spread.most for spread in found.values())
    marks = _marks(least, most)
    axes = Axes(
        page,
        Scale(marks[0], marks[-1], left + 6, left + wide - 62, log=True),
        Scale(0, len(entrants), TOP + ROW * len(entrants), TOP),
    )
    axes.bottom([(mark, _number(mark)) for mark in marks], "")
    for row, spread in found.items():
        style = "ours" if ENTRANTS[entrants[row]].ours else "other"
        y = TOP + ROW * row + ROW / 2
        page.line(axes.x(spread.least), y, axes.x(spread.most), y, f"{style} line")
        page.dot(axes.x(spread.median), y, style)
        beside = max(axes.x(spread.most), axes.x(spread.median)) + 8
        page.text(beside, y + 4, _number(spread.median), "soft")


def _marks(least: float, most: float) -> list[float]:
    """Return the powers of ten around what is to be shown."""
    first = math.floor(math.log10(least))
    last = max(first + 1, math.ceil(math.log10(most)))
    return [10.0**power for power in range(first, last + 1)]


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}"
