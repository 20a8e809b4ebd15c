"""Any bytes: their split does not matter, nothing raises, what is kept is bounded."""

from __future__ import annotations

import gc
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError, Close, LocalProtocolError, MessageTypeError
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Delivery,
    Endpoint,
    Event,
    Failed,
    Limits,
    Part,
    Ping,
    Pong,
    Rejection,
    Request,
    Response,
    Role,
    State,
    parse_uri,
)

Frame = Callable[..., bytes]
Pair = Callable[..., tuple[Endpoint, Endpoint]]

RSV1 = 4
# Windows of the largest size: zlib notices that a peer uses a larger one than agreed
# only if what it refers to came in an earlier chunk.
DEFLATE = Deflate(server_max_window_bits=None, client_max_window_bits=15)


# Scripts of a peer that keeps the rules


@dataclass(frozen=True)
class Message:
    """A message, and where it is cut into frames; between them stand control frames."""

    data: str | bytes
    compressed: bool = False
    cuts: tuple[int, ...] = ()
    between: tuple[Ping | Pong, ...] = ()


CONTROLS = st.builds(Ping, st.binary(max_size=9)) | st.builds(
    Pong, st.binary(max_size=9) | st.just(bytes(125))
)
MESSAGES = st.builds(
    Message,
    data=st.text(max_size=20) | st.binary(max_size=40) | st.just("a€𝄞" * 50),
    compressed=st.booleans(),
    cuts=st.lists(st.integers(0, 60), max_size=3).map(tuple),
    between=st.lists(CONTROLS, max_size=2).map(tuple),
)
CLOSES = st.builds(
    CloseReceived, st.sampled_from([1000, 1002, 3000, 4999]), st.text(max_size=9)
) | st.just(CloseReceived(1005, ""))
Script = list[Message | Ping | Pong | CloseReceived]
SCRIPTS: st.SearchStrategy[Script] = st.lists(
    st.one_of(MESSAGES, MESSAGES, CONTROLS), min_size=1, max_size=5
)


def pieces(data: bytes, cuts: list[int] | tuple[int, ...]) -> list[bytes]:
    marks = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(marks)]


def written(script: Script, frame: Frame, *, deflate: bool) -> tuple[bytes, Script]:
    """Return the frames of a script, and the events they should give."""
    compressor = zlib.compressobj(wbits=-15)
    stream, events = b"", list[Any]()

    def control(event: Ping | Pong | CloseReceived) -> bytes:
        events.append(event)
        if isinstance(event, CloseReceived):
            code = b"" if event.code == 1005 else event.code.to_bytes(2, "big")
            return frame(8, code + event.reason.encode())
        return frame(9 if isinstance(event, Ping) else 10, event.payload)

    for step in script:
        if not isinstance(step, Message):
            stream += control(step)
            continue
        text = isinstance(step.data, str)
        payload = step.data.encode() if isinstance(step.data, str) else step.data
        compressed = step.compressed and deflate
        if compressed:
            payload = compressor.compress(payload)
            payload += compressor.flush(zlib.Z_SYNC_FLUSH)
            payload = payload[:-4] or b"\x00"
        frames = pieces(payload, step.cuts)
        for i, body in enumerate(frames):
            opcode = 0 if i else 1 if text else 2
            rsv = 0 if i or not compressed else RSV1
            stream += frame(opcode, body, fin=i == len(frames) - 1, rsv=rsv)
            if i < len(frames) - 1:
                stream += b"".join(map(control, step.between))
        events.append(step.data)
    return stream, events


# Bytes of a peer that does not

FRAMES = st.tuples(
    st.sampled_from([0, 0, 1, 1, 2, 2, 8, 9, 10, 3]),
    st.binary(max_size=20)
    | st.text(max_size=9).map(str.encode)
    | st.sampled_from([b"\x03\xe8", b"\x03\xedwhy", b"\x00", b"x" * 101])
    | st.binary(max_size=20).map(lambda data: zlib.compress(data, wbits=-15))
    | st.sampled_from([b"\x00", b"y" * 101]).map(
        lambda data: zlib.compress(data * 3, wbits=-15)
    ),
    st.booleans(),
    st.sampled_from([0, 0, 0, RSV1, RSV1, 1]),
)


class Mutation(NamedTuple):
    """One change to a good stream."""

    kind: str
    at: int
    size: int
    byte: int

    def __call__(self, data: bytes) -> bytes:
        at = self.at % (len(data) + 1)
        end = at + self.size
        match self.kind:
            case "set":
                return data[:at] + bytes([self.byte]) + data[at + 1 :]
            case "insert":
                return data[:at] + bytes([self.byte]) * self.size + data[at:]
            case "delete":
                return data[:at] + data[end:]
            case "repeat":
                return data[:end] + data[at:]
            case _:
                return data[:at]


