"""
The opening handshake of both roles (RFC 6455, section 4).

h11 reads and writes it, but for the two heads that a client's connection begins with:
the request, whose every line is ours and checked, and a 101 as nearly all servers spell
it. They would cost more than all else that opening takes.

"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from hmac import compare_digest
from http import HTTPStatus

import h11

from ..errors import ArgumentError, LocalProtocolError
from .deflate import Agreed, Deflate, NegotiationError, accept_offers, check_response
from .events import HandshakeFailed, Headers, Rejection, Request, Response
from .head import (
    BadHead,
    HeadReader,
    decoded,
    encoded,
    kept,
    maybe_read_upgrade,
)
from .headers import (
    Extension,
    MalformedHeader,
    by_name,
    check_headers,
    format_extensions,
    parse_extensions,
    parse_tokens,
)
from .limits import Limits
from .uri import URI

__all__ = ("ClientHandshake", "ServerHandshake", "accept_key")

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` that answers a key (4.2.2)."""
    return b64encode(sha1(key.encode() + _GUID).digest()).decode()


class _Refused(Exception):
    """The peer's half of the handshake will not do; never leaves this module."""

    def __init__(self, detail: str, status: int = 400, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.headers = headers


class ClientHandshake:
    """Writes the request and reads the response."""

    __slots__ = (
        "_body",
        "_deflate",
        "_head",
        "_heads",
        "_http",
        "_key",
        "_limits",
        "_subprotocols",
        "agreed",
        "trailing",
    )

    def __init__(
        self,
        *,
        key: bytes,
        subprotocols: Sequence[str],
        deflate: Deflate | None,
        limits: Limits,
    ) -> None:
        self._key = b64encode(key).decode()
        self._subprotocols = tuple(subprotocols)
        self._deflate = deflate
        self._limits = limits
        self._http: h11.Connection | None = None
        self._heads = HeadReader(limits)
        self._head: h11.Response | None = None
        self._body = bytearray()
        self.agreed: Agreed | None = None
        self.trailing = b""

    def request(
        self,
        uri: URI,
        headers: Sequence[tuple[str, str]],
        origin: str | None,
        user_agent: str | None,
    ) -> tuple[Request, bytes]:
        """
        Write the request (4.1).

        Raises:
            ArgumentError: a header cannot be sent, or is the handshake's own.

        """
        extra = list(headers)
        given = by_name(extra)
        if origin is not None:
            if given["origin"]:
                raise ArgumentError("give the origin once: as origin= or as a header")
            extra.append(("Origin", origin))
        if user_agent is not None and not given["user-agent"]:
            extra.append(("User-Agent", user_agent))
        if uri.authorization and not given["authorization"]:
            extra.append(("Authorization", uri.authorization))
        hosts = given["host"]
        if len(hosts) > 1:
            raise ArgumentError("a request has one Host header")
        check_headers(extra)
        ours = [
            ("Host", hosts[0] if hosts else uri.authority),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self._key),
            ("Sec-WebSocket-Version", "13"),
        ]
        if self._subprotocols:
            ours.append(("Sec-WebSocket-Protocol", ", ".join(self._subprotocols)))
        if self._deflate is not None:
            offers = format_extensions(self._deflate.offers())
            ours.append(("Sec-WebSocket-Extensions", offers))
        extra = [pair for pair in extra if pair[0].lower() != "host"]
        headers = ours + extra
        request = Request(
            target=uri.target,
            headers=kept(headers),
            subprotocols=self._subprotocols,
            origin=next(iter(given["origin"]), origin),
        )
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        head = f"GET {uri.target} HTTP/1.1\r\n{''.join(lines)}\r\n"
        return request, head.encode("latin-1")

    def receive(self, data: bytes) -> Response | Rejection | HandshakeFailed | None:
        """Take bytes; None: more are needed."""
        try:
            return self._receive(data)
        except h11.RemoteProtocolError as error:
            if self._head is not None:
                return self._rejection(self._head)  # as much as was in order
            return HandshakeFailed(f"the answer is not HTTP: {error}")
        except BadHead as bad:
            return HandshakeFailed(bad.detail)
        except _Refused as refused:
            return HandshakeFailed(refused.detail, refused.status)

    def end(self) -> Rejection | None:
        """Take the end of the stream, which may be the end of a rejection's body."""
        if self._head is None:
            return None
        try:
            self._reader().receive_data(b"")
            outcome = self._read_body(self._head)
        except h11.RemoteProtocolError:
            outcome = None  # it was announced longer
        return outcome or self._rejection(self._head)

    def _receive(self, data: bytes) -> Response | Rejection | None:
        if self._head is None:
            self._heads.feed(data)
        while self._head is None:
            head = self._heads.maybe_next()
            if head is None:
                return None
            headers = maybe_read_upgrade(head)
            if headers is not None:
                self.trailing = self._heads.rest()
                return self._check(kept(headers))
            http = self._reader()
            http.receive_data(head)
            match http.next_event():
                case h11.InformationalResponse(status_code=101) as answer:
                    _check_version(answer)
                    self.trailing = self._heads.rest()
                    return self._check(decoded(answer))
                case h11.Response() as answer:
                    self._head = answer
                    data = self._heads.rest()
        if data:  # h11 takes none for the end
            self._reader().receive_data(data)
        return self._read_body(self._head)

    def _reader(self) -> h11.Connection:
        """Return what reads an answer that is no upgrade, or spelled in another way."""
        if self._http is None:
            self._http = h11.Connection(
                h11.CLIENT, max_incomplete_event_size=self._limits.max_head_size
            )
            # As much of the request as tells it what the answer may be.
            self._http.send(_ASKED)
            self._http.send(h11.EndOfMessage())
        return self._http

    def _read_body(self, head: h11.Response) -> Rejection | None:
        http = self._reader()
        while True:
            event = http.next_event()
            if isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) >= self._limits.max_body_size:
                    return self._rejection(head)
            elif isinstance(event, h11.EndOfMessage):
                return self._rejection(head)
            else:
                return None

    def _rejection(self, head: h11.Response) -> Rejection:
        body = bytes(self._body[: self._limits.max_body_size])
        return Rejection(status=head.status_code, headers=decoded(head), body=body)

    def _check(self, headers: Headers) -> Response:
        """Check a 101 against RFC 6455, section 4.1, last part."""
        given = by_name(headers)
        try:
            _check_upgrade(given)
            accepts = given["sec-websocket-accept"]
            if len(accepts) != 1 or not compare_digest(
                accepts[0].encode(), accept_key(self._key).encode()
            ):
                raise MalformedHeader("Sec-WebSocket-Accept is not that of our key")
            subprotocol = self._subprotocol(given["sec-websocket-protocol"])
            extensions = parse_extensions(given["sec-websocket-extensions"])
            self.agreed = check_response(extensions, self._deflate)
        except (MalformedHeader, NegotiationError) as error:
            raise _Refused(str(error), 101) from None
        return Response(
            status=101,
            headers=headers,
            subprotocol=subprotocol,
            compression=self.agreed is not None,
        )

    def _subprotocol(self, chosen: list[str]) -> str | None:
        if not chosen:
            return None
        if len(chosen) > 1 or chosen[0] not in self._subprotocols:
            text = ", ".join(chosen)
            raise MalformedHeader(f"the subprotocol {text!r} was not offered")
        return chosen[0]


