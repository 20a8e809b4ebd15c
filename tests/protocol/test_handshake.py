"""The opening handshake, both ways, strictly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError, LocalProtocolError
from wsclient.protocol import (
    Deflate,
    Endpoint,
    Event,
    HandshakeFailed,
    Limits,
    Rejection,
    Request,
    Response,
    Role,
    State,
    parse_uri,
)
from wsclient.protocol.handshake import accept_key

Read = Callable[..., list[Event]]

# The example of RFC 6455, section 1.3.
NONCE = b"the sample nonce"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
CLIENT_BITS = "client_max_window_bits=12"
BOTH = f"permessage-deflate; server_max_window_bits=12; {CLIENT_BITS}"
URI = parse_uri("ws://example.com:8080/chat?room=1")


def make_client(**settings: Any) -> Endpoint:
    return Endpoint(Role.CLIENT, random=lambda size: NONCE[:size], **settings)


def make_connecting(**settings: Any) -> Endpoint:
    client = make_client(**settings)
    client.connect(URI)
    return client


def answer(*lines: str, start: str = "HTTP/1.1 101 Switching Protocols") -> bytes:
    return "\r\n".join([start, *lines, "", ""]).encode("latin-1")


def agreeing(*extra: str, drop: str = "", start: str = "HTTP/1.1 101 OK") -> bytes:
    lines = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {ACCEPT}",
    ]
    kept = [line for line in lines if not (drop and line.startswith(drop))]
    return answer(*kept, *extra, start=start)


def test_the_key_of_the_rfc_has_the_answer_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT


# The client's request


def test_the_request_is_exactly_this() -> None:
    client = make_client(subprotocols=["chat", "superchat"], deflate=Deflate())
    request = client.connect(
        parse_uri("wss://al:pw@example.com/x?y"),
        headers=[("Cookie", "a=b"), ("X-\x7eName", "é")],
        origin="https://example.com",
        user_agent="test/1",
    )
    assert request.decode("latin-1").split("\r\n") == [
        "GET /x?y HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: chat, superchat",
        f"Sec-WebSocket-Extensions: {BOTH}, permessage-deflate; {CLIENT_BITS}",
        "Cookie: a=b",
        "X-~Name: é",
        "Origin: https://example.com",
        "User-Agent: test/1",
        "Authorization: Basic YWw6cHc=",
        "",
        "",
    ]
    assert client.state is State.CONNECTING
    sent = client.request
    assert sent is not None
    assert sent.target == "/x?y"
    assert sent.origin == "https://example.com"
    assert sent.subprotocols == ("chat", "superchat")
    assert ("cookie", "a=b") in sent.headers


def test_what_is_not_asked_for_is_not_said() -> None:
    request = make_client().connect(URI)
    for name in (b"Origin", b"User-Agent", b"Authorization", b"Protocol", b"Extens"):
        assert name not in request
    assert b"Host: example.com:8080\r\n" in request


def test_host_authorization_and_user_agent_may_be_replaced() -> None:
    request = make_client().connect(
        parse_uri("ws://u:p@h/"),
        headers=[
            ("HOST", "other"),
            ("authorization", "Bearer t"),
            ("user-agent", "mine"),
        ],
        user_agent="ours",
    )
    assert request.count(b"Host: other\r\n") == 1
    assert b"Basic" not in request
    assert b"ours" not in request


@pytest.mark.parametrize(
    ("headers", "remedy"),
    [
        ([("Upgrade", "h2c")], "Upgrade is the handshake's own"),
        ([("connection", "close")], "connection is the handshake's own"),
        ([("Sec-WebSocket-Key", "x")], "the handshake's own"),
        ([("Sec-WebSocket-Version", "8")], "the handshake's own"),
        ([("Sec-WebSocket-Accept", "x")], "the handshake's own"),
        ([("Sec-WebSocket-Protocol", "x")], "there are arguments"),
        ([("Sec-WebSocket-Extensions", "x")], "there are arguments"),
        ([("Content-Length", "5")], "the handshake's own"),
        ([("Transfer-Encoding", "chunked")], "the handshake's own"),
        ([("Host", "a"), ("Host", "b")], "one Host header"),
        ([("X", "a\r\nY: b")], "CR or LF"),
        ([("Origin", "null")], "give the origin once"),
    ],
)
def test_a_header_that_may_not_be_sent_is_refused_and_nothing_has_happened(
    headers: Sequence[tuple[str, str]], remedy: str
) -> None:
    client = make_client()
    with pytest.raises(ArgumentError, match=remedy):
        client.connect(URI, headers=headers, origin="https://example.com")
    assert client.connect(URI)


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        ("chat", r"write \['chat'\]"),
        (["a b"], "cannot be the name"),
        (["a", "a"], "offered twice"),
    ],
)
def test_bad_subprotocols_are_refused(names: Any, remedy: str) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        make_client(subprotocols=names)


def test_a_client_connects_once_and_a_server_never() -> None:
    client = make_client()
    with pytest.raises(LocalProtocolError, match="the request comes first"):
        client.receive_data(b"HTTP/1.1 101 OK\r\n")
    client.connect(URI)
    with pytest.raises(LocalProtocolError, match="only a client connects, and once"):
        client.connect(URI)
    with pytest.raises(LocalProtocolError, match="only a client connects"):
        Endpoint(Role.SERVER).connect(URI)
    ended = make_client()
    ended.receive_eof()
    with pytest.raises(LocalProtocolError, match="while CLOSED"):
        ended.connect(URI)


# The server's answer, read by the client


def test_a_good_answer_opens_the_connection(read: Read) -> None:
    events = read(make_connecting, agreeing("Set-Cookie: a", "SET-COOKIE: b"))
    assert events == [
        Response(
            status=101,
            headers=(
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
                ("sec-websocket-accept", ACCEPT),
                ("set-cookie", "a"),
                ("set-cookie", "b"),
            ),
        )
    ]
    client = make_connecting()
    assert client.receive_data(agreeing()) == [client.response]
    assert client.state is State.OPEN
    assert client.subprotocol is None
    assert client._handshake is None  # nothing of it is kept


def test_frames_after_the_answer_are_read_at_once(read: Read) -> None:
    events = read(make_connecting, agreeing() + b"\x81\x05Hello\x81\x03you")
    assert events[1:] == ["Hello", "you"]


@pytest.mark.parametrize(
    "answered",
    [
        answer(
            "UPGRADE: WebSocket",
            "connection: keep-alive, upgrade",
            f"sec-websocket-accept: {ACCEPT}",
        ),
        agreeing(start="HTTP/1.1 101 "),
        agreeing(start="HTTP/1.1 101 null"),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
        + agreeing(),
    ],
)
def test_an_answer_is_good_in_any_legal_spelling(read: Read, answered: bytes) -> None:
    assert isinstance(read(make_connecting, answered)[0], Response)


@pytest.mark.parametrize(
    ("answered", "detail"),
    [
        (agreeing(drop="Upgrade"), "Upgrade is not websocket"),
        (agreeing("Upgrade: websocket"), "Upgrade is not websocket"),
        (agreeing("Upgrade: h2c", drop="Upgrade"), "Upgrade is not websocket"),
        (agreeing('Upgrade: "', drop="Upgrade"), "is not a token"),
        (agreeing(drop="Connection"), "Connection is not Upgrade"),
        (agreeing("Connection: close", drop="Connection"), "Connection is not Upgrade"),
        (agreeing(drop="Sec"), "Sec-WebSocket-Accept is not that of our key"),
        (agreeing(f"Sec-WebSocket-Accept: {ACCEPT}"), "Sec-WebSocket-Accept is not"),
        (agreeing("Sec-WebSocket-Accept: é=", drop="Sec"), "Sec-WebSocket-Accept is"),
        (agreeing(f"Sec-WebSocket-Accept: {ACCEPT.lower()}", drop="Sec"), "Accept"),
        (agreeing("Sec-WebSocket-Protocol: chat"), "'chat' was not offered"),
        (agreeing("Sec-WebSocket-Extensions: foo"), "which was not offered"),
        (agreeing("Sec-WebSocket-Extensions: ;"), "malformed"),
        (agreeing(start="HTTP/1.0 101 OK"), "HTTP/1.0"),
        (agreeing(start="HTTP/2.0 101 OK"), "HTTP/2.0"),
        (agreeing(*(f"X: {i}" for i in range(126))), "too many headers"),
        (agreeing("X: " + "x" * 8192), "a header is too large"),
        (agreeing(*(f"X{i}: {'x' * 8000}" for i in range(9))), "the head is too large"),
        (answer(start="HTTP/1.1 100 OK") * 3450, "the head is too large"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "is not HTTP"),
    ],
)
def test_an_answer_that_breaks_the_rfc_fails_the_handshake(
    answered: bytes, detail: str
) -> None:
    client = make_connecting()
    [event] = client.receive_data(answered + b"\x81\x05Hello")
    assert isinstance(event, HandshakeFailed)
    assert detail in event.detail
    assert event.status in (None, 100, 101)
    assert client.state is State.CLOSED
    assert not client.pending
    assert client.receive_data(b"\x81\x05Hello") == []
    assert client.receive_eof() == []


def test_an_endless_head_is_cut_off() -> None:
    client = make_connecting(limits=Limits(max_head_size=2000))
    assert client.receive_data(b"HTTP/1.1 101 OK\r\nX: " + b"x" * 1900) == []
    [event] = client.receive_data(b"x" * 200)
    assert isinstance(event, HandshakeFailed)


def test_the_subprotocol_must_be_one_that_was_offered() -> None:
    for answered, subprotocol in [
        (agreeing("Sec-WebSocket-Protocol: b"), "b"),
        (agreeing(), None),
    ]:
        client = make_connecting(subprotocols=["a", "b"])
        [event] = client.receive_data(answered)
        assert isinstance(event, Response)
        assert client.subprotocol == event.subprotocol == subprotocol
    for bad in ("B", "c", "a, b", ""):
        client = make_connecting(subprotocols=["a", "b"])
        [event] = client.receive_data(agreeing(f"Sec-WebSocket-Protocol: {bad}"))
        assert isinstance(event, HandshakeFailed)
    client = make_connecting(subprotocols=["a", "b"])
    twice = agreeing("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b")
    assert client.receive_data(twice) == [
        HandshakeFailed("the subprotocol 'a, b' was not offered", 101)
    ]


def test_compression_is_what_the_answer_agrees_to() -> None:
    client = make_connecting(deflate=Deflate())
    [event] = client.receive_data(
        agreeing("Sec-WebSocket-Extensions: permessage-deflate")
    )
    assert isinstance(event, Response)
    assert event.compression
    assert client.encode("x" * 99)[0] == 0xC1
    client = make_connecting(deflate=Deflate())
    [event] = client.receive_data(agreeing())
    assert isinstance(event, Response)
    assert not event.compression
    assert client.encode("x" * 99)[0] == 0x81


# Rejections


@pytest.mark.parametrize(
    ("body", "received", "lines"),
    [
        (b"no", b"no", ["Content-Length: 2"]),
        (b"", b"", ["Content-Length: 0"]),
        (b"no", b"2\r\nno\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"]),
    ],
)
def test_a_rejection_has_status_headers_and_body(
    read: Read, body: bytes, received: bytes, lines: list[str]
) -> None:
    answered = answer(*lines, start="HTTP/1.1 403 Forbidden") + received
    [event] = read(make_connecting, answered)
    assert isinstance(event, Rejection)
    assert (event.status, event.body) == (403, body)
    assert len(event.headers) == 1
    client = make_connecting()
    client.receive_data(answered)
    assert client.state is State.CLOSED
    assert client.receive_eof() == []


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([], b"until the end"),
        (["Content-Length: 999"], b"shorter than said"),
        (["Transfer-Encoding: chunked"], b"5\r\nhalf"),
    ],
)
def test_the_end_of_the_stream_ends_a_rejection(lines: list[str], body: bytes) -> None:
    client = make_connecting()
    head = answer(*lines, start="HTTP/1.1 503 Busy")
    assert client.receive_data(head + body) == []
    [event] = client.receive_eof()
    assert isinstance(event, Rejection)
    assert event.status == 503
    assert event.body == body.removeprefix(b"5\r\n")
    assert client.state is State.CLOSED


@pytest.mark.parametrize(
    "framing", ["X: y", "Content-Length: 99999999", "Transfer-Encoding: chunked"]
)
def test_the_body_of_a_rejection_is_cut_off_at_the_limit(framing: str) -> None:
    client = make_connecting(limits=Limits(max_body_size=100))
    head = answer(framing, start="HTTP/1.1 403 No")
    chunk = b"x" * 60
    if "chunked" in framing:
        chunk = b"3c\r\n" + chunk + b"\r\n"
    assert client.receive_data(head + chunk) == []
    [event] = client.receive_data(chunk)
    assert isinstance(event, Rejection)
    assert event.body == b"x" * 100
    assert client.receive_data(chunk) == []


def test_a_rejection_whose_body_breaks_http_keeps_what_was_good() -> None:
    client = make_connecting()
    head = answer("Transfer-Encoding: chunked", start="HTTP/1.1 500 Oh")
    [event] = client.receive_data(head + b"2\r\nab\r\nnonsense\r\n")
    assert isinstance(event, Rejection)
    assert event.body == b"ab"


def test_an_answer_that_never_came_is_no_event() -> None:
    for data in (b"", b"HTTP/1.1 101 Swit"):
        client = make_connecting()
        assert client.receive_data(data) == []
        assert client.receive_eof() == []
        assert client.state is State.CLOSED


# The request, read by the server


def asking(*extra: str, drop: str = "", start: str = "GET /chat HTTP/1.1") -> bytes:
    lines = [
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    kept = [line for line in lines if not (drop and line.startswith(drop))]
    return answer(*kept, *extra, start=start)


def make_server(**settings: Any) -> Endpoint:
    return Endpoint(Role.SERVER, **settings)


def test_a_good_request_is_handed_over(read: Read) -> None:
    data = asking(
        "Origin: https://example.com",
        "Sec-WebSocket-Protocol: a, b",
        "Sec-WebSocket-Protocol: c",
        "Cookie: x=é",
    )
    [event] = read(make_server, data)
    assert isinstance(event, Request)
    assert event.target == "/chat"
    assert event.method == "GET"
    assert event.upgrade
    assert event.origin == "https://example.com"
    assert event.subprotocols == ("a", "b", "c")
    assert event.headers[-1] == ("cookie", "x=é")
    server = make_server()
    server.receive_data(data)
    assert server.request == event
    assert server.state is State.CONNECTING


def test_the_answer_is_exactly_this() -> None:
    server = make_server(deflate=Deflate(), subprotocols=["z", "b", "a"])
    server.receive_data(
        asking(
            "Sec-WebSocket-Protocol: a, b",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        )
    )
    data = server.accept(headers=[("Set-Cookie", "s=1"), ("X", "")])
    assert data.decode().split("\r\n") == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {ACCEPT}",
        "Sec-WebSocket-Protocol: b",
        f"Sec-WebSocket-Extensions: {BOTH}",
        "Set-Cookie: s=1",
        "X: ",
        "",
        "",
    ]
    assert server.state is State.OPEN
    assert server.subprotocol == "b"
    assert server.response is not None
    assert server.response.compression
    assert ("set-cookie", "s=1") in server.response.headers


def test_a_server_without_settings_agrees_to_nothing() -> None:
    server = make_server()
    server.receive_data(
        asking(
            "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: permessage-deflate"
        )
    )
    data = server.accept()
    assert b"Protocol:" not in data
    assert b"Extensions:" not in data
    assert server.response is not None
    assert not server.response.compression


def test_a_server_that_can_keep_no_offer_goes_without_compression() -> None:
    server = make_server(deflate=Deflate())
    server.receive_data(asking("Sec-WebSocket-Extensions: permessage-deflate; x=1"))
    assert b"Extensions:" not in server.accept()


def test_the_caller_may_choose_the_subprotocol_among_those_offered() -> None:
    server = make_server(subprotocols=["b"])
    server.receive_data(asking("Sec-WebSocket-Protocol: a, b"))
    with pytest.raises(ArgumentError, match=r"did not offer .* 'c', but a, b"):
        server.accept(subprotocol="c")
    assert b"Sec-WebSocket-Protocol: a\r\n" in server.accept(subprotocol="a")
    server = make_server()
    server.receive_data(asking())
    with pytest.raises(ArgumentError, match=r"did not offer .* 'a', but none"):
        server.accept(subprotocol="a")
    with pytest.raises(ArgumentError, match="the handshake's own"):
        server.accept(headers=[("Upgrade", "x")])
    assert server.accept()


@pytest.mark.parametrize(
    ("data", "status", "detail"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "not HTTP"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "is not HTTP"),
        (asking(start="GET /chat HTTP/1.0"), 426, "asks for no upgrade"),
        (asking(start="GET /chat HTTP/2.0"), 505, "not HTTP/1.1"),
        (asking(start="GET /chat HTTP/0.9"), 505, "not HTTP/1.1"),
        (asking(start="POST /chat HTTP/1.1"), 405, "method is POST"),
        (asking(start="HEAD /chat HTTP/1.1"), 405, "method is HEAD"),
        (asking(start="GET chat HTTP/1.1"), 400, "not a path"),
        (asking(start=f"GET /{'x' * 8192} HTTP/1.1"), 414, "target is too long"),
        (asking("Content-Length: 5"), 400, "has a body"),
        (asking("Transfer-Encoding: chunked"), 400, "has a body"),
        (asking(drop="Upgrade"), 426, "asks for no upgrade"),
        (asking("Upgrade: h2c", drop="Upgrade"), 400, "Upgrade is not websocket"),
        (asking(drop="Connection"), 400, "Connection is not Upgrade"),
        (asking(drop="Sec-WebSocket-Version"), 426, "not 13"),
        (
            asking("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-V"),
            426,
            "not 13",
        ),
        (asking("Sec-WebSocket-Version: 13"), 426, "not 13"),
        (asking(drop="Sec-WebSocket-Key"), 400, "not 16 bytes"),
        (asking(f"Sec-WebSocket-Key: {KEY}"), 400, "not 16 bytes"),
        (asking("Sec-WebSocket-Key: short", drop="Sec-WebSocket-Key"), 400, "not 16"),
        (asking("Sec-WebSocket-Key: é", drop="Sec-WebSocket-Key"), 400, "not 16"),
        (asking("Sec-WebSocket-Key: AAAA", drop="Sec-WebSocket-Key"), 400, "not 16"),
        (asking("Sec-WebSocket-Protocol: a b"), 400, "is not a token"),
        (asking("Sec-WebSocket-Extensions: a;;"), 400, "malformed"),
        (asking(*(f"X: {i}" for i in range(124))), 431, "too many headers"),
        (asking("X: " + "x" * 8192), 431, "a header is too large"),
        (asking(*(f"X: {'x' * 8000}" for _ in range(9))), 431, "head is too large"),
    ],
)
def test_a_bad_request_is_answered_with_its_error(
    read: Read, data: bytes, status: int, detail: str
) -> None:
    server = make_server()
    [event] = server.receive_data(data + b"\x81")
    assert isinstance(event, HandshakeFailed)
    assert detail in event.detail
    assert event.status == status
    assert server.state is State.CLOSED
    assert server.pending
    method = "HEAD" if data.startswith(b"HEAD") else "GET"
    response, body = parse_response(server.data_to_send(), method)
    assert response.status_code == status
    text = f"{event.detail}\n".encode("ascii", "replace")
    assert body == (b"" if method == "HEAD" else text)
    headers = dict(response.headers)
    options = [value for name, value in response.headers if name == b"connection"]
    connection = b"close, upgrade" if status == 426 else b"close"
    assert b", ".join(options).lower() == connection
    assert headers.get(b"allow") == (b"GET" if status == 405 else None)
    version = headers.get(b"sec-websocket-version")
    assert version == (b"13" if status == 426 else None)
    assert not server.pending
    assert server.receive_data(data) == []
    with pytest.raises(LocalProtocolError):
        server.accept()


def parse_response(data: bytes, method: str = "GET") -> tuple[h11.Response, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return response, body


def test_an_endless_request_is_cut_off() -> None:
    server = make_server(limits=Limits(max_head_size=2000))
    assert server.receive_data(b"GET /" + b"x" * 1900) == []
    [event] = server.receive_data(b"x" * 200)
    assert isinstance(event, HandshakeFailed)
    assert event.status == 431


def test_a_request_that_was_never_whole_is_no_event() -> None:
    server = make_server()
    assert server.receive_data(b"GET / HT") == []
    assert server.receive_eof() == []
    assert server.state is State.CLOSED
    with pytest.raises(LocalProtocolError, match="while CLOSED"):
        server.reject(400)


# What a server says no to


def test_a_server_may_reject_with_plain_http() -> None:
    server = make_server()
    server.receive_data(asking())
    data = server.reject(401, [("WWW-Authenticate", "Basic")], b"who are you?")
    response, body = parse_response(data)
    assert (response.status_code, response.reason) == (401, b"Unauthorized")
    assert (b"www-authenticate", b"Basic") in response.headers
    assert body == b"who are you?"
    assert server.state is State.CLOSED
    with pytest.raises(LocalProtocolError, match="while CLOSED"):
        server.accept()


def test_an_application_that_asks_for_an_upgrade_says_to_what() -> None:
    """RFC 9110, 15.5.22; RFC 6455, 4.4."""
    server = make_server()
    server.receive_data(asking())
    headers = dict(parse_response(server.reject(426))[0].headers)
    assert headers[b"upgrade"] == b"websocket"
    assert headers[b"sec-websocket-version"] == b"13"


@pytest.mark.parametrize("status", [204, 304, 299, 599, 302])
def test_any_final_status_can_be_sent(status: int) -> None:
    server = make_server()
    server.receive_data(asking())
    response, body = parse_response(server.reject(status, body=b"ignored by some"))
    assert response.status_code == status
    assert body == (b"" if status in (204, 304) else b"ignored by some")


@pytest.mark.parametrize(
    ("status", "headers", "remedy"),
    [
        (101, [], "200 to 599"),
        (600, [], "200 to 599"),
        (True, [], "is an integer"),
        ("404", [], "is an integer"),
        (404, [("Content-Length", "1")], "the handshake's own"),
        (404, [("X", "\n")], "CR or LF"),
    ],
)
def test_a_rejection_that_cannot_be_sent_is_refused(
    status: Any, headers: list[tuple[str, str]], remedy: str
) -> None:
    server = make_server()
    server.receive_data(asking())
    with pytest.raises(ArgumentError, match=remedy):
        server.reject(status, headers)
    assert server.accept()


def test_nothing_can_be_answered_before_the_request_or_by_a_client() -> None:
    server, client = make_server(), make_connecting()
    for endpoint, words in [(server, "no request has come"), (client, "only a server")]:
        with pytest.raises(LocalProtocolError, match=words):
            endpoint.accept()
        with pytest.raises(LocalProtocolError, match=words):
            endpoint.reject(404)


def test_plain_http_is_handed_over_if_asked_for() -> None:
    plain = answer("Host: x", start="GET /health HTTP/1.1")
    for method, body in [("GET", b"ok"), ("HEAD", b"")]:
        server = make_server(plain_http=True)
        [event] = server.receive_data(plain.replace(b"GET", method.encode()))
        assert isinstance(event, Request)
        assert (event.method, event.upgrade) == (method, False)
        with pytest.raises(LocalProtocolError, match="only a WebSocket request"):
            server.accept()
        response, received = parse_response(server.reject(200, body=b"ok"), method)
        assert (response.status_code, received) == (200, body)
    server = make_server(plain_http=True)
    [event] = server.receive_data(plain.replace(b"GET", b"POST"))
    assert event == HandshakeFailed("the method is POST", 405)
    assert b"Allow: GET, HEAD\r\n" in server.data_to_send()
    server = make_server(plain_http=True)
    [event] = server.receive_data(asking(start="HEAD / HTTP/1.1"))
    assert event == HandshakeFailed("the method is HEAD", 405)


def test_frames_that_came_early_are_read_after_accepting() -> None:
    """A client should wait; what it sent early is neither lost nor read too soon."""
    server = make_server()
    frame = bytes.fromhex("8185 37fa213d 7f9f4d5158")  # RFC 6455, 5.7: Hello
    [event] = server.receive_data(asking() + frame[:3])
    assert isinstance(event, Request)
    assert server.receive_data(frame[3:]) == []
    server.accept()
    assert server.receive_data(b"") == ["Hello"]
    assert server.receive_data(frame) == ["Hello"]


def test_a_client_that_floods_before_it_is_accepted_is_refused() -> None:
    server = make_server(limits=Limits(max_head_size=1000))
    server.receive_data(asking())
    assert server.receive_data(bytes(1000)) == []
    [event] = server.receive_data(bytes(1))
    assert event == HandshakeFailed("the client did not wait for the answer", 400)


def test_a_flood_that_comes_with_the_request_is_refused_too() -> None:
    server = make_server(limits=Limits(max_head_size=1000))
    [request, event] = server.receive_data(asking() + bytes(1001))
    assert isinstance(request, Request)
    assert event == HandshakeFailed("the client did not wait for the answer", 400)
    assert server.state is State.CLOSED
    assert parse_response(server.data_to_send())[0].status_code == 400


# Any bytes


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_end_a_handshake_or_wait_for_more(data: bytes, client: bool) -> None:
    endpoint = make_connecting() if client else make_server()
    for event in [*endpoint.receive_data(data), *endpoint.receive_eof()]:
        assert isinstance(event, Rejection | HandshakeFailed)
    assert endpoint.state is State.CLOSED


@given(st.data(), st.booleans())
def test_a_handshake_with_a_byte_changed_is_read_or_refused(
    data: st.DataObject, client: bool
) -> None:
    head = bytearray(agreeing() if client else asking())
    at = data.draw(st.integers(0, len(head) - 1))
    head[at] = data.draw(st.integers(0, 255))
    endpoint = make_connecting() if client else make_server()
    for event in [*endpoint.receive_data(bytes(head)), *endpoint.receive_eof()]:
        assert isinstance(event, Response | Request | Rejection | HandshakeFailed)
    assert endpoint.state is State.CLOSED
