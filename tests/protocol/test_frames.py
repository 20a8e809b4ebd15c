"""Frame headers and Close payloads, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError, Close
from wsclient.protocol.frames import (
    FrameHeader,
    Violation,
    cut,
    maybe_read_compressed,
    maybe_read_header,
    pack_close,
    read_close,
)

KEY = b"abcd"


def read_header(
    data: bytes, *, masked: bool = False, compression: bool = False
) -> FrameHeader | None:
    return maybe_read_header(data, 0, masked=masked, compression=compression)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("81 05", FrameHeader(True, False, 1, 5, b"", 2)),
        ("01 7d", FrameHeader(False, False, 1, 125, b"", 2)),
        ("80 00", FrameHeader(True, False, 0, 0, b"", 2)),
        ("82 7e 007e", FrameHeader(True, False, 2, 126, b"", 4)),
        ("82 7e ffff", FrameHeader(True, False, 2, 65535, b"", 4)),
        ("82 7f 0000000000010000", FrameHeader(True, False, 2, 65536, b"", 10)),
        ("82 7f 7fffffffffffffff", FrameHeader(True, False, 2, 2**63 - 1, b"", 10)),
        ("88 02", FrameHeader(True, False, 8, 2, b"", 2)),
        ("89 7d", FrameHeader(True, False, 9, 125, b"", 2)),
        ("8a 00", FrameHeader(True, False, 10, 0, b"", 2)),
    ],
)
def test_a_header_is_read_once_it_is_whole(data: str, header: FrameHeader) -> None:
    raw = bytes.fromhex(data)
    for end in range(len(raw)):
        assert read_header(raw[:end]) is None
    assert read_header(raw + b"rest") == header
    masked = raw[:1] + bytes([raw[1] | 0x80]) + raw[2:] + KEY
    for end in range(len(masked)):
        assert read_header(masked[:end], masked=True) is None
    assert read_header(masked, masked=True) == header._replace(
        key=KEY, start=len(masked)
    )


HEADS = st.builds(
    lambda first, second, length: bytes([first, second]) + length,
    st.sampled_from([0xC1, 0xC2]) | st.integers(0, 255),
    st.sampled_from([0x00, 0x05, 0x7D, 0x7E, 0x7F, 0x85, 0xFE, 0xFF])
    | st.integers(0, 255),
    st.sampled_from([b"", b"\0\x7d", b"\0\x7e", bytes(8), bytes(5) + b"\1\0\0"]),
)


@given(head=HEADS, size=st.integers(0, 200), masked=st.booleans())
def test_a_compressed_message_in_one_frame_is_read_as_its_header_says(
    head: bytes, size: int, masked: bool
) -> None:
    data = b"?" + head + (bytes(range(200)) + bytes(70_000))[:size]
    if head[2:] == bytes(5) + b"\1\0\0":
        data += bytes(70_000)
    try:
        header = maybe_read_header(data, 1, masked=masked, compression=True)
    except Violation:
        header = None
    found = maybe_read_compressed(data, 1, masked=masked)
    if (
        header is None
        or not (header.compressed and header.fin)
        or header.start + header.length > len(data)
    ):
        assert found is None
    else:
        end = header.start + header.length
        payload = data[header.start : end]
        if masked:
            payload = bytes(b ^ header.key[i & 3] for i, b in enumerate(payload))
        assert found == (header.opcode, payload, end)


def test_the_bit_for_compression_is_read_where_it_was_agreed_on() -> None:
    for first, fin, opcode in [(0xC1, True, 1), (0x42, False, 2)]:
        assert read_header(bytes([first, 1]), compression=True) == FrameHeader(
            fin, True, opcode, 1, b"", 2
        )


@pytest.mark.parametrize(
    ("data", "compression", "detail"),
    [
        ("a1", True, "reserved bits"),
        ("91", True, "reserved bits"),
        ("c1", False, "reserved bits"),
        ("83", False, "opcode 0x3"),
        ("87", False, "opcode 0x7"),
        ("8b", False, "opcode 0xb"),
        ("8f", False, "opcode 0xf"),
        ("c0", True, "no meaning"),
        ("40", True, "no meaning"),
        ("c8", True, "no meaning"),
        ("c9", True, "no meaning"),
        ("08", False, "control frame is fragmented"),
        ("09", False, "control frame is fragmented"),
        ("0a", False, "control frame is fragmented"),
        ("8180", False, "is masked"),
        ("897e", False, "longer than 125"),
        ("887f", False, "longer than 125"),
        ("827e007d", False, "fewest bytes"),
        ("827f000000000000ffff", False, "fewest bytes"),
        ("827f8000000000000000", False, "most significant bit"),
    ],
)
def test_a_broken_rule_is_found_with_the_byte_that_breaks_it(
    data: str, compression: bool, detail: str
) -> None:
    raw = bytes.fromhex(data)
    for end in range(len(raw)):
        assert read_header(raw[:end], compression=compression) is None
    with pytest.raises(Violation, match=detail) as caught:
        read_header(raw, compression=compression)
    assert caught.value.code == 1002


def test_a_frame_of_a_client_must_be_masked() -> None:
    with pytest.raises(Violation, match="is not masked"):
        read_header(b"\x81\x05", masked=True)


@given(st.binary(max_size=20), st.booleans(), st.booleans())
def test_any_bytes_are_a_header_or_too_few_or_a_violation(
    data: bytes, masked: bool, compression: bool
) -> None:
    outcome: FrameHeader | int | None
    try:
        outcome = read_header(data, masked=masked, compression=compression)
    except Violation as violation:
        outcome = violation.code
    match outcome:
        case FrameHeader(start=start):
            assert start <= len(data)
        case None:
            assert len(data) < 14
        case code:
            assert code == 1002


def test_an_empty_close_frame_stands_for_1005() -> None:
    assert read_close(b"") == Close(1005, "")


def test_a_close_code_is_read_exactly_if_it_may_be_sent() -> None:
    for code in range(65536):
        payload = code.to_bytes(2, "big") + "é".encode()
        if 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999:
            close = read_close(payload)
            assert close == Close(code, "é")
            assert type(close.code) is int
            assert pack_close(code, "é") == payload
        else:
            with pytest.raises(Violation) as caught:
                read_close(payload)
            assert caught.value.code == 1002
            with pytest.raises(ArgumentError, match=f"close code {code} may not"):
                pack_close(code)


def test_half_a_close_code_is_a_violation() -> None:
    with pytest.raises(Violation, match="half a code") as caught:
        read_close(b"\x03")
    assert caught.value.code == 1002


def test_a_close_reason_that_is_not_utf8_is_a_violation() -> None:
    with pytest.raises(Violation, match="not UTF-8") as caught:
        read_close(b"\x03\xe8\xff")
    assert caught.value.code == 1007


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (None, "why", "needs a close code"),
        (True, "", "is an integer"),
        ("1000", "", "is an integer"),
        (1005, "", "use 1000, 1001"),
        (1006, "", "use 1000, 1001"),
        (-1, "", "may not be sent"),
        (70000, "", "may not be sent"),
        (1000, "x" * 124, "at most 123 bytes of UTF-8, not 124"),
        (1000, "é" * 62, "at most 123 bytes of UTF-8, not 124"),
        (1000, "\udc80", "lone surrogates"),
        (1000, b"why", "is text, not bytes"),
        (None, 5, "is text, not int"),
    ],
)
def test_a_close_that_cannot_be_sent_is_refused_with_the_remedy(
    code: Any, reason: Any, remedy: str
) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        pack_close(code, reason)


def test_the_longest_reason_fits() -> None:
    assert len(pack_close(1000, "x" * 123)) == 125
    assert pack_close(None) == b""


@given(st.text(), st.integers(0, 130))
def test_text_is_cut_between_characters(text: str, size: int) -> None:
    short = cut(text, size)
    assert len(short.encode()) <= size
    assert text.startswith(short)
