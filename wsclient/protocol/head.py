"""The head of an HTTP message: collected as it comes, refused where it is too much."""

from __future__ import annotations

import re
from collections.abc import Iterable
from sys import intern

import h11

from .events import Headers
from .limits import Limits

__all__ = (
    "BadHead",
    "HeadReader",
    "decoded",
    "encoded",
    "kept",
    "maybe_read_upgrade",
)

_BLANK = frozenset({b"\r\n", b"\n"})
_FOLDS = (b"", b" ", b"\t")  # no byte yet, or one that goes on with the header

_STATUS = re.compile(r"HTTP/1\.1 101 [\t\x20-\x7e]*\r\n")
_HEADER = re.compile(
    r"([-!#$%&'*+.^_`|~0-9A-Za-z]+):[ \t]*"
    r"((?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?)[ \t]*\r\n"
)
_FRAMING = frozenset({"content-length", "transfer-encoding"})


class BadHead(Exception):
    """There is no reading on; it never leaves this room. ``status`` would tell why."""

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class HeadReader:
    """
    Collects heads, one after the other, and refuses the first byte too many.

    It counts what stands on the wire, before anybody parses it: the bytes of all
    heads together, the lines behind the first one, and the bytes of each header, line
    ends and the lines it is folded onto (RFC 9112, 5.2) included. So what is refused
    does not depend on how the bytes were split, and costs no more than looking for
    line ends.

    """

    __slots__ = ("_data", "_header", "_limits", "_line", "_lines", "_room", "_seen")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = limits.max_head_size
        self._data = bytearray()
        # Where the header and the line that are read begin, how many lines stand
        # before it, and up to where no end of it was found.
        self._header = self._line = self._lines = self._seen = 0

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._data += data

    def rest(self) -> bytes:
        """Return what stands behind the heads that were read."""
        return bytes(self._data)

    def maybe_next(self) -> bytes | None:
        """
        Return the next head; None: it needs more bytes.

        Raises:
            BadHead: it is none (400), or it is too large (431).

        """
        data = self._data
        if data and data[0] <= 0x20:  # no token: TLS, for example, on a plain port
            raise BadHead("this is not HTTP", 400)
        while True:
            first = data[self._line : self._line + 1]
            if self._lines < 2 or first not in _FOLDS:  # no fold behind the first line
                self._header = self._line
            stop = data.find(b"\n", self._seen) + 1
            self._check_size(stop or len(data))
            if not stop:
                self._seen = len(data)
                return None
            if bytes(data[self._line : stop]) in _BLANK:
                break
            if self._lines > self._limits.max_headers:
                raise BadHead("there are too many headers", 431)
            self._lines += 1
            self._line = self._seen = stop
        head = bytes(data[:stop])
        del data[:stop]
        self._room -= stop
        self._header = self._line = self._lines = self._seen = 0
        return head

    def _check_size(self, stop: int) -> None:
        """Refuse what goes beyond a bound; of two the one that it met first."""
        largest = self._header + self._limits.max_header_size
        if self._lines and stop > largest and largest < self._room:
            raise BadHead("a header is too large", 431)
        if stop > self._room:
            raise BadHead("the head is too large", 431)


def maybe_read_upgrade(head: bytes) -> list[tuple[str, str]] | None:
    """
    Read the headers of a 101, if it is spelled as RFC 9112 would have it written.

    None: it is another answer, or spelled in another way; h11 tells. What is read here
    h11 would read as the same, at five times the cost.

    """
    text = head.decode("latin-1")
    line = _STATUS.match(text)
    headers: list[tuple[str, str]] = []
    while line is not None:
        stop = line.end()
        if text.startswith("\r\n", stop):
            return headers
        line = _HEADER.match(text, stop)
        if line is not None:
            name, value = line.groups()
            if name.lower() in _FRAMING:
                return None
            headers.append((name, value))
    return None


def encoded(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as h11 takes them."""
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]


# Kept as long as a connection: what all of them say, they say with the same objects.
_ALIKE = {
    pair: pair
    for pair in (
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
    )
}


def kept(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return headers as they are kept, the names in lower case."""
    pairs = [(intern(name.lower()), value) for name, value in headers]
    return tuple([_ALIKE.get(pair, pair) for pair in pairs])


def decoded(head: h11.Request | h11.InformationalResponse | h11.Response) -> Headers:
    """Return the headers of h11's event."""
    return kept(
        (name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers
    )
