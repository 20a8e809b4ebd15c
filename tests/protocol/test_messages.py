"""Messages to frames: what is one, fragments, compression, mask keys."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError, LocalProtocolError, MessageTypeError
from wsclient.protocol import Deflate, Event, Limits
from wsclient.protocol.deflate import Deflater, Inflater
from wsclient.protocol.messages import KeyPool, MessageWriter, as_payload
from wsclient.protocol.reader import MessageReader

Frame = Callable[..., bytes]


# Writing


def make_writer(
    deflate: Deflate | None = None, *, client: bool = False
) -> MessageWriter:
    pool = KeyPool(lambda size: b"\x01\x20\x03\x40" * (size // 4)) if client else None
    deflater = None
    if deflate is not None:
        deflater = Deflater(bits=15, takeover=True, settings=deflate)
    return MessageWriter(pool=pool, deflater=deflater)


@pytest.mark.parametrize(
    ("message", "opcode", "payload"),
    [
        ("Hällo", 1, "Hällo".encode()),
        ("", 1, b""),
        (b"bytes", 2, b"bytes"),
        (bytearray(b"array"), 2, b"array"),
        (memoryview(b"viewed")[::2], 2, b"vee"),
        (memoryview(b"abcdefgh").cast("I"), 2, b"abcdefgh"),
        (type("Text", (str,), {})("own"), 1, b"own"),
        (type("Data", (bytes,), {})(b"own"), 2, b"own"),
    ],
)
def test_a_message_is_one_frame(
    from_server: Frame, from_client: Frame, message: Any, opcode: int, payload: bytes
) -> None:
    assert make_writer().message(message, None) == from_server(opcode, payload)
    assert make_writer(client=True).message(message, None) == from_client(
        opcode, payload
    )


@pytest.mark.parametrize(
    ("message", "error", "remedy"),
    [
        ({"op": 1}, MessageTypeError, "cannot be a dict: encode it first"),
        (5, MessageTypeError, "cannot be a int: send str"),
        (None, MessageTypeError, "cannot be a NoneType: send str"),
        (["a"], MessageTypeError, "cannot be a list: send str"),
        ("\ud800", ArgumentError, "lone surrogates"),
    ],
)
def test_what_is_no_message_is_refused_with_the_remedy(
    message: Any, error: type[Exception], remedy: str
) -> None:
    with pytest.raises(error, match=remedy):
        as_payload(message)
    for writer in (make_writer(), make_writer(Deflate(), client=True)):
        with pytest.raises(error, match=remedy):
            writer.message(message, None)
        with pytest.raises(error, match=remedy):
            writer.fragment(message, fin=False)
        assert not writer.fragmenting


def test_fragments_are_frames_of_one_message(from_server: Frame) -> None:
    writer = make_writer()
    assert writer.fragment("a", fin=False) == from_server(1, b"a", fin=False)
    assert writer.fragmenting
    with pytest.raises(LocalProtocolError, match="finish it first"):
        writer.message("b", None)
    with pytest.raises(MessageTypeError, match="must be str, like its first"):
        writer.fragment(b"c", fin=False)
    assert writer.fragment("", fin=False) == from_server(0, b"", fin=False)
    assert writer.fragment("d", fin=True) == from_server(0, b"d")
    assert not writer.fragmenting
    assert writer.fragment(b"e", fin=True) == from_server(2, b"e")
    writer.fragment(b"f", fin=False)
    with pytest.raises(MessageTypeError, match="must be bytes, like its first"):
        writer.fragment("g", fin=True)


@pytest.mark.parametrize(
    ("size", "compress", "expected"),
    [
        (9, None, False),
        (10, None, True),
        (9, True, True),
        (10, False, False),
    ],
)
def test_the_threshold_decides_unless_the_call_does(
    size: int, compress: bool | None, expected: bool
) -> None:
    first = 0xC1 if expected else 0x81
    writer = make_writer(Deflate(threshold=10))
    assert writer.message("x" * size, compress)[0] == first
    assert writer.messages(["x" * size], compress)[0] == first
    assert writer.fragment("x" * size, fin=True, compress=compress)[0] == first


def test_without_agreement_nothing_is_compressed() -> None:
    assert make_writer().message("x" * 1000, True)[0] == 0x81


@pytest.mark.parametrize(
    ("size", "fin", "compress", "expected"),
    [
        (9, True, None, False),
        (10, True, None, True),
        (0, False, None, True),
        (0, False, True, True),
        (100, False, False, False),
    ],
)
def test_a_fragmented_message_is_compressed_unless_it_is_known_to_be_small(
    size: int, fin: bool, compress: bool | None, expected: bool
) -> None:
    writer = make_writer(Deflate(threshold=10))
    first = writer.fragment("x" * size, fin=fin, compress=compress)[0]
    assert bool(first & 0x40) is expected
    if not fin:
        assert writer.fragment("", fin=True)[0] == 0x80


MESSAGES = st.text(max_size=300) | st.binary(max_size=300)


@given(
    st.lists(st.tuples(MESSAGES, st.lists(st.integers(0, 300), max_size=3))),
    st.booleans(),
    st.booleans(),
    st.integers(1, 1000),
)
def test_what_is_written_is_read(
    messages: list[tuple[str | bytes, list[int]]],
    masked: bool,
    compression: bool,
    step: int,
) -> None:
    writer = make_writer(Deflate() if compression else None, client=masked)
    data = b""
    for message, cuts in messages:
        if not cuts:
            data += writer.message(message, None)
            continue
        edges = [0, *sorted(cuts), max(len(message), *cuts)]
        for a, b in pairwise(edges):
            data += writer.fragment(message[a:b], fin=b == edges[-1] and a != b)
            if not writer.fragmenting:
                break
        if writer.fragmenting:
            data += writer.fragment(message[:0], fin=True)
    reader = MessageReader(
        masked=masked,
        max_message_size=None,
        limits=Limits(),
        inflater=Inflater(bits=15, takeover=True) if compression else None,
    )
    events: list[Event] = []
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step], events)
    assert events == [message for message, _ in messages]


# Keys


def test_keys_are_cut_from_a_pool_and_never_twice() -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        start = len(asked) * size
        return b"".join(i.to_bytes(4, "big") for i in range(start, start + size, 4))

    pool = KeyPool(random)
    assert asked == []
    keys = [next(pool.keys, None) or pool.refill() for _ in range(3000)]
    assert asked == [4096, 4096, 4096]
    assert keys == [i.to_bytes(4, "big") for i in range(4096, 4096 + 12000, 4)]


def test_each_frame_of_a_client_has_a_key_of_its_own() -> None:
    pool = KeyPool(lambda size: bytes(range(256)) * (size // 256))
    writer = MessageWriter(pool=pool, deflater=None)
    frames = [writer.message("x", None), writer.fragment("y", fin=True)]
    frames.append(writer.frame(0x89, b""))
    assert [frame[2:6] for frame in frames] == [b"\0\1\2\3", b"\4\5\6\7", b"\b\t\n\v"]
