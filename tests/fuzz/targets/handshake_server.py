"""A server's opening handshake: whatever a client asks, and what it says too early."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha1

from wsclient.errors import LocalProtocolError
from wsclient.protocol import Endpoint, Event, HandshakeFailed, Request, Role, State
from wsclient.protocol.headers import parse_extensions, parse_tokens

from ..naive import agreed_parameters, behind_head, is_offer, may_answer
from ..reading import blurred, check_reading, deliver, retained
from ..shared import Setup, check_head, endpoint, read_answer, read_setup, refuses


def target(data: bytes) -> None:
    """Any request is told and answered as HTTP wants, or refused so."""
    setup, data = read_setup(data)
    us, whole, said = read(setup, [data])
    if whole:
        check_outcome(setup, us, data, whole, said)
    else:
        assert us.state is State.CONNECTING
        assert us.request is None
        assert not said
    _, pieces, said_again = read(setup, setup.chunks(data))
    assert said_again == said
    if us.response is not None and us.response.compression:
        assert blurred(pieces) == blurred(whole)
    else:
        assert pieces == whole


def read(
    setup: Setup, chunks: Iterable[bytes | memoryview]
) -> tuple[Endpoint, list[Event], bytes]:
    """Read a request and answer it; in pieces no more is kept than the limits say."""
    us = endpoint(setup, Role.SERVER, setup.deflate)
    before = retained(us)
    events = deliver(us, chunks)
    if not isinstance(chunks, list):
        bound = setup.limits.max_head_size + max(setup.first, setup.then)
        assert retained(us) <= before + 4 * bound + 8192
    if us.state is State.CLOSED or us.request is None:
        return us, events, us.data_to_send()
    assert not us.pending
    if us.request.upgrade and setup.story != "rejected":
        said = us.accept(headers=[("X-Ours", "yes")])
        return us, events + deliver(us, [b""]), said
    if not us.request.upgrade:
        assert refuses(LocalProtocolError, us.accept)
    return us, events, us.reject(403, [("X-Ours", "yes")], b"go away")


def check_outcome(
    setup: Setup, us: Endpoint, data: bytes, events: list[Event], said: bytes
) -> None:
    """There is a request, or the end; the answer is HTTP and says the same."""
    *before, last = events
    if isinstance(last, HandshakeFailed):
        assert [type(event) for event in before] in ([], [Request])
        assert last.detail.isprintable()
        check_refusal(us, data, said, last.status)
        return
    request, *rest = events
    assert isinstance(request, Request)
    assert us.request is request
    check_request(setup, request)
    if us.response is None:
        assert not rest
        check_refusal(us, data, said, 403)
        return
    check_acceptance(setup, us, request, said)
    check_reading(setup, us, behind_head(data, b""), rest, closing=False)


def check_refusal(us: Endpoint, data: bytes, said: bytes, status: int | None) -> None:
    """It is a whole HTTP response behind which the connection is closed."""
    assert us.state is State.CLOSED
    assert us.response is None
    assert not us.pending
    assert us.receive_data(data) == us.receive_eof() == []
    silent = data.startswith(b"HEAD ") and said.endswith(b"\r\n\r\n")
    told, headers, body = read_answer(said, "HEAD" if silent else "GET")
    assert told == status
    assert "close" in parse_tokens([v for k, v in headers if k == "connection"])
    assert bool(body) is not silent
    assert ("sec-websocket-version", "13") in headers or status != 426


def check_request(setup: Setup, request: Request) -> None:
    """It is what RFC 6455, 4.2.1, wants, or plain HTTP that was asked for."""
    check_head(request.headers, setup.limits)
    names = [name for name, _ in request.headers]
    values = dict(request.headers)
    # HTTP/1.0 knows no Host (RFC 9112, 3.2).
    assert names.count("host") == 1 or not (request.upgrade or "host" in names)
    assert request.target.startswith("/")
    assert request.target.isprintable()
    assert len(request.target) <= setup.limits.max_header_size
    assert request.origin in (None, *(v for k, v in request.headers if k == "origin"))
    if request.upgrade:
        assert request.method == "GET"
        assert names.count("sec-websocket-version") == 1
        assert names.count("sec-websocket-key") == 1
        assert values["sec-websocket-version"] == "13"
        assert len(b64decode(values["sec-websocket-key"], validate=True)) == 16
    else:
        assert setup.story == "plain"
        assert request.method in ("GET", "HEAD")


def check_acceptance(setup: Setup, us: Endpoint, request: Request, said: bytes) -> None:
    """The 101 is what RFC 6455, 4.2.2, wants, and we speak as it says."""
    status, headers, _ = read_answer(said, "GET")
    assert status == 101
    assert us.response is not None
    assert us.response.headers == headers
    key = dict(request.headers)["sec-websocket-key"]
    digest = sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    values = dict(headers)
    assert values["sec-websocket-accept"] == b64encode(digest).decode()
    assert values["x-ours"] == "yes"
    chosen = values.get("sec-websocket-protocol")
    assert us.subprotocol == chosen
    assert chosen is None or chosen in request.subprotocols
    assert chosen in (None, *setup.subprotocols)
    agreed = agreed_parameters(headers)
    assert us.response.compression is (agreed is not None)
    if agreed is not None:
        assert setup.deflate is not None
        offered = [v for k, v in request.headers if k == "sec-websocket-extensions"]
        good = [found for _, found in parse_extensions(offered) if is_offer(found)]
        assert any(may_answer(offer, agreed) for offer in good)