class ServerHandshake:
    """Reads the request and writes the response."""

    __slots__ = (
        "_deflate",
        "_head_only",
        "_heads",
        "_http",
        "_key",
        "_limits",
        "_offers",
        "_plain_http",
        "_request",
        "_subprotocols",
        "agreed",
        "trailing",
    )

    def __init__(
        self,
        *,
        subprotocols: Sequence[str],
        deflate: Deflate | None,
        limits: Limits,
        plain_http: bool,
    ) -> None:
        self._subprotocols = tuple(subprotocols)
        self._deflate = deflate
        self._limits = limits
        self._plain_http = plain_http
        self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=limits.max_head_size
        )
        self._heads = HeadReader(limits)
        self._head_only = False
        self._key = ""
        self._offers: list[Extension] = []
        self._request: Request | None = None
        self.agreed: Agreed | None = None
        self.trailing = b""

    def receive(self, data: bytes) -> Request | tuple[HandshakeFailed, bytes] | None:
        """Take bytes; None: more are needed. A failure comes with its answer."""
        if self._request is not None:
            return self._keep(data)
        try:
            self._heads.feed(data)
            head = self._heads.maybe_next()
            if head is None:
                return None
            self._http.receive_data(head)
            event = self._http.next_event()
            assert isinstance(event, h11.Request)
            self._request = self._check(event)
        except BadHead as bad:
            return self._refuse(_Refused(bad.detail, bad.status))
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            return self._refuse(_Refused(f"the request is not HTTP: {error}", status))
        except MalformedHeader as error:
            return self._refuse(_Refused(str(error)))
        except _Refused as refused:
            return self._refuse(refused)
        self.trailing = self._heads.rest()
        return self._request

    def _keep(self, data: bytes) -> tuple[HandshakeFailed, bytes] | None:
        # 4.1: a client waits for the answer. What comes early is kept, not for ever.
        self.trailing += data
        if len(self.trailing) <= self._limits.max_head_size:
            return None
        return self._refuse(_Refused("the client did not wait for the answer"))

    def _check(self, event: h11.Request) -> Request:
        """Check a request against RFC 6455, section 4.2.1."""
        headers = decoded(event)
        target = event.target.decode("latin-1")
        method = event.method.decode("latin-1")
        self._head_only = method == "HEAD"  # its answer has no body (RFC 9110, 9.3.2)
        if not b"1" <= event.http_version < b"2":
            raise _Refused("the request is not HTTP/1.1", 505)
        if len(target) > self._limits.max_header_size:
            raise _Refused("the request target is too long", 414)
        # In HTTP/1.0 it says nothing (RFC 9110, 7.8); proxies speak that unless told.
        newest = event.http_version >= b"1.1"
        given = by_name(headers)
        upgrade = newest and bool(given["upgrade"])
        plain = self._plain_http and not upgrade
        if method != "GET" and not (plain and method == "HEAD"):
            allowed = "GET, HEAD" if self._plain_http else "GET"
            raise _Refused(f"the method is {method}", 405, (("Allow", allowed),))
        if given["transfer-encoding"] or given["content-length"] not in ([], ["0"]):
            raise _Refused("the request has a body")
        if not target.startswith("/"):
            raise _Refused("the request target is not a path")
        if not upgrade and not plain:
            raise _Refused("the request asks for no upgrade", 426, _UPGRADE)
        if upgrade:
            self._check_websocket(given)
        return Request(
            target=target,
            headers=headers,
            subprotocols=tuple(parse_tokens(given["sec-websocket-protocol"])),
            origin=next(iter(given["origin"]), None),
            method=method,
            upgrade=upgrade,
        )

    def _check_websocket(self, given: Mapping[str, Sequence[str]]) -> None:
        _check_upgrade(given)
        if given["sec-websocket-version"] != ["13"]:
            raise _Refused("the version of WebSocket is not 13", 426, _UPGRADE)
        keys = given["sec-websocket-key"]
        if len(keys) != 1 or not _is_key(keys[0]):
            raise MalformedHeader("Sec-WebSocket-Key is not 16 bytes in base64")
        self._key = keys[0]
        self._offers = parse_extensions(given["sec-websocket-extensions"])

    def accept(
        self, subprotocol: str | None, headers: Sequence[tuple[str, str]]
    ) -> tuple[bytes, Response]:
        """
        Write a 101 (4.2.2).

        Raises:
            ArgumentError: the subprotocol was not offered, or a header is bad.
            LocalProtocolError: there is no request that can be accepted.

        """
        request = self._request
        if request is None or not request.upgrade:
            raise LocalProtocolError(
                "only a WebSocket request can be accepted"
                if request
                else "no request has come yet"
            )
        if subprotocol is None:
            ours = (name for name in self._subprotocols if name in request.subprotocols)
            subprotocol = next(ours, None)
        elif subprotocol not in request.subprotocols:
            raise ArgumentError(
                f"the client did not offer the subprotocol {subprotocol!r}, but "
                f"{', '.join(request.subprotocols) or 'none'}"
            )
        check_headers(headers)
        answer = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(self._key)),
        ]
        if subprotocol is not None:
            answer.append(("Sec-WebSocket-Protocol", subprotocol))
        if self._deflate is not None:
            self.agreed = accept_offers(self._offers, self._deflate)
        if self.agreed is not None:
            value = format_extensions([self.agreed.extension()])
            answer.append(("Sec-WebSocket-Extensions", value))
        answer += headers
        head = h11.InformationalResponse(
            status_code=101, headers=encoded(answer), reason=b"Switching Protocols"
        )
        return _sent(self._http, head), Response(
            status=101,
            headers=tuple((name.lower(), value) for name, value in answer),
            subprotocol=subprotocol,
            compression=self.agreed is not None,
        )

    def reject(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes
    ) -> bytes:
        """
        Write an HTTP response that is no upgrade.

        Raises:
            ArgumentError: the status or a header cannot be sent.
            LocalProtocolError: no request has come yet.

        """
        if self._request is None:
            raise LocalProtocolError("no request has come yet")
        if isinstance(status, bool) or not isinstance(status, int):
            raise ArgumentError(f"a status is an integer, not {status!r}")
        if not 200 <= status <= 599:
            raise ArgumentError(
                f"the status of a rejection is 200 to 599, not {status}"
            )
        check_headers(headers)
        if status == 426:  # RFC 9110, 15.5.22: it says to what
            headers = (*headers, *_UPGRADE)
        return self._answer(status, headers, body)

    def _refuse(self, refused: _Refused) -> tuple[HandshakeFailed, bytes]:
        body = f"{refused.detail}\n".encode("ascii", "replace")
        headers = (("Content-Type", "text/plain"), *refused.headers)
        answer = self._answer(refused.status, headers, body)
        return HandshakeFailed(refused.detail, refused.status), answer

    def _answer(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> bytes:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = ""
        # RFC 9110, 7.8: who sends Upgrade names it in Connection.
        framing = [("Connection", "close, Upgrade" if status == 426 else "close")]
        # RFC 9110, 8.6: these have no body.
        if status not in (204, 304):
            framing.append(("Content-Length", str(len(body))))
        head = h11.Response(
            status_code=status,
            headers=encoded([*headers, *framing]),
            reason=reason.encode(),
        )
        answer = _sent(self._http, head)
        if not self._head_only and status not in (204, 304):
            answer += _sent(self._http, h11.Data(data=body))
        return answer + _sent(self._http, h11.EndOfMessage())


_ASKED = h11.Request(
    method="GET",
    target="/",
    headers=[("Host", ""), ("Connection", "Upgrade"), ("Upgrade", "websocket")],
)

_UPGRADE: Headers = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


def _check_version(head: h11.InformationalResponse) -> None:
    if not b"1.1" <= head.http_version < b"2":
        raise _Refused(f"the answer is HTTP/{head.http_version.decode()}", 101)


def _check_upgrade(given: Mapping[str, Sequence[str]]) -> None:
    upgrades = parse_tokens(given["upgrade"])
    if [name.lower() for name in upgrades] != ["websocket"]:
        raise MalformedHeader("Upgrade is not websocket")
    connection = parse_tokens(given["connection"])
    if "upgrade" not in [name.lower() for name in connection]:
        raise MalformedHeader("Connection is not Upgrade")


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except (Base64Error, ValueError):
        return False


def _sent(http: h11.Connection, event: h11.Event) -> bytes:
    return http.send(event) or b""
