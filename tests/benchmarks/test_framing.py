"""The peers speak as much of RFC 6455 and RFC 7692 as they are asked for."""

from __future__ import annotations

import zlib

from .framing import CLOSE, PING, Request, deflated, frame_of, frames_in

# RFC 6455, 1.3
HEAD = b"GET /flood/64 HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"


def offering(offer: bytes) -> Request:
    return Request(HEAD[:-2] + b"Sec-WebSocket-Extensions: " + offer + b"\r\n\r\n")


def test_the_request_tells_the_path_and_is_answered() -> None:
    request = Request(HEAD)
    assert request.path == ["flood", "64"]
    assert request.bits is None
    assert ACCEPT in request.answer()
    assert b"permessage-deflate" not in request.answer()


def test_the_first_offer_of_compression_is_taken() -> None:
    plain = offering(b"permessage-deflate; client_max_window_bits")
    assert plain.bits == 15
    assert b"Extensions: permessage-deflate\r\n" in plain.answer()
    bound = offering(
        b"permessage-deflate; server_max_window_bits=12, permessage-deflate"
    )
    assert bound.bits == 12
    assert b"permessage-deflate; server_max_window_bits=12\r\n" in bound.answer()


def test_frames_are_taken_when_they_are_whole() -> None:
    frames = frame_of(b"x" * 300, mask=True) + b"\x89\x82\x01\x02\x03\x04\x60\x60"
    frames += frame_of(b"", CLOSE, mask=True)
    buffer = bytearray()
    found: list[tuple[int, bytes]] = []
    for byte in frames:
        buffer.append(byte)
        found += frames_in(buffer)
    assert found == [(1, b"x" * 300), (PING, b"ab"), (CLOSE, b"")]


def test_compressed_texts_can_be_said_again_and_again() -> None:
    texts = [f"a text, {number} of many".encode() for number in range(20)]
    frames = [*deflated(texts, 12)]
    assert all(frame[0] == 0xC1 and frame[1] < 126 for frame in frames)
    reader = zlib.decompressobj(wbits=-12)
    for _ in range(3):
        read = [reader.decompress(frame[2:] + b"\0\0\xff\xff") for frame in frames]
        assert read == texts
