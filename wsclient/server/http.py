"""Plain HTTP answers of a WebSocket server, and the cookies of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from ..errors import ArgumentError
from ..protocol import Request, check_header

__all__ = ("HTTPResponse", "cookies")


@dataclass(frozen=True, slots=True)
class HTTPResponse:
    """
    What ``process_request`` returns to answer with plain HTTP.

    ``status`` is the HTTP status, 200 to 599; ``body`` is ``bytes``, or ``str`` sent as
    UTF-8 text; ``headers`` are added to Content-Type, Content-Length and Connection.

    """

    status: int
    body: str | bytes = b""
    headers: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ArgumentError(f"status is {self.status!r}; give 200 to 599")
        for name, value in self.headers:
            check_header(name, value)

    @classmethod
    def of_status(cls, status: int) -> HTTPResponse:
        """Make an answer whose body is the status in words."""
        return cls(status, f"{status} {HTTPStatus(status).phrase}\n")

    def encoded(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, all headers, and the body as bytes."""
        headers = list(self.headers)
        given = {name.lower() for name, _ in headers}
        body = self.body
        if isinstance(body, str):
            body = body.encode()
            if "content-type" not in given:
                headers.append(("Content-Type", "text/plain; charset=utf-8"))
        if "content-length" not in given:
            headers.append(("Content-Length", str(len(body))))
        if "connection" not in given:
            headers.append(("Connection", "close"))
        return self.status, headers, body


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
