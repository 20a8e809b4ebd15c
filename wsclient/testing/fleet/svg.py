"""Just enough SVG for plots: a page with its colours, and axes on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ("Axes", "Page", "Scale")

# The page has a ground of its own: it is legible whatever stands around it.
STYLE = """
svg { --ground: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #dfe3e8;
      --ours: #0969da; --other: #7d8590; --mark: #bc4c00; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #2a313c;
        --ours: #58a6ff; --other: #8b949e; --mark: #f0883e; } }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; } .soft { fill: var(--soft); }
.bold { font-weight: 600; } .blue { fill: var(--ours); } .orange { fill: var(--mark); }
.grid { stroke: var(--grid); } .limit { stroke: var(--mark); stroke-dasharray: 5 3; }
.ours { stroke: var(--ours); fill: var(--ours); }
.other { stroke: var(--other); fill: var(--other); }
.area { fill-opacity: .3; stroke-width: 1; } .line { fill: none; stroke-width: 2; }
.ground { fill: var(--ground); } .hollow { fill: var(--ground); stroke-width: 2; }
.now { stroke: var(--ours); stroke-dasharray: 2 4; }
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a value stands between two ends of a picture."""

    least: float
    most: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.least), self.most)
        form: Callable[[float], float] = math.log if self.log else float
        least, most = form(self.least), form(self.most)
        part = (form(value) - least) / (most - least)
        return self.start + part * (self.end - self.start)


class Page:
    """A picture with a title that grows element by element."""

    def __init__(self, width: int, height: int, title: str) -> None:
        size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" width="{width}" height="{height}"/>',
        ]
        self.text(16, 26, title, "title")

    def text(
        self, x: float, y: float, text: str, style: str = "", anchor: str = "start"
    ) -> None:
        """Write a line of text."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'class="{style}"/>'
        )

    def path(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """Draw from point to point."""
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._parts.append(f'<path d="M{steps}" class="{style}"/>')

    def dot(self, x: float, y: float, style: str) -> None:
        """Draw a dot."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{style}"/>')

    def __str__(self) -> str:
        return "\n".join([*self._parts, "</svg>\n"])


@dataclass(frozen=True, slots=True)
class Axes:
    """Two scales on a page; ticks are values and what is written at them."""

    page: Page
    x: Scale
    y: Scale

    def bottom(self, ticks: Sequence[tuple[float, str]], label: str) -> None:
        """Label the axis below."""
        for value, text in ticks:
            self.page.line(
                self.x(value), self.y.end, self.x(value), self.y.start, "grid"
            )
            self.page.text(self.x(value), self.y.start + 16, text, "soft", "middle")
        middle = (self.x.start + self.x.end) / 2
        self.page.text(middle, self.y.start + 33, label, "soft", "middle")

    def left(self, ticks: Sequence[tuple[float, str]]) -> None:
        """Label the axis at the left; what it measures stands above it."""
        for value, text in ticks:
            self.page.line(
                self.x.start, self.y(value), self.x.end, self.y(value), "grid"
            )
            self.page.text(self.x.start - 6, self.y(value) + 4, text, "soft", "end")
