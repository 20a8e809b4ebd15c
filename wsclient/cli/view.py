"""How a demo is shown: line by line, or live where there is rich and a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec

from .ledger import Verdict
from .story import Story

__all__ = ("HINT", "has_rich", "report", "showing")

HINT = "For a live view: pip install 'wsclient[cli]'"


def has_rich() -> bool:
    """Return whether the live view can be had."""
    return find_spec("rich") is not None


@asynccontextmanager
async def showing(story: Story, title: str, *, plain: bool) -> AsyncIterator[None]:
    """Show the story while the body runs."""
    if plain:
        print(title, flush=True)
        story.tell = _print
        yield
        return
    from .live import showing_live  # lazily: nothing else needs rich

    async with showing_live(story, title):
        yield


def _print(line: str) -> None:
    print(line, flush=True)


def report(verdict: Verdict, story: Story) -> list[str]:
    """Say in lines what the comparison of the ledgers has shown."""
    head = ("connection", "ended", "subscribed", "written", "received", "under a gap")
    table = [head] + [
        (
            f"generation {row.generation}",
            str(story.ended.get(row.generation, "")),
            f"{row.subscribed}",
            f"{row.written:,}",
            f"{row.received:,}",
            f"{row.under_gap:,}",
        )
        for row in verdict.rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["", "The server's ledger against the client's:", ""]
    for cells in table:
        padded = [
            f"{cell:{'<' if number < 2 else '>'}{width}}"
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    total = (
        f"{verdict.written:,} messages written, {verdict.received:,} received, "
        f"{verdict.under_gaps:,} under one of {verdict.gaps} gaps, "
        f"duplicates: {verdict.duplicates}"
    )
    return [*lines, "", total]