MUTATIONS = st.builds(
    Mutation,
    st.sampled_from(["set", "set", "insert", "delete", "repeat", "cut"]),
    st.integers(0, 400),
    st.integers(1, 9),
    st.integers(0, 255),
)
SPLITS = st.lists(st.integers(0, 400), max_size=6)


class Case(NamedTuple):
    """One end with its settings, and how the bytes for it are made."""

    role: Role
    deflate: bool
    tight: bool


CASES = st.builds(Case, st.sampled_from(Role), st.booleans(), st.booleans())
TIGHT = Limits(max_fragments=4, max_control_backlog=2)


class Ends:
    """Makes the end under test, and the frames of its peer."""

    def __init__(self, pair: Pair, from_client: Frame, from_server: Frame) -> None:
        self.pair = pair
        self.frames = {Role.CLIENT: from_server, Role.SERVER: from_client}

    def make(self, case: Case) -> Endpoint:
        deflate = DEFLATE if case.deflate else None
        client, server = self.pair(
            deflate,
            deflate,
            max_message_size=100 if case.tight else None,
            limits=TIGHT if case.tight else None,
        )
        return client if case.role is Role.CLIENT else server


@pytest.fixture(scope="session")
def ends(pair: Pair, from_client: Frame, from_server: Frame) -> Ends:
    return Ends(pair, from_client, from_server)


class Outcome(NamedTuple):
    events: list[Event]
    replies: bytes
    state: State
    sent: Close | None
    received: Close | None
    half: bool


def outcome(us: Endpoint, chunks: list[bytes]) -> Outcome:
    events = [event for chunk in chunks for event in us.receive_data(chunk)]
    half = us.half_frame
    replies = us.data_to_send()
    state = us.state
    return Outcome(events, replies, state, us.close_sent, us.close_received, half)


# The split does not matter


@given(SCRIPTS, st.none() | CLOSES, CASES, SPLITS, st.binary(max_size=9))
def test_a_good_stream_says_what_was_written_in_any_split(
    ends: Ends,
    script: Script,
    close: CloseReceived | None,
    case: Case,
    cuts: list[int],
    after: bytes,
) -> None:
    case = case._replace(tight=False)
    frame = ends.frames[case.role]
    if close is not None:
        script = [*script, close]
    data, events = written(script, frame, deflate=case.deflate)
    if close is not None:
        data += after  # 5.5.1: nothing counts behind a Close frame
    whole = outcome(ends.make(case), [data])
    assert whole.events == events
    assert whole.half is False
    assert whole.state is (State.OPEN if close is None else State.CLOSED)
    assert outcome(ends.make(case), pieces(data, cuts)) == whole
    single = [data[i : i + 1] for i in range(len(data))]
    assert outcome(ends.make(case), single) == whole


def check(ends: Ends, case: Case, data: bytes, cuts: list[int]) -> None:
    whole = outcome(ends.make(case), [data])
    failed = [event for event in whole.events if isinstance(event, Failed)]
    if failed:
        assert failed == [whole.events[-1]]
        assert whole.state is State.CLOSED
        assert whole.sent == Close(failed[0].code, failed[0].detail)
        assert failed[0].code in (1002, 1007, 1008, 1009)
    for chunks in (pieces(data, cuts), [data[i : i + 1] for i in range(len(data))]):
        split = outcome(ends.make(case), chunks)
        if case.deflate and failed and failed[0].code != 1002:
            # Of several faults in a compressed message the split says which comes
            # first: zlib gives nothing of a chunk whose end is corrupt.
            assert isinstance(split.events[-1], Failed)
            assert split.events[-1].code in (1007, 1008, 1009)
            split.events[-1] = failed[0]
            split = split._replace(replies=whole.replies, sent=whole.sent)
        assert split == whole


@given(SCRIPTS, CASES, MUTATIONS, SPLITS)
def test_a_stream_with_a_fault_in_it_says_the_same_in_any_split(
    ends: Ends, script: Script, case: Case, mutation: Mutation, cuts: list[int]
) -> None:
    data, _ = written(script, ends.frames[case.role], deflate=case.deflate)
    check(ends, case, mutation(data), cuts)


