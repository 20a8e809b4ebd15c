"""How a recorded conversation is written down: one event a line, for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..errors import ArgumentError
from ..protocol import CloseReceived, Ping, Pong, Role

__all__ = (
    "HIDDEN",
    "Body",
    "Called",
    "End",
    "Head",
    "Raw",
    "Said",
    "What",
    "read",
    "write",
    "write_called",
    "written",
)

HIDDEN = "***"
"""Stands in a head for what is not written."""

FIRST_LINE = "recording 1"
INTRODUCTION = f"""\
# A recorded conversation: > is what the client said, < what the server said, behind it
# the seconds since the connection began; {HIDDEN} stands for what is not written.
{FIRST_LINE}
"""

WIDTH = 64  # characters of text on a line
ROW = 24  # bytes of binary on a line
INDENT = " " * 12  # below what an event says


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or an answer; its last line is empty if it is whole."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A part of the body of an answer that is no 101, as it stood on the wire."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """
    Bytes that are no event: they break RFC 6455, or the end came before they made one.

    ``why`` says what they break; it is written as a comment and not read again.

    """

    data: bytes
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class End:
    """How one side ended: it said ``EOF``, or there was a ``reset``."""

    how: Literal["EOF", "reset"]


What = str | bytes | Ping | Pong | CloseReceived | Head | Body | Raw | End
"""What one side can say; a text message is a ``str``, a binary one ``bytes``."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    An event of a conversation.

    Attributes:
        at: seconds since the connection began.
        by: who said it.
        what: what was said.
        line: where it stands in the file, counted from 1; 0: in none.

    """

    at: float
    by: Role
    what: What
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Called:
    """
    What a file says of a connection as a whole.

    Attributes:
        number: counted from 1 in the order in which the connections came about.
        host, port, tls: what was dialled.
        at: seconds from the first connection to this one.

    """

    number: int
    host: str = ""
    port: int = 0
    tls: bool = False
    at: float = 0.0


_ARROWS = {Role.CLIENT: ">", Role.SERVER: "<"}
_ROLES = {arrow: role for role, arrow in _ARROWS.items()}
_BINARY: dict[str, type[Ping | Pong | Raw]] = {"ping": Ping, "pong": Pong, "raw": Raw}
_called = re.compile(
    r"connection (?P<number>\d+)"
    r"(?: to (?P<host>\S+):(?P<port>\d+)(?P<tls> tls)? at (?P<at>\d+\.\d+))?"
)
_pieces = re.compile(rf"[^\n]{{1,{WIDTH}}}\n?|\n")
_literal = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


# Writing


def write(said: Said) -> str:
    """Write an event as the lines that it is in a file."""
    comment = ""
    if isinstance(said.what, Raw) and said.what.why:
        comment = f"# What follows breaks the rules: {said.what.why}.\n"
    first, *more = written(said.what)
    lines = [f"{_ARROWS[said.by]} {said.at:9.3f} {first}", *more]
    return comment + "\n".join(lines) + "\n"


def write_called(called: Called) -> str:
    """Write the line with which a connection begins."""
    tls = " tls" if called.tls else ""
    where = f"to {called.host}:{called.port}{tls} at {called.at:.3f}"
    return f"\nconnection {called.number} {where}\n"


def written(what: What) -> list[str]:
    """Write what was said; from the second line on it is indented."""
    first, *more = _rows_of(what)
    return [first, *(INDENT + row for row in more)]


def _rows_of(what: What) -> list[str]:
    match what:
        case Head(lines):
            return ["|" + _escaped(line) for line in lines]
        case str():
            return _worded("text", map(repr, _pieces.findall(what) or [""]))
        case bytes():
            return _worded("binary", _hex(what))
        case Ping(data) | Pong(data) | Raw(data):
            return _worded(type(what).__name__.lower(), _hex(data))
        case Body(data):
            return _worded("body", _readable(data))
        case CloseReceived(code, reason):
            return [f"close {code} {reason!r}" if reason else f"close {code}"]
        case End(how):
            return [how]


def _worded(word: str, rows: Iterable[str]) -> list[str]:
    """Put the word in front, with the only row or above all of them."""
    rows = list(rows)
    return [f"{word} {rows[0]}"] if len(rows) == 1 else [word, *rows]


def _hex(data: bytes) -> Iterator[str]:
    for start in range(0, len(data), ROW):
        yield data[start : start + ROW].hex(" ", -4)


def _readable(data: bytes) -> Iterable[str]:
    try:
        return map(repr, _pieces.findall(data.decode()))
    except UnicodeDecodeError:
        return _hex(data)


def _escaped(line: str) -> str:
    escaped = line.encode("unicode_escape").decode("ascii")
    # Editors cut spaces off the end of a line.
    return re.sub(r" $", r"\\x20", escaped)


# Reading


def read(text: str, name: str) -> Iterator[tuple[Called, list[Said]]]:
    """
    Read a file: each connection and what was said on it, in order.

    Raises:
        ArgumentError: it is no recording, or a line is none of one.

    """
    reader = _Reader(name)
    for number, line in enumerate(text.split("\n"), 1):
        reader.take(number, line.removesuffix("\r"))
    yield from reader.done()


class _Reader:
    """Takes lines; one that is indented goes on with the event above."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = False
        self._found: dict[int, tuple[Called, list[Said]]] = {}
        self._here: list[Said] | None = None
        self._number = 0
        self._event: list[str] = []

    def take(self, number: int, line: str) -> None:
        bare = line.strip()
        if not bare or bare.startswith("#"):
            return
        if line[0] in " \t":
            if not self._event:
                raise self._wrong(number, "it goes on with nothing")
            self._event.append(line.lstrip())
            return
        self._finish()
        self._number = number
        if not self._begun:
            if bare != FIRST_LINE:
                raise self._wrong(number, f"a recording begins with {FIRST_LINE!r}")
            self._begun = True
        elif bare.startswith("connection "):
            self._connect(bare)
        else:
            self._event = [line]

    def done(self) -> Iterable[tuple[Called, list[Said]]]:
        self._finish()
        if not self._begun:
            raise self._wrong(1, f"a recording begins with {FIRST_LINE!r}")
        return self._found.values()

    def _connect(self, line: str) -> None:
        found = _called.fullmatch(line)
        if found is None:
            raise self._wrong(self._number, "connection N to HOST:PORT at SECONDS")
        number = int(found["number"])
        if found["host"]:
            host, port, at = found["host"], int(found["port"]), float(found["at"])
            called = Called(number, host, port, bool(found["tls"]), at)
        else:
            called = Called(number)
        self._here = self._found.setdefault(number, (called, []))[1]

    def _finish(self) -> None:
        lines, self._event = self._event, []
        if not lines:
            return
        if self._here is None:
            raise self._wrong(self._number, "it belongs to no connection")
        try:
            self._here.append(_read_event(lines, self._number))
        except (ValueError, SyntaxError) as error:
            raise self._wrong(self._number, str(error)) from None

    def _wrong(self, number: int, detail: str) -> ArgumentError:
        return ArgumentError(f"{self._name}:{number}: {detail}")


