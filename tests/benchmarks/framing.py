"""As much of RFC 6455 as a peer in a hurry needs."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ("CLOSE", "PING", "PONG", "Request", "deflated", "frame_of", "frames_in")

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # 1.3
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_KEY = re.compile(rb"(?im)^sec-websocket-key:[ \t]*([^\s]+)")
_OFFER = re.compile(
    rb"(?im)^sec-websocket-extensions:[ \t]*permessage-deflate([^,\r]*)"
)
_BITS = re.compile(rb"server_max_window_bits=(\d+)")


@dataclass(frozen=True, slots=True)
class Request:
    """The request of an opening handshake."""

    head: bytes

    @property
    def path(self) -> list[str]:
        """The parts of the path."""
        return self.head.split(b" ", 2)[1].decode().strip("/").split("/")

    @property
    def bits(self) -> int | None:
        """The window that the client lets us have; None: it wants no compression."""
        offer = _OFFER.search(self.head)
        if offer is None:
            return None
        bits = _BITS.search(offer[1])
        return 15 if bits is None else int(bits[1])

    def answer(self) -> bytes:
        """Accept, compression included if it is offered."""
        key = _KEY.search(self.head)
        assert key is not None, "no WebSocket request"
        accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
        extension = b""
        if self.bits is not None:
            extension = b"Sec-WebSocket-Extensions: permessage-deflate"
            if self.bits != 15:
                extension += b"; server_max_window_bits=%d" % self.bits
            extension += b"\r\n"
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\n%sSec-WebSocket-Accept: %s\r\n\r\n"
            % (extension, accept)
        )


def frame_of(
    payload: bytes, opcode: int = TEXT, *, mask: bool = False, compressed: bool = False
) -> bytes:
    """Build one frame (5.2); the key of a masked one is zero, so it costs nothing."""
    first, size = 0x80 | compressed << 6 | opcode, len(payload)
    masked = mask << 7
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    return head + b"\0\0\0\0" * mask + payload


def frames_in(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take each whole masked frame off the buffer: its opcode, and what it carries."""
    while len(buffer) >= 6:
        size, at = buffer[1] & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:at], "big")
        end = at + 4 + size
        if len(buffer) < end:
            return
        opcode, key = buffer[0] & 0xF, bytes(buffer[at : at + 4])
        payload = bytes(
            byte ^ key[index % 4] for index, byte in enumerate(buffer[at + 4 : end])
        )
        del buffer[:end]
        yield opcode, payload


def deflated(texts: Sequence[bytes], bits: int) -> Iterator[bytes]:
    """
    Compress texts, each with those before it as context (RFC 7692, 7.2.1).

    The first knows of none, so all of them can be said again and again.

    """
    compressor = zlib.compressobj(wbits=-bits)
    for text in texts:
        data = compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)
        yield frame_of(data[:-4], compressed=True)
