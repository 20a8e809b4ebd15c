"""The live view of a demo; loaded only where there is rich."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .story import Story

__all__ = ("picture", "showing_live")

PERIOD = 0.1  # seconds between two pictures


@asynccontextmanager
async def showing_live(
    story: Story, title: str, console: Console | None = None
) -> AsyncIterator[None]:
    """Draw the story anew all the time while the body runs; the last picture stays."""
    with Live(picture(story, title), console=console, auto_refresh=False) as live:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_redraw, live, story, title)
                yield
                group.cancel_scope.cancel()
        finally:
            live.update(picture(story, title), refresh=True)


async def _redraw(live: Live, story: Story, title: str) -> None:
    while True:
        await anyio.sleep(PERIOD)
        live.update(picture(story, title), refresh=True)


def picture(story: Story, title: str) -> Panel:
    """Draw the story as it stands."""
    facts = Table.grid(padding=(0, 2))
    stats = None if story.stats is None else story.stats()
    latency = None if stats is None else stats.latency
    trouble = story.incidents[-1].trouble.name if story.incidents else "none yet"
    for name, value in (
        ("state", str(story.state)),
        ("generation", str(story.generation)),
        ("attempts", "-" if stats is None else str(stats.attempts)),
        ("latency", "-" if latency is None else f"{latency * 1000:.1f} ms"),
        ("time", f"{story.seconds:.1f} s"),
        ("trouble", f"{len(story.incidents)} of {story.planned}: {trouble}"),
    ):
        facts.add_row(Text(name, style="dim"), Text(value, style="bold"))
    table = Table("subscription", box=None, padding=(0, 2))
    for column in "messages", "gaps":
        table.add_column(column, justify="right")
    for channel in story.channels:
        messages, gaps = story.messages[channel], story.gaps[channel]
        table.add_row(channel, f"{messages:,}", f"{gaps}")
    lines = Text("\n".join(story.lines), no_wrap=True, overflow="ellipsis")
    return Panel(Group(facts, "", table, "", lines), title=title)
