"""Plain HTTP answers of a WebSocket server, and the cookies of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import SimpleCookie

from ..errors import ArgumentError
from ..protocol import Request
from ..protocol.headers import check_headers

__all__ = ("HTTPResponse", "HeaderValues", "cookies", "pairs_of")

HeaderValues = Mapping[str, str] | Sequence[tuple[str, str]]
"""Headers as a mapping, or as pairs where a name stands twice."""


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """
    What ``process_request`` returns to answer with plain HTTP.

    ``status`` is the HTTP status, 200 to 599; ``body`` is ``bytes``, or ``str`` sent as
    UTF-8 text. Its length and the connection's end are said for you. It is for small
    answers: all of it must be sent within ``open_timeout``.

    Raises:
        ArgumentError: the status, the body or a header cannot be sent.

    """

    status: int
    body: str | bytes = b""
    headers: HeaderValues = ()

    def __post_init__(self) -> None:
        if not isinstance(self.status, int) or not 200 <= self.status <= 599:
            raise ArgumentError(f"status is {self.status!r}; give 200 to 599")
        if not isinstance(self.body, str | bytes):
            raise ArgumentError(
                f"body is a {type(self.body).__name__}; give str or bytes"
            )
        self.encoded()

    @classmethod
    def of_status(cls, status: int, headers: HeaderValues = ()) -> HTTPResponse:
        """Make an answer whose body is the status in words."""
        return cls(status, f"{status} {HTTPStatus(status).phrase}\n", headers)

    def encoded(self) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        """Return status, headers and body as they are sent."""
        headers = pairs_of(self.headers)
        if isinstance(self.body, bytes):
            return self.status, headers, self.body
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers = (("Content-Type", "text/plain; charset=utf-8"), *headers)
        try:
            return self.status, headers, self.body.encode()
        except UnicodeEncodeError:
            raise ArgumentError("body has lone surrogates: encode it first") from None


def pairs_of(headers: HeaderValues) -> tuple[tuple[str, str], ...]:
    """
    Return headers of an answer as pairs.

    Raises:
        ArgumentError: they are none, or one of them is for the handshake alone to say.

    """
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(
                "headers are a mapping, or pairs of name and value, as in"
                f" [('Retry-After', '5')], not {pair!r}"
            )
    check_headers(pairs)
    return pairs


def cookies(request: Request) -> dict[str, str]:
    """
    Return the cookies of a request by name.

    Of several with one name the first counts: clients put the one with the most
    specific path first (RFC 6265, 5.4).

    """
    found: dict[str, str] = {}
    decode = SimpleCookie().value_decode  # quotes, and what Python's own cookies escape
    for name, value in request.headers:
        if name.lower() == "cookie":
            for pair in value.split(";"):
                key, equals, text = pair.partition("=")
                if equals:
                    found.setdefault(key.strip(), decode(text.strip())[0])
    return found