@given(st.lists(FRAMES, max_size=8), st.binary(max_size=10), CASES, SPLITS)
def test_any_frames_say_the_same_in_any_split(
    ends: Ends,
    frames: list[tuple[int, bytes, bool, int]],
    junk: bytes,
    case: Case,
    cuts: list[int],
) -> None:
    frame = ends.frames[case.role]
    data = b"".join(frame(op, body, fin=fin, rsv=rsv) for op, body, fin, rsv in frames)
    check(ends, case, data + junk, cuts)


@given(st.binary(max_size=300), CASES, SPLITS)
def test_any_bytes_say_the_same_in_any_split(
    ends: Ends, data: bytes, case: Case, cuts: list[int]
) -> None:
    check(ends, case, data, cuts)


@given(SCRIPTS, CASES, MUTATIONS, SPLITS)
def test_what_is_told_in_parts_is_what_is_told_whole(
    ends: Ends, script: Script, case: Case, mutation: Mutation, cuts: list[int]
) -> None:
    case = case._replace(tight=False)
    data, _ = written(script, ends.frames[case.role], deflate=case.deflate)
    data = mutation(data)
    whole = ends.make(case).receive_data(data)
    us = ends.make(case)
    said: list[Event] = []
    told: list[Any] = []
    for chunk in pieces(data, cuts):
        us.decide(Delivery.IN_PARTS)
        events = us.receive_data(chunk)
        while us.held:
            events += us.receive_data(b"")
        for event in events:
            if isinstance(event, Part):
                told.append(event.data)
                if event.fin:
                    said.append(type(event.data)().join(told))
                    told.clear()
            elif isinstance(event, Failed):
                assert isinstance(whole[-1], Failed)
                said.append(whole[-1])
            else:
                said.append(event)
    assert said == whole


# The opening handshake

REQUEST = (
    "GET /path HTTP/1.1",
    "Host: example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
)
AGREEMENT = (
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: fWqaG1+MrNNJFCD8bf/FloL+yTY=",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
REJECTION = ("HTTP/1.1 404 Not Found", "Content-Length: 9")
CHUNKED = ("HTTP/1.1 503 Sorry", "Transfer-Encoding: chunked")
EARLY = ("HTTP/1.1 103 Early Hints", "Link: </style.css>")


def head(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


HEADS = {
    Role.SERVER: [head(*REQUEST)],
    Role.CLIENT: [
        head(*AGREEMENT),
        head(*EARLY) + head(*AGREEMENT),
        head(*REJECTION) + b"not found",
        head(*CHUNKED) + b"3\r\nnot\r\n4;x=y\r\n now\r\n0\r\n\r\n",
        head("HTTP/1.1 200 OK") + b"until the end",
    ],
}


def shaken(role: Role, chunks: list[bytes], body: int) -> tuple[list[Event], State]:
    """Do a handshake; a server accepts what it can."""
    us = Endpoint(
        role,
        deflate=DEFLATE,
        limits=Limits(max_body_size=body),
        random=lambda size: b"k" * size,
    )
    if role is Role.CLIENT:
        us.connect(parse_uri("ws://example.com/path"))
    events: list[Event] = []
    for chunk in chunks:
        events += us.receive_data(chunk)
        if role is Role.SERVER and us.request and us.state is State.CONNECTING:
            us.accept()
            events += us.receive_data(b"")
    return events + us.receive_eof(), us.state


@given(
    st.sampled_from(Role),
    st.integers(0, 4),
    st.none() | MUTATIONS,
    SPLITS,
    st.integers(1, 12),
)
def test_a_handshake_comes_out_the_same_in_any_split(
    ends: Ends,
    role: Role,
    which: int,
    mutation: Mutation | None,
    cuts: list[int],
    body: int,
) -> None:
    opening = HEADS[role][which % len(HEADS[role])]
    data = opening + ends.frames[role](1, b"Hello") + ends.frames[role](3)
    if mutation is not None:
        data = mutation(data)
    whole = shaken(role, [data], body)
    assert whole[1] is State.CLOSED
    kinds = [type(event) for event in whole[0]]
    if mutation is None:
        first = Request if role is Role.SERVER else Response
        assert kinds in ([first, str, Failed], [Rejection])
    for chunks in (pieces(data, cuts), [data[i : i + 1] for i in range(len(data))]):
        assert shaken(role, chunks, body) == whole


# Only documented errors

ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-1, 5000),
    st.floats(),
    st.text(max_size=200),
    st.text("\ud800\r\n", max_size=3),
    st.binary(max_size=200),
    st.binary(max_size=9).map(bytearray),
    st.binary(max_size=9).map(lambda data: memoryview(data)),
    st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.builds(object),
)
CALLS: dict[str, Callable[[Endpoint, Any, Any], object]] = {
    "encode": lambda us, a, b: us.encode(a),
    "encode_fragment": lambda us, a, b: us.encode_fragment(a, fin=bool(b)),
    "ping": lambda us, a, b: us.ping(a),
    "pong": lambda us, a, b: us.pong(a),
    "close": lambda us, a, b: us.close(a),
    "close for a reason": lambda us, a, b: us.close(1000, b),
    "accept": lambda us, a, b: us.accept(),
    "reject": lambda us, a, b: us.reject(a),
    "connect": lambda us, a, b: us.connect(parse_uri("ws://example.com/")),
}


