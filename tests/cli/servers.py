"""Servers for the demo's client: the true one, and some that lie."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from wsclient.cli.demo_server import Ledger, main
from wsclient.cli.ledger import Heard, Line, Message

__all__ = ("LIARS", "SERVER", "liar")

SERVER = (sys.executable, "-m", "wsclient.cli.demo_server")


class Forgetful(Ledger):
    """Keeps no book of one message."""

    def note(self, line: Line) -> None:
        if not (isinstance(line, Message) and line.number == 5):
            super().note(line)


class Doubting(Ledger):
    """Hears a subscription twice."""

    def note(self, line: Line) -> None:
        super().note(line)
        if isinstance(line, Heard):
            super().note(line)


class Mute(Ledger):
    """Dies while it keeps its book."""

    def note(self, line: Line) -> None:
        if isinstance(line, Message) and line.number == 5:
            raise SystemExit(9)
        super().note(line)


LIARS: dict[str, Callable[[Path], Ledger]] = {
    kind.__name__: kind for kind in (Forgetful, Doubting, Mute)
}


def liar(name: str) -> tuple[str, ...]:
    """Return the command of a server that lies."""
    return (sys.executable, __file__, name)


if __name__ == "__main__":
    main(sys.argv[2:], keep=LIARS[sys.argv[1]])
