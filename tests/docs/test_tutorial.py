"""The tutorial, step by step: its programs as files, run as its reader runs them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ..peers.processes import free_ports
from .pages import DOCS, ROOT, snippets_of

pytestmark = pytest.mark.real

HANG = 60.0  # seconds
LATER = 1_000_000  # where the second server begins to count

FILES = {
    snippet.file: snippet.code
    for snippet in snippets_of(DOCS / "tutorial.md")
    if snippet.file is not None
}


class Program:
    """One program of the tutorial in a process of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.errors = folder / f"{name}.log"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, name],
                cwd=folder,
                env={"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def read_until(self, pattern: str) -> re.Match[str]:
        """Return the first line that is like this."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if match := re.fullmatch(pattern, line.strip()):
                return match
        log = self.errors.read_text(encoding="utf-8")
        raise AssertionError(f"{self.name} ended without {pattern!r}:\n{log}")

    def read_count(self, channel: str, at_least: int) -> None:
        """Return when this channel has counted so far."""
        while int(self.read_until(rf"{channel} (\d+)")[1]) < at_least:
            pass

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """End it for certain, and reap it."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(params=["asyncio", "trio"])
def start(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Program]]:
    """Save a file of the tutorial and start it; a bit faster, on the backend asked."""
    [port] = free_ports(1)
    with ExitStack() as stack:

        def start(name: str, count_from: int = 1) -> Program:
            source = FILES[name].replace("8765", str(port))
            source = source.replace("timeout=0.5", "timeout=0.02")
            source = source.replace("count(1)", f"count({count_from})")
            source = source.replace("(main)", f"(main, backend={request.param!r})")
            (tmp_path / name).write_text(source, encoding="utf-8")
            return stack.enter_context(running(Program(tmp_path, name)))

        yield start


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """Kill it at the end, or when it hangs: then whoever reads it is told."""
    guard = threading.Timer(HANG, program.process.kill)
    guard.start()
    try:
        yield program
    finally:
        guard.cancel()
        program.end()


def test_the_story_has_all_the_files_of_the_page() -> None:
    assert set(FILES) == {"server.py", "once.py", "bot.py", "careful.py", "trader.py"}


def test_one_connection_ends_with_its_server(start: Callable[..., Program]) -> None:
    server = start("server.py")
    server.read_until("listening")
    once = start("once.py")
    once.read_until(r'\{"channel": "trades", "n": \d+\}')
    server.interrupt()
    server.read_until("stopped")
    once.read_until("over")
    assert once.process.wait(HANG) == 0


def test_the_bots_survive_a_restart_of_their_server(
    start: Callable[..., Program],
) -> None:
    server = start("server.py")
    server.read_until("listening")
    bot, careful, trader = map(start, ("bot.py", "careful.py", "trader.py"))
    for program in bot, careful:
        program.read_count("trades", 2)
    trader.read_until(r'connection 1 \{"welcome": "secret"\}')
    trader.read_count("trades", 2)
    trader.read_count("quotes", 2)

    server.interrupt()
    server.read_until("stopped")
    server.process.wait(HANG)
    start("server.py", LATER).read_until("listening")

    bot.read_count("trades", LATER)
    careful.read_until("may have missed something: PEER_CLOSED")
    careful.read_count("trades", LATER)
    trader.read_until(r'connection 2 \{"welcome": "secret"\}')
    trader.read_count("trades", LATER)
    trader.read_count("quotes", LATER)
