"""The live view, drawn into a string."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from wsclient import Gap, Reason
from wsclient.cli.ledger import Message
from wsclient.cli.live import picture, showing_live
from wsclient.cli.schedule import TROUBLES
from wsclient.cli.story import Story


def story() -> Story:
    told = Story(("trades", "quotes"), lambda: 0.0, 9)
    told.begin(TROUBLES[0], 1)
    for number in range(1234):
        told.take("trades", Message("1.1", number, "trades", ""))
    told.take("quotes", Gap(generation=2, reason=Reason.EOF))
    return told


def test_the_picture_shows_state_attempts_messages_gaps_and_trouble() -> None:
    output = StringIO()
    Console(file=output, width=80).print(picture(story(), "the title"))
    text = output.getvalue()
    assert "the title" in text
    assert f"1 of 9: {TROUBLES[0].name}" in text
    rows = [line.strip("│ ").split() for line in text.splitlines()]
    assert ["trades", "1,234", "0"] in rows
    assert ["quotes", "0", "1"] in rows
    assert ["state", "NEW"] in rows
    assert ["attempts", "-"] in rows


async def test_the_last_picture_stays() -> None:
    output = StringIO()
    told = story()
    console = Console(file=output, width=80, force_terminal=True)
    async with showing_live(told, "the title", console):
        told.say("the last line")
    assert "the last line" in output.getvalue()