def _read_event(lines: list[str], number: int) -> Said:
    arrow, _, rest = lines[0].partition(" ")
    if arrow not in _ROLES:
        raise ValueError(f"a line begins with > or <, not with {arrow!r}")
    seconds, _, rest = rest.lstrip().partition(" ")
    what = _read_what([rest.lstrip(), *lines[1:]])
    return Said(float(seconds), _ROLES[arrow], what, number)


def _read_what(lines: list[str]) -> What:
    if lines[0].startswith("|"):
        return Head(tuple(map(_unescaped, lines)))
    word, _, first = lines[0].partition(" ")
    text = "\n".join([first, *lines[1:]]).strip()
    match word:
        case "text":
            return _unquoted(text)
        case "binary":
            return bytes.fromhex(text)
        case "ping" | "pong" | "raw":
            return _BINARY[word](bytes.fromhex(text))
        case "body" if text[:1] in ("'", '"'):
            return Body(_unquoted(text).encode())
        case "body":
            return Body(bytes.fromhex(text))
        case "close":
            code, _, reason = text.partition(" ")
            return CloseReceived(int(code), _unquoted(reason))
        case "EOF" | "reset" if not text:
            return End(word)
    raise ValueError(f"nobody says {lines[0]!r}")


def _unquoted(text: str) -> str:
    """Join the string literals that follow each other."""
    rest = _literal.sub("", text).strip()
    if rest:
        raise ValueError(f"{rest!r} is no text in quotes")
    return "".join(ast.literal_eval(part) for part in _literal.findall(text))


def _unescaped(line: str) -> str:
    if not line.startswith("|"):
        raise ValueError("each line of a head stands behind |")
    return line[1:].encode("ascii").decode("unicode_escape")
