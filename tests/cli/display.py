"""A terminal's screen, as far as our command steers it."""

from __future__ import annotations

import re

_sequence = re.compile(r"\x1b(?:\[(\d*)([A-Z])|([78]))")


class Display:
    """Takes what a program prints, in the order of ECMA-48 and the VT100."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.rows: list[list[str]] = [[] for _ in range(lines)]
        self.row = self.column = 0
        self._saved = (0, 0)

    @property
    def text(self) -> list[str]:
        """The rows, without the empty ones at the end and spaces on their right."""
        rows = ["".join(row).rstrip() for row in self.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def feed(self, text: str) -> None:
        """Print."""
        position = 0
        while position < len(text):
            if found := _sequence.match(text, position):
                self._obey(found[3] or found[2], int(found[1] or 1))
                position = found.end()
            else:
                self._put(text[position])
                position += 1

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":  # a terminal's driver makes CR LF of it
            self.column = 0
            self._down()
        else:
            assert character.isprintable(), f"{character!r} reached the terminal"
            if self.column == self.columns:
                self.column = 0
                self._down()
            row = self.rows[self.row]
            row += " " * (self.column + 1 - len(row))
            row[self.column] = character
            self.column += 1

    def _down(self) -> None:
        if self.row < self.lines - 1:
            self.row += 1
        else:
            del self.rows[0]
            self.rows.append([])

    def _obey(self, command: str, count: int) -> None:
        match command:
            case "7":
                self._saved = (self.row, self.column)
            case "8":
                self.row, self.column = self._saved
            case "A":
                self.row = max(0, self.row - count)
            case "B":
                self.row = min(self.lines - 1, self.row + count)
            case "K":
                del self.rows[self.row][self.column :]
            case "L":
                self.rows[self.row : self.row] = [[] for _ in range(count)]
                del self.rows[self.lines :]
            case _:
                raise AssertionError(f"what is {command!r}?")
