"""Grammar of the handshake's headers: tokens, lists, extensions, credentials."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence

from ..errors import ArgumentError

__all__ = (
    "Extension",
    "MalformedHeader",
    "basic_authorization",
    "by_name",
    "check_header",
    "check_headers",
    "check_subprotocol",
    "check_subprotocols",
    "format_extensions",
    "header_values",
    "parse_extensions",
    "parse_tokens",
)

Extension = tuple[str, tuple[tuple[str, str | None], ...]]
"""The name of an extension and its parameters, in order."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_token = re.compile(_TOKEN)
_value = re.compile(
    r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
_spaces = re.compile(r"[ \t]*")
_quoted = re.compile(r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e])*)"')


# The handshake's own, never the user's.
_OWN = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)


class MalformedHeader(ValueError):
    """A header of the peer does not follow its grammar; it never leaves this room."""


def check_header(name: str, value: str) -> None:
    """
    Check a header that is to be sent.

    Raises:
        ArgumentError: the name is no token, or the value could not stand on one line.

    """
    if not isinstance(name, str) or not isinstance(value, str):
        raise ArgumentError(f"a header is a pair of str, not {(name, value)!r}")
    if not _token.fullmatch(name):
        raise ArgumentError(
            f"{name!r} cannot be the name of a header: use letters, digits and "
            "hyphens, no spaces, colons or line ends"
        )
    # The value may be a secret, so it is not shown.
    if "\r" in value or "\n" in value:
        raise ArgumentError(
            f"the value of {name} has a CR or LF in it: strip it, or send two headers"
        )
    if not _value.fullmatch(value):
        raise ArgumentError(
            f"the value of {name} cannot be sent: strip spaces around it and encode "
            "control characters and what is not latin-1, in percent or base64 encoding"
        )


def check_subprotocol(name: str) -> None:
    """
    Check the name of a subprotocol (RFC 6455, section 4.1).

    Raises:
        ArgumentError: it is no token.

    """
    if not isinstance(name, str) or not _token.fullmatch(name):
        raise ArgumentError(
            f"{name!r} cannot be the name of a subprotocol: use letters, digits and "
            "any of !#$%&'*+-.^_`|~"
        )


def check_headers(headers: Iterable[tuple[str, str]]) -> None:
    """
    Check the headers a user adds to a request or response.

    Raises:
        ArgumentError: one cannot be sent, or is the handshake's own.

    """
    for name, value in headers:
        check_header(name, value)
        if name.lower() in _OWN:
            raise ArgumentError(
                f"{name} is the handshake's own: remove it (for subprotocols and "
                "compression there are arguments)"
            )


def check_subprotocols(names: Sequence[str]) -> tuple[str, ...]:
    """
    Check the subprotocols of an endpoint.

    Raises:
        ArgumentError: one is no token, stands twice, or ``names`` is a bare str.

    """
    if isinstance(names, str):
        raise ArgumentError(f"subprotocols are a sequence: write [{names!r}]")
    for name in names:
        check_subprotocol(name)
    if len(set(names)) != len(names):
        raise ArgumentError("a subprotocol is offered twice")
    return tuple(names)


def by_name(headers: Iterable[tuple[str, str]]) -> defaultdict[str, list[str]]:
    """Return the values of each header, in order, under its name in lower case."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in headers:
        values[name.lower()].append(value)
    return values


def header_values(headers: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Return the values of each header called ``name``, in order."""
    name = name.lower()
    return [value for key, value in headers if key.lower() == name]


def parse_tokens(values: Sequence[str]) -> list[str]:
    """
    Parse a comma-separated list of tokens over one or several headers.

    Raises:
        MalformedHeader: it is not one.

    """
    tokens = []
    for item in ",".join(values).split(","):
        item = item.strip(" \t")
        if not item:
            continue  # RFC 9110, 5.6.1.2: empty elements are ignored
        if not _token.fullmatch(item):
            raise MalformedHeader(f"{item!r} is not a token")
        tokens.append(item)
    return tokens


def parse_extensions(values: Sequence[str]) -> list[Extension]:
    """
    Parse ``Sec-WebSocket-Extensions`` (RFC 6455, section 9.1).

    Raises:
        MalformedHeader: it does not follow the grammar.

    """
    extensions: list[Extension] = []
    scanner = _Scanner(",".join(values))
    while not scanner.at_end:
        if scanner.take(","):
            continue
        name = scanner.token()
        parameters: list[tuple[str, str | None]] = []
        while scanner.take(";"):
            key = scanner.token()
            parameters.append((key, scanner.value() if scanner.take("=") else None))
        extensions.append((name, tuple(parameters)))
        if not scanner.at_end and not scanner.take(","):
            raise scanner.error()
    return extensions


def format_extensions(extensions: Iterable[Extension]) -> str:
    """Write ``Sec-WebSocket-Extensions``."""
    return ", ".join(
        "; ".join(
            [name, *(k if v is None else f"{k}={v}" for k, v in parameters)],
        )
        for name, parameters in extensions
    )


def basic_authorization(user: str, password: str) -> str:
    """Return the value of ``Authorization`` for a user and a password (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


class _Scanner:
    """Reads tokens, quoted strings and delimiters, each with the spaces after it."""

    __slots__ = ("_position", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._read(_spaces)

    @property
    def at_end(self) -> bool:
        return self._position == len(self._text)

    def take(self, delimiter: str) -> bool:
        if not self._text.startswith(delimiter, self._position):
            return False
        self._position += 1
        self._read(_spaces)
        return True

    def token(self) -> str:
        found = self._read(_token)
        if not found:
            raise self.error()
        self._read(_spaces)
        return found[0]

    def value(self) -> str:
        """A token, or a quoted string that is one when unquoted."""
        if not self._text.startswith('"', self._position):
            return self.token()
        found = self._read(_quoted)
        if not found:
            raise self.error()
        self._read(_spaces)
        value = re.sub(r"\\(.)", r"\1", found[1])
        if not _token.fullmatch(value):
            raise MalformedHeader(f"{value!r} is not a token in quotes")
        return value

    def error(self) -> MalformedHeader:
        return MalformedHeader(f"{self._text!r} is malformed at {self._position}")

    def _read(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._position)
        if found:
            self._position = found.end()
        return found