@given(CASES, st.lists(st.tuples(st.sampled_from(list(CALLS)), ANYTHING, ANYTHING)))
def test_what_cannot_be_sent_is_refused_with_an_error_of_ours_and_changes_nothing(
    ends: Ends, case: Case, calls: list[tuple[str, Any, Any]]
) -> None:
    """Two twins; what one is refused the other was never asked for."""
    case = case._replace(tight=False)
    us, twin = ends.make(case), ends.make(case)
    for name, a, b in calls:
        try:
            data = CALLS[name](us, a, b)
        except (ArgumentError, MessageTypeError, LocalProtocolError):
            data = None
        if data is not None:
            assert data == CALLS[name](twin, a, b)
        for fact in ("state", "pending", "fragmenting", "close_sent", "half_frame"):
            assert getattr(us, fact) == getattr(twin, fact)
    if us.state is State.OPEN:
        assert us.close() == twin.close()


HEADER_TEXTS = st.text(max_size=9) | st.sampled_from(["Host", "Origin", "a\nb", "é"])


@given(HEADER_TEXTS, HEADER_TEXTS, st.none() | HEADER_TEXTS, st.integers(), st.binary())
def test_a_handshake_that_cannot_be_sent_is_refused_and_another_one_is_not(
    name: str, value: str, other: str | None, status: int, body: bytes
) -> None:
    client = Endpoint(Role.CLIENT)
    uri = parse_uri("ws://example.com/")
    with suppress(ArgumentError):
        client.connect(uri, headers=[(name, value)], origin=other, user_agent=other)
    if client.request is None:
        assert client.state is State.CONNECTING
        request = client.connect(uri)
    else:
        client = Endpoint(Role.CLIENT)
        request = client.connect(uri)
    for call in ("accept", "reject"):
        server = Endpoint(Role.SERVER)
        server.receive_data(request)
        with suppress(ArgumentError):
            if call == "accept":
                server.accept(subprotocol=other, headers=[(name, value)])
            else:
                server.reject(status, [(name, value)], body)
            continue
        assert server.state is State.CONNECTING
        assert b" 101 " in server.accept()


# Bounded buffers


def kept(end: Endpoint) -> int:
    """How many bytes of what it was given an endpoint keeps alive, wherever."""
    seen: set[int] = set()
    todo: list[object] = [end]
    size = 0
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, str | bytes | bytearray | memoryview):
            size += len(thing)
        elif isinstance(thing, list | tuple | dict | set) or type(
            thing
        ).__module__.startswith(("wsclient.", "h11.")):
            todo += gc.get_referents(thing)
    return size


def test_what_an_endpoint_keeps_is_seen(ends: Ends) -> None:
    for case in (Case(role, flag, False) for role in Role for flag in (False, True)):
        us = ends.make(case)
        before = kept(us)
        data, _ = written([Message("x" * 500)], ends.frames[case.role], deflate=False)
        us.receive_data(data[:-1])
        assert 499 <= kept(us) - before <= 510


# Beside the message: a header or control frame cut short, and the two Close frames.
BESIDE = 14 + 131 + 2 * 125


@given(SCRIPTS, CASES, MUTATIONS, SPLITS, st.booleans())
def test_what_an_endpoint_keeps_is_bounded(
    ends: Ends,
    script: Script,
    case: Case,
    mutation: Mutation,
    cuts: list[int],
    parts: bool,
) -> None:
    case = case._replace(tight=True)
    data, _ = written(script, ends.frames[case.role], deflate=case.deflate)
    us = ends.make(case)
    before = kept(us)
    for chunk in pieces(mutation(data), cuts):
        if parts:
            us.decide(Delivery.IN_PARTS)
        us.receive_data(chunk)
        us.data_to_send()
        assert kept(us) - before <= 100 + BESIDE + (len(chunk) if us.held else 0)
