"""The hot loops, in Python and in C, against naive ones."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.protocol import _codec_py
from wsclient.protocol.codec import choose

KEY = b"\x00\x7f\x80\xff"
KEYS = st.binary(min_size=4, max_size=4)
SIZES = [0, 1, 2, 3, 4, 5, 125, 126, 127, 319, 320, 321, 322, 323, 324, 65535, 65536]


@pytest.fixture(scope="session", params=["python", "native"])
def codec(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "python":
        return _codec_py
    native = choose(pure=False)
    if native is _codec_py and "WSCLIENT_REQUIRE_PEERS" not in os.environ:
        pytest.skip("the native codec was not built: it takes a C compiler")
    assert native is not _codec_py
    return native


def naive_mask(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def naive_frame(first: int, payload: bytes, key: bytes | None) -> bytes:
    size, bit = len(payload), 0 if key is None else 0x80
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65536:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    return head + payload if key is None else head + key + naive_mask(payload, key)


def scanned(
    codec: ModuleType,
    data: bytes,
    *,
    masked: bool,
    position: int = 0,
    limit: int = sys.maxsize,
) -> tuple[int, list[Any]]:
    messages: list[Any] = []
    end = codec.scan(data, position, limit, masked, messages)
    seen: list[Any] = []
    view = memoryview(bytearray(data))
    assert codec.scan(view, position, limit, masked, seen) == end
    assert seen == messages
    return end, messages


@given(st.binary(max_size=1000), KEYS)
def test_masking_is_what_the_rfc_says(
    codec: ModuleType, data: bytes, key: bytes
) -> None:
    masked = codec.mask(data, key)
    assert type(masked) is bytes
    assert masked == naive_mask(data, key)
    assert codec.mask(memoryview(data), key) == masked
    assert codec.mask(masked, key) == data


@pytest.mark.parametrize("size", SIZES)
def test_masking_is_right_at_the_edges_of_its_two_ways(
    codec: ModuleType, size: int
) -> None:
    data = bytes(i % 251 for i in range(size))
    assert codec.mask(data, KEY) == naive_mask(data, KEY)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
def test_frames_are_those_of_section_5_2(
    codec: ModuleType, size: int, key: bytes | None
) -> None:
    payload = bytes(i % 251 for i in range(size))
    assert codec.encode(0x82, payload, key) == naive_frame(0x82, payload, key)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
def test_whole_messages_are_scanned(
    codec: ModuleType, size: int, key: bytes | None
) -> None:
    masked = key is not None
    for first, payload, message in [
        (0x82, bytes(i % 251 for i in range(size)), None),
        (0x81, b"t" * size, "t" * size),
        (0x81, ("é" * size).encode(), "é" * size),
    ]:
        frame = naive_frame(first, payload, key)
        expected = payload if message is None else message
        found = scanned(codec, b"?" + frame * 3, masked=masked, position=1)
        assert found == (1 + 3 * len(frame), [expected] * 3)
        assert type(found[1][0]) is type(expected)
        assert scanned(codec, frame, masked=masked, limit=len(payload)) == (
            len(frame),
            [expected],
        )


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
def test_scanning_stops_before_a_message_beyond_the_limit(
    codec: ModuleType, size: int, key: bytes | None
) -> None:
    frame = naive_frame(0x82, bytes(size), key)
    assert scanned(codec, frame, masked=key is not None, limit=size - 1) == (0, [])


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 400, 65536])
def test_scanning_stops_before_what_is_not_whole(
    codec: ModuleType, size: int, key: bytes | None
) -> None:
    good = naive_frame(0x81, b"good", key)
    frame = naive_frame(0x82, b"\xff" * size, key)
    ends = range(len(frame)) if size < 1000 else [1, 2, 3, 9, 13, 14, len(frame) - 1]
    for end in ends:
        found = scanned(codec, good + frame[:end], masked=key is not None)
        assert found == (len(good), ["good"]), end


@pytest.mark.parametrize("key", [None, KEY])
def test_scanning_stops_before_everything_else(
    codec: ModuleType, key: bytes | None
) -> None:
    good = naive_frame(0x81, b"good", key)
    for first in set(range(256)) - {0x81, 0x82}:
        frame = naive_frame(first, b"rest", key)
        found = scanned(codec, good + frame + good, masked=key is not None)
        assert found == (len(good), ["good"]), hex(first)


@pytest.mark.parametrize("size", [4, 126, 65536])
def test_scanning_stops_before_a_frame_masked_when_it_must_not_be(
    codec: ModuleType, size: int
) -> None:
    data = bytes(size)
    assert scanned(codec, naive_frame(0x82, data, KEY), masked=False) == (0, [])
    assert scanned(codec, naive_frame(0x82, data, None), masked=True) == (0, [])


@pytest.mark.parametrize("key", [None, KEY])
def test_scanning_stops_before_a_length_not_in_the_fewest_bytes(
    codec: ModuleType,
    key: bytes | None,
) -> None:
    bit, masked = (0, False) if key is None else (0x80, True)
    tail = (key or b"") + bytes(70000)
    for head in (
        bytes([0x82, bit | 126]) + (125).to_bytes(2, "big"),
        bytes([0x82, bit | 127]) + (65535).to_bytes(8, "big"),
    ):
        assert scanned(codec, head + tail, masked=masked) == (0, [])


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", [2, 500])
def test_scanning_stops_before_text_that_is_not_utf8(
    codec: ModuleType, size: int, key: bytes | None
) -> None:
    good = naive_frame(0x81, b"good", key)
    bad = naive_frame(0x81, b"\xff" * size, key)
    found = scanned(codec, good + bad + good, masked=key is not None)
    assert found == (len(good), ["good"])


@given(st.binary(max_size=300), st.booleans())
def test_scanning_any_bytes_gives_messages_that_encode_to_them(
    codec: ModuleType, data: bytes, masked: bool
) -> None:
    if not masked:
        position, messages = scanned(codec, data, masked=False)
        again = b"".join(
            naive_frame(0x81, m.encode(), None)
            if isinstance(m, str)
            else naive_frame(0x82, m, None)
            for m in messages
        )
        assert data[:position] == again
    else:
        position, _ = scanned(codec, data, masked=True)
        assert position <= len(data)


FRAME_SOUP = st.lists(
    st.builds(
        naive_frame,
        st.sampled_from([0x81, 0x82, 0x81, 0x82, 0x01, 0x89, 0xC1]),
        st.binary(max_size=9)
        | st.text(max_size=9).map(str.encode)
        | st.integers(100, 400).map(bytes),
        st.none() | KEYS,
    )
    | st.binary(max_size=15),
    max_size=6,
).map(b"".join)


@given(FRAME_SOUP, st.booleans(), st.integers(0, 40), st.integers(0, 300))
def test_both_stop_at_the_same_place_with_the_same_messages(
    codec: ModuleType, data: bytes, masked: bool, position: int, limit: int
) -> None:
    found = scanned(codec, data, masked=masked, position=position, limit=limit)
    expected = scanned(_codec_py, data, masked=masked, position=position, limit=limit)
    assert found == expected
    assert [*map(type, found[1])] == [*map(type, expected[1])]
