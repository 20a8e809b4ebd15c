"""What a peer can make an endpoint hold, do and say: exact bounds, in both roles."""

from __future__ import annotations

from collections.abc import Callable

import h11
import pytest

from wsclient.errors import Close
from wsclient.protocol import (
    Endpoint,
    Event,
    Failed,
    HandshakeFailed,
    Limits,
    Ping,
    Pong,
    Rejection,
    Request,
    Response,
    Role,
    State,
    parse_uri,
)

from ..hostile import (
    BINARY,
    CONTINUATION,
    FIN,
    KIB,
    MIB,
    PING,
    PONG,
    RSV1,
    TEXT,
    compressed,
    cut,
    fragments,
    frame,
    header,
    measured,
    victim,
)

CHUNK = 64 * KIB  # what a wire reads at once

ROLES = pytest.mark.parametrize("role", Role, ids=lambda role: role.value)


def feed(endpoint: Endpoint, data: bytes, size: int = CHUNK) -> list[Event]:
    """Give it the bytes as a wire would; of all events keep only the last."""
    last: list[Event] = []
    for start in range(0, len(data), size):
        events = endpoint.receive_data(memoryview(data)[start : start + size])
        last = events[-1:] or last
    return last


def close_code(endpoint: Endpoint) -> int:
    """The code of the Close frame that is due."""
    assert endpoint.pending
    assert isinstance(endpoint.close_sent, Close)
    assert endpoint.data_to_send()
    return endpoint.close_sent.code


# -- S35: the size of a message ---------------------------------------------------

SIZE = 1000

SHAPES: dict[str, Callable[[int, bytes, Role], bytes]] = {
    "whole": lambda op, body, to: frame(FIN | op, body, to=to),
    "in fragments": lambda op, body, to: fragments(op, cut(body, 7), to=to),
    "one byte too many": lambda op, body, to: fragments(
        op, [body[:-1], body[-1:]], to=to
    ),
    "compressed": lambda op, body, to: frame(FIN | RSV1 | op, compressed(body), to=to),
    "compressed, in fragments": lambda op, body, to: fragments(
        op, cut(compressed(body), 3), to=to, rsv=RSV1
    ),
}


@ROLES
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("shape", SHAPES)
def test_s35_the_size_of_a_message_is_exact_to_the_byte(
    role: Role, opcode: int, shape: str
) -> None:
    make = SHAPES[shape]
    for step in (CHUNK, 1):
        endpoint = victim(role, max_message_size=SIZE)
        fits = make(opcode, b"x" * SIZE, role)
        assert feed(endpoint, fits + fits, step) in (["x" * SIZE], [b"x" * SIZE])
        [event] = feed(endpoint, make(opcode, b"x" * (SIZE + 1), role), CHUNK)
        assert isinstance(event, Failed)
        assert event.code == 1009
        assert "max_message_size" in event.detail
        assert close_code(endpoint) == 1009


