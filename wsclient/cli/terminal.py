"""What somebody types and sees: lines in and lines out of a terminal, pipe or file."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TextIO

import anyio

from ..transport.backend import call_soon_threadsafe

__all__ = ("Lines", "Screen", "is_dialogue")

CHUNK = 65536
PROMPT = "> "

_control = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_line_end = re.compile(r"[\t\n]")

_Call = Callable[[Callable[[], object]], object]
_Take = Callable[[bytes], None]


class Lines:
    """
    The lines of a file descriptor, read by a daemon thread that nobody waits for.

    An event loop cannot wait for files, and interpreters wait for other threads to
    end; this one may hang in its read for ever and holds up nothing. It reads only
    when a line is asked for. Ask in one task.

    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._asked: SimpleQueue[tuple[_Call, _Take]] = SimpleQueue()
        self._started = False
        self._buffer = bytearray()
        self._at_end = False

    async def next(self) -> bytes | None:
        """
        Return the next line without its end, or None if there is none.

        Cancelled, it leaves the read to itself: what that finds is lost.

        """
        seen = 0
        while (stop := self._buffer.find(b"\n", seen)) < 0 and not self._at_end:
            seen = len(self._buffer)
            chunk = await self._read()
            self._buffer += chunk
            self._at_end = not chunk
        if stop < 0:
            stop = len(self._buffer)
            if not stop:
                return None
        line = bytes(self._buffer[:stop])
        del self._buffer[: stop + 1]
        return line.removesuffix(b"\r")

    async def _read(self) -> bytes:
        chunk = b""
        arrived = anyio.Event()

        def take(read: bytes) -> None:
            nonlocal chunk
            chunk = read
            arrived.set()

        self._asked.put((call_soon_threadsafe(), take))
        if not self._started:
            self._started = True
            threading.Thread(
                target=self._work, name="wsclient input", daemon=True
            ).start()
        await arrived.wait()
        return chunk

    def _work(self) -> None:
        """Read a chunk for each one asked for, up to the end."""
        chunk = b" "
        while chunk:
            call, take = self._asked.get()
            chunk = self._read_now()
            with suppress(RuntimeError):  # the event loop has ended: nobody wants it
                call(partial(take, chunk))

    def _read_now(self) -> bytes:
        while True:
            try:
                return os.read(self._fd, CHUNK)
            except BlockingIOError:  # another program has left it so
                select.select([self._fd], [], [])
            except OSError:
                return b""  # it was closed, or the terminal is gone


def is_dialogue(stdin: TextIO, stdout: TextIO) -> bool:
    """Whether somebody types at a terminal and sees there what is printed."""
    return (
        stdin.isatty()
        and stdout.isatty()
        and sys.platform != "win32"
        and os.environ.get("TERM", "dumb") != "dumb"
    )


class Screen:
    """
    Prints messages to ``out`` and everything else to ``err``.

    On a terminal a message has a mark, ``<``, and what would steer the terminal is
    escaped: it comes from a stranger. In a dialogue there is a prompt too, and lines
    appear above what is being typed.

    """

    def __init__(self, out: TextIO, err: TextIO, *, dialogue: bool) -> None:
        self._out = out
        self._err = err
        self._marked = out.isatty()
        self._dialogue = dialogue
        self._prompting = False

    def message(self, message: str | bytes) -> None:
        """Print what was received: text as it is, binary in hexadecimal."""
        if isinstance(message, bytes):
            text = message.hex(" ") if self._marked else message.hex()
            if self._marked:
                text = f"({len(message)} bytes) {text}".rstrip()
        else:
            text = message
        if self._marked:
            text = f"< {_control.sub(_escaped, text).expandtabs()}"
        self._print(self._out, text)

    def note(self, text: str) -> None:
        """Print one line about the connection."""
        text = _line_end.sub(_escaped, _control.sub(_escaped, text))
        self._print(self._err, text)

    def prompt(self) -> None:
        """Ask for a line; what was typed before has been taken."""
        if self._dialogue:
            self._out.write(PROMPT)
            self._out.flush()
            self._prompting = True

    def entered(self) -> None:
        """A line was typed: the cursor stands below it."""
        self._prompting = False

    def close(self) -> None:
        """Leave nothing half typed, neither here nor to who reads the terminal next."""
        if self._prompting:
            from termios import TCIFLUSH, tcflush

            self._prompting = False
            self._out.write("\r\x1b[K")
            self._out.flush()
            tcflush(self._out.fileno(), TCIFLUSH)

    def _print(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        if self._prompting and stream.isatty():
            text = above(text, os.get_terminal_size(self._out.fileno()))
        else:
            text += "\n"
        stream.write(text)
        stream.flush()


def above(text: str, size: os.terminal_size) -> str:
    """Return what prints ``text`` above the line with the cursor, which stays."""
    columns = max(size.columns, 1)
    rows = sum(max(1, -(-width(line) // columns)) for line in text.split("\n"))
    if rows >= size.lines:
        return f"\r\x1b[K{text}\n{PROMPT}"
    # Save the cursor; make room below; insert as many lines as are needed; go back,
    # and down by as many. At the bottom "down" stops, and the screen has scrolled.
    room = "\n" * rows + f"\x1b[{rows}A\r\x1b[{rows}L"
    return f"\x1b7{room}{text}\x1b8\x1b[{rows}B"


def width(line: str) -> int:
    """Return how many columns a line takes."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in line)
    return len(line) + wide - sum(map(bool, map(unicodedata.combining, line)))


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]
