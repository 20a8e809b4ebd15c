"""Plain HTTP answers of a WebSocket server, and the cookies of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from ..errors import ArgumentError
from ..protocol import Request, check_header

__all__ = ("HTTPResponse", "cookies")


FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade"})


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """
    What ``process_request`` returns to answer with plain HTTP.

    ``status`` is the HTTP status, 200 to 599; ``body`` is ``bytes``, or ``str`` sent as
    UTF-8 text. Its length and the connection's end are said for you.

    Raises:
        ArgumentError: the status or a header cannot be sent.

    """

    status: int
    body: str | bytes = b""
    headers: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ArgumentError(f"status is {self.status!r}; give 200 to 599")
        for name, value in self.headers:
            check_header(name, value)
            if name.lower() in FRAMING:
                raise ArgumentError(f"{name} is said by the server: leave it out")

    @classmethod
    def of_status(cls, status: int) -> HTTPResponse:
        """Make an answer whose body is the status in words."""
        return cls(status, f"{status} {HTTPStatus(status).phrase}\n")

    def encoded(self) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        """Return status, headers and body as they are sent."""
        if isinstance(self.body, bytes):
            return self.status, self.headers, self.body
        kind = ("Content-Type", "text/plain; charset=utf-8")
        given = any(name.lower() == "content-type" for name, _ in self.headers)
        headers = self.headers if given else [kind, *self.headers]
        return self.status, headers, self.body.encode()


def cookies(request: Request) -> dict[str, str]:
    """Return the cookies of a request by name (RFC 6265, 5.4), without bad ones."""
    jar: SimpleCookie = SimpleCookie()
    for name, value in request.headers:
        if name.lower() == "cookie":
            for pair in value.split(";"):
                try:
                    jar.load(pair.strip())
                except CookieError:
                    continue  # one bad cookie must not hide the others
    return {name: morsel.value for name, morsel in jar.items()}