@ROLES
def test_s35_the_size_of_text_is_that_of_its_utf_8(role: Role) -> None:
    endpoint = victim(role, max_message_size=SIZE)
    text = "€" * (SIZE // 3) + "x"
    assert len(text.encode()) == SIZE
    data = frame(FIN | TEXT, text.encode(), to=role)
    assert feed(endpoint, data) == [text]
    [event] = feed(endpoint, frame(FIN | TEXT, (text + "x").encode(), to=role))
    assert isinstance(event, Failed)


@ROLES
@pytest.mark.parametrize("announced", [SIZE + 1, 65536, 2**63 - 1])
def test_s35_a_size_is_refused_when_it_is_announced(role: Role, announced: int) -> None:
    """Before a byte of it has come, also of the second fragment."""
    for before, first, room in [
        (b"", BINARY, SIZE),
        (frame(BINARY, b"x" * 400, to=role), CONTINUATION, SIZE - 400),
    ]:
        endpoint = victim(role, max_message_size=SIZE)
        endpoint.receive_data(before)
        assert endpoint.receive_data(header(first, room, to=role)) == []
        endpoint = victim(role, max_message_size=SIZE)
        endpoint.receive_data(before)
        too_much = max(room + 1, announced if before == b"" else announced - 400)
        [event] = endpoint.receive_data(header(first, too_much, to=role))
        assert isinstance(event, Failed)
        assert close_code(endpoint) == 1009


# -- S35: memory ------------------------------------------------------------------


@ROLES
@pytest.mark.parametrize("limit", [64 * KIB, MIB])
@pytest.mark.parametrize("parts", [1, 4000], ids=["whole", "in 4,000 fragments"])
def test_s35_a_bomb_is_not_inflated_beyond_the_limit(
    role: Role, limit: int, parts: int
) -> None:
    """Of 64 MiB in 64 KiB at most twice the limit and four reads are ever held."""
    bomb = compressed(bytes(64 * MIB))
    assert len(bomb) < 66 * KIB
    data = fragments(BINARY, cut(bomb, -(-len(bomb) // parts)), to=role, rsv=RSV1)
    endpoint = victim(role, max_message_size=limit)
    with measured() as memory:
        [event] = feed(endpoint, data)
    assert isinstance(event, Failed)
    assert close_code(endpoint) == 1009
    assert memory.peak <= 2 * limit + 4 * CHUNK
    assert memory.held <= 16 * KIB


@ROLES
@pytest.mark.parametrize("rsv", [0, RSV1], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("opcode", "body", "factor"),
    [
        (BINARY, bytes(MIB), 2),
        (TEXT, b"x" * MIB, 2),
        # Python keeps four bytes for each character if one of them needs that.
        (TEXT, "😀".encode() + b"x" * (MIB - 4), 6),
    ],
    ids=["binary", "text", "the worst text"],
)
def test_s35_a_message_of_the_limit_costs_a_small_multiple_of_it(
    role: Role, opcode: int, body: bytes, factor: int, rsv: int
) -> None:
    payload = compressed(body) if rsv else body
    endpoint = victim(role, max_message_size=MIB)
    data = frame(FIN | rsv | opcode, payload, to=role)
    expected: list[Event] = [body if opcode == BINARY else body.decode()]
    with measured() as memory:
        assert feed(endpoint, data) == expected
    assert memory.peak <= factor * MIB + 3 * CHUNK


@ROLES
def test_s35_what_is_merely_announced_costs_nothing(role: Role) -> None:
    endpoint = victim(role, max_message_size=None)
    with measured() as memory:
        for _ in range(4000):
            endpoint.receive_data(header(BINARY, 1, to=role) + b"x")
            endpoint.receive_data(header(CONTINUATION | FIN, 0, to=role))
        endpoint.receive_data(header(FIN | BINARY, 2**62, to=role) + b"x" * KIB)
    assert memory.peak <= 64 * KIB


# -- S36: pings and pongs ---------------------------------------------------------

PONGS_DUE = 64 * 131  # bytes of the pongs that are kept at most


@ROLES
@pytest.mark.parametrize("payload", [b"", b"x" * 125], ids=["empty", "of 125 bytes"])
def test_s36_a_flood_of_pings_leaves_the_latest_pongs_due_and_nothing_else(
    role: Role, payload: bytes
) -> None:
    flood = frame(FIN | PING, payload, to=role) * (CHUNK // 16)
    last = frame(FIN | PING, b"last", to=role)
    endpoint = victim(role)
    feed(endpoint, flood)  # what is made once is made now
    with measured() as memory:
        for _ in range(3):
            feed(endpoint, flood)
        assert feed(endpoint, last) == [Ping(b"last")]
    assert memory.held <= 2 * PONGS_DUE
    assert memory.peak <= 8 * MIB  # the events of one chunk, 32,768 pings
    due = endpoint.data_to_send()
    assert len(due) <= PONGS_DUE
    other = victim(Role.SERVER if role is Role.CLIENT else Role.CLIENT)
    assert other.receive_data(due)[-1] == Pong(b"last")
    assert not endpoint.pending


@ROLES
def test_s36_a_flood_of_pongs_is_nothing(role: Role) -> None:
    flood = frame(FIN | PONG, b"x" * 125, to=role) * (CHUNK // 8)
    endpoint = victim(role)
    with measured() as memory:
        feed(endpoint, flood)
    assert memory.held <= 4 * KIB
    assert not endpoint.pending
    assert endpoint.state is State.OPEN


# -- S37: fragments ---------------------------------------------------------------


@ROLES
@pytest.mark.parametrize("part", [b"", b"x"], ids=["empty", "of one byte"])
def test_s37_the_number_of_fragments_is_exact_whatever_is_in_them(
    role: Role, part: bytes
) -> None:
    limits = Limits(max_fragments=100)
    endpoint = victim(role, limits=limits)
    fits = fragments(BINARY, [part] * 100, to=role)
    assert feed(endpoint, fits + fits) == [part * 100]
    [event] = feed(endpoint, fragments(BINARY, [part] * 101, to=role))
    assert isinstance(event, Failed)
    assert event.detail == "a message has too many fragments"
    assert close_code(endpoint) == 1008


@ROLES
def test_s37_one_message_in_endless_empty_fragments_ends_at_the_default(
    role: Role,
) -> None:
    opening = frame(TEXT, b"x", to=role)
    more = frame(CONTINUATION, to=role)
    endpoint = victim(role)
    with measured() as memory:
        assert feed(endpoint, opening + more * 4095) == []
    assert memory.peak <= 128 * KIB  # the bytes given, twice
    [event] = endpoint.receive_data(more)
    assert isinstance(event, Failed)
    assert close_code(endpoint) == 1008


# -- S38: control frames ----------------------------------------------------------


@ROLES
@pytest.mark.parametrize("opcode", [PING, PONG])
def test_s38_the_number_of_control_frames_between_fragments_is_exact(
    role: Role, opcode: int
) -> None:
    limits = Limits(max_control_backlog=100)
    between = frame(FIN | opcode, b"?", to=role)
    opening = frame(TEXT, b"x", to=role)
    more = frame(CONTINUATION, b"x", to=role)
    end = frame(FIN | CONTINUATION, b"x", to=role)
    endpoint = victim(role, limits=limits)
    fits = opening + between * 100 + more + between * 100 + end
    assert feed(endpoint, fits + between * 500 + fits) == ["xxx"]
    [event] = feed(endpoint, opening + between * 101)
    assert isinstance(event, Failed)
    assert event.detail == "too many control frames in a message"
    assert close_code(endpoint) == 1008


@ROLES
@pytest.mark.parametrize("opcode", [PING, PONG])
@pytest.mark.parametrize("size", [126, 65536, 2**62])
def test_s38_a_control_frame_beyond_125_bytes_is_refused_from_its_header(
    role: Role, opcode: int, size: int
) -> None:
    endpoint = victim(role)
    [event] = endpoint.receive_data(header(FIN | opcode, size, to=role)[:2])
    assert isinstance(event, Failed)
    assert close_code(endpoint) == 1002


@ROLES
@pytest.mark.parametrize("opcode", [PING, PONG])
def test_s38_a_fragmented_control_frame_is_refused_from_its_first_byte(
    role: Role, opcode: int
) -> None:
    endpoint = victim(role)
    [event] = endpoint.receive_data(bytes([opcode]))
    assert isinstance(event, Failed)
    assert close_code(endpoint) == 1002


# -- the opening handshake --------------------------------------------------------

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = [
    "GET / HTTP/1.1",
    "Host: example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
]
RESPONSE = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
]


def begun(role: Role, limits: Limits) -> Endpoint:
    """An endpoint that waits for its peer's head."""
    nonce = bytes.fromhex("74686520 73616d70 6c65206e 6f6e6365")  # RFC 6455, 1.3
    endpoint = Endpoint(role, limits=limits, random=lambda size: nonce)
    if role is Role.CLIENT:
        endpoint.connect(parse_uri("ws://example.com/"))
    return endpoint


def head(role: Role, *more: str) -> bytes:
    """A good head to an endpoint of this role, with more headers."""
    lines = REQUEST if role is Role.SERVER else RESPONSE
    return "\r\n".join([*lines, *more, "", ""]).encode()


def of_head(role: Role, limits: Limits, data: bytes) -> tuple[bool, int | None]:
    """Whether a head is taken, whole and byte by byte; if not, our answer's status."""
    outcomes: list[tuple[bool, int | None]] = []
    for step in (len(data), 1):
        endpoint = begun(role, limits)
        events = [
            event
            for start in range(0, len(data), step)
            for event in endpoint.receive_data(data[start : start + step])
        ]
        [event] = events
        if isinstance(event, Request | Response):
            outcomes.append((True, None))
        else:
            assert isinstance(event, HandshakeFailed)
            outcomes.append((False, answered(endpoint)))
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


def answered(endpoint: Endpoint) -> int | None:
    """The status of the answer that is due; a client gives none."""
    if not endpoint.pending:
        return None
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(endpoint.data_to_send())
    event = client.next_event()
    assert isinstance(event, h11.Response)
    return event.status_code


@ROLES
def test_heads_are_taken_up_to_each_bound_and_refused_beyond_it(role: Role) -> None:
    """Headers, bytes of one of them, bytes of all."""
    said = 431 if role is Role.SERVER else None
    count = len(REQUEST if role is Role.SERVER else RESPONSE) - 1
    size = len(head(role))
    for limits, fits, over in [
        (Limits(max_headers=count + 1), ["A: 1"], ["A: 1", "B: 2"]),
        (
            Limits(max_header_size=100),
            ["X: " + "x" * 95],
            ["X: " + "x" * 96],
        ),
        (Limits(max_head_size=size + 10), ["X: 45678"], ["X: 456789"]),
    ]:
        assert of_head(role, limits, head(role, *fits)) == (True, None)
        assert of_head(role, limits, head(role, *over)) == (False, said)


def test_the_size_of_a_request_target_is_exact() -> None:
    limits = Limits(max_header_size=100)
    for size, outcome in [(100, (True, None)), (101, (False, 414))]:
        target = "/" + "a" * (size - 1)
        data = head(Role.SERVER).replace(b"GET /", b"GET " + target.encode())
        assert of_head(Role.SERVER, limits, data) == outcome


@ROLES
def test_a_head_of_thousands_of_lines_is_refused_before_it_is_parsed(
    role: Role,
) -> None:
    """h11 would take 50 ms for these: it gets none of them."""
    flood = head(role)[:-2] + b"a:b\r\n" * 13_000 + b"\r\n"
    endpoint = begun(role, Limits())
    with measured() as memory:
        [event] = endpoint.receive_data(flood)
    assert isinstance(event, HandshakeFailed)
    assert event.detail == "there are too many headers"
    assert memory.peak <= 3 * len(flood)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Content-Length: 1000000"], b"x" * 1000),
        ([], b"x" * 1000),
        (["Transfer-Encoding: chunked"], b"1\r\nx\r\n" * 1000),
    ],
    ids=["announced", "until the end", "chunked"],
)
def test_s52_the_body_of_a_refusal_is_cut_off_at_its_bound(
    lines: list[str], body: bytes
) -> None:
    answer = "\r\n".join(["HTTP/1.1 401 Unauthorized", *lines, "", ""]).encode()
    for most in (1, 999, 1000):
        client = begun(Role.CLIENT, Limits(max_body_size=most))
        [event] = client.receive_data(answer + body)
        assert isinstance(event, Rejection)
        assert (event.status, event.body) == (401, b"x" * most)
    client = begun(Role.CLIENT, Limits(max_body_size=1001))
    assert client.receive_data(answer + body) == []
    [event] = client.receive_eof()
    assert isinstance(event, Rejection)
    assert (event.status, event.body) == (401, b"x" * 1000)


def test_s52_an_endless_body_costs_no_more_than_its_bound() -> None:
    client = begun(Role.CLIENT, Limits(max_body_size=64 * KIB))
    client.receive_data(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    events: list[Event] = []
    with measured() as memory:
        while not events:
            events = client.receive_data(bytes(1000))
    assert memory.peak <= 4 * 64 * KIB


def test_what_a_client_sends_before_it_is_answered_is_kept_up_to_a_bound() -> None:
    endpoint = begun(Role.SERVER, Limits(max_head_size=1000))
    [request] = endpoint.receive_data(head(Role.SERVER))
    assert isinstance(request, Request)
    assert endpoint.receive_data(bytes(1000)) == []
    [event] = endpoint.receive_data(bytes(1))
    assert isinstance(event, HandshakeFailed)
    assert answered(endpoint) == 400
