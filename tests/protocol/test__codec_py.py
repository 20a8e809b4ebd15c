"""The hot loops against naive ones."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.protocol._codec_py import encode, mask, scan

KEY = b"\x00\x7f\x80\xff"
KEYS = st.binary(min_size=4, max_size=4)
SIZES = [0, 1, 2, 3, 4, 5, 125, 126, 127, 319, 320, 321, 322, 323, 324, 65535, 65536]


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
    data: bytes, *, masked: bool, position: int = 0, limit: int = sys.maxsize
) -> tuple[int, list[Any]]:
    messages: list[Any] = []
    return scan(data, position, limit, masked, messages), messages


@given(st.binary(max_size=1000), KEYS)
def test_masking_is_what_the_rfc_says(data: bytes, key: bytes) -> None:
    masked = mask(data, key)
    assert type(masked) is bytes
    assert masked == naive_mask(data, key)
    assert mask(masked, key) == data


@pytest.mark.parametrize("size", SIZES)
def test_masking_is_right_at_the_edges_of_its_two_ways(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert mask(data, KEY) == naive_mask(data, KEY)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
def test_frames_are_those_of_section_5_2(size: int, key: bytes | None) -> None:
    payload = bytes(i % 251 for i in range(size))
    assert encode(0x82, payload, key) == naive_frame(0x82, payload, key)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
def test_whole_messages_are_scanned(size: int, key: bytes | None) -> None:
    masked = key is not None
    for first, payload, message in [
        (0x82, bytes(i % 251 for i in range(size)), None),
        (0x81, b"t" * size, "t" * size),
        (0x81, ("é" * size).encode(), "é" * size),
    ]:
        frame = naive_frame(first, payload, key)
        expected = payload if message is None else message
        found = scanned(b"?" + frame * 3, masked=masked, position=1)
        assert found == (1 + 3 * len(frame), [expected] * 3)
        assert type(found[1][0]) is type(expected)
        assert scanned(frame, masked=masked, limit=len(payload)) == (
            len(frame),
            [expected],
        )


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", SIZES)
def test_scanning_stops_before_a_message_beyond_the_limit(
    size: int, key: bytes | None
) -> None:
    frame = naive_frame(0x82, bytes(size), key)
    assert scanned(frame, masked=key is not None, limit=size - 1) == (0, [])


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 400, 65536])
def test_scanning_stops_before_what_is_not_whole(size: int, key: bytes | None) -> None:
    good = naive_frame(0x81, b"good", key)
    frame = naive_frame(0x82, b"\xff" * size, key)
    ends = range(len(frame)) if size < 1000 else [1, 2, 3, 9, 13, 14, len(frame) - 1]
    for end in ends:
        found = scanned(good + frame[:end], masked=key is not None)
        assert found == (len(good), ["good"]), end


@pytest.mark.parametrize("key", [None, KEY])
def test_scanning_stops_before_everything_else(key: bytes | None) -> None:
    good = naive_frame(0x81, b"good", key)
    for first in set(range(256)) - {0x81, 0x82}:
        frame = naive_frame(first, b"rest", key)
        found = scanned(good + frame + good, masked=key is not None)
        assert found == (len(good), ["good"]), hex(first)


@pytest.mark.parametrize("size", [4, 126, 65536])
def test_scanning_stops_before_a_frame_masked_when_it_must_not_be(size: int) -> None:
    data = bytes(size)
    assert scanned(naive_frame(0x82, data, KEY), masked=False) == (0, [])
    assert scanned(naive_frame(0x82, data, None), masked=True) == (0, [])


@pytest.mark.parametrize("key", [None, KEY])
def test_scanning_stops_before_a_length_not_in_the_fewest_bytes(
    key: bytes | None,
) -> None:
    bit, masked = (0, False) if key is None else (0x80, True)
    tail = (key or b"") + bytes(70000)
    for head in (
        bytes([0x82, bit | 126]) + (125).to_bytes(2, "big"),
        bytes([0x82, bit | 127]) + (65535).to_bytes(8, "big"),
    ):
        assert scanned(head + tail, masked=masked) == (0, [])


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", [2, 500])
def test_scanning_stops_before_text_that_is_not_utf8(
    size: int, key: bytes | None
) -> None:
    good = naive_frame(0x81, b"good", key)
    bad = naive_frame(0x81, b"\xff" * size, key)
    found = scanned(good + bad + good, masked=key is not None)
    assert found == (len(good), ["good"])


@given(st.binary(max_size=300), st.booleans())
def test_scanning_any_bytes_gives_messages_that_encode_to_them(
    data: bytes, masked: bool
) -> None:
    if not masked:
        position, messages = scanned(data, masked=False)
        again = b"".join(
            naive_frame(0x81, m.encode(), None)
            if isinstance(m, str)
            else naive_frame(0x82, m, None)
            for m in messages
        )
        assert data[:position] == again
    else:
        position, _ = scanned(data, masked=True)
        assert position <= len(data)
