"""Writes what was found where it is read: docs/performance.md and the plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .contests import CONTESTS
from .plots import SHEETS, draw
from .report import ahead_of_us, goals_of, rankings_of, run_of
from .results import Results

__all__ = ("filled", "regions", "write")


def regions(results: Results) -> dict[str, str]:
    """Return what belongs between the marks of the page, by their names."""
    made = {
        "run": run_of(results),
        "goals": "\n".join(goals_of(results, all_of_them=True)),
        "ahead": "\n".join(ahead_of_us(results)) or "Nowhere in this run.",
    }
    for group in groups():
        contests = [one for one in CONTESTS.values() if one.group == group]
        made[group] = "\n\n".join(rankings_of(results, contests)) or "Not measured."
    return made


def groups() -> Iterator[str]:
    """Give the groups of contests, in their order."""
    yield from dict.fromkeys(contest.group for contest in CONTESTS.values())


def filled(page: str, made: dict[str, str]) -> str:
    """Return the page with everything between ``<!-- made: NAME -->`` and the end."""
    for name, text in made.items():
        start, end = f"<!-- made: {name} -->\n", "<!-- made end -->"
        before, found, rest = page.partition(start)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"the page has no place for {name!r}")
        page = f"{before}{start}{text}\n{end}{after}"
    return page


def write(results: Results, docs: Path) -> Iterator[Path]:
    """Write the page and the plots anew; give each file that was written."""
    page = docs / "performance.md"
    text = filled(page.read_text(encoding="utf-8"), regions(results))
    page.write_text(text, encoding="utf-8", newline="\n")
    yield page
    for name, sheet in SHEETS.items():
        path = docs / "plots" / f"performance-{name}.svg"
        path.write_text(draw(sheet, results), encoding="utf-8", newline="\n")
        yield path
