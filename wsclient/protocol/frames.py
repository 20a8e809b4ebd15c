"""Frame headers and Close payloads: what RFC 6455, section 5, allows on the wire."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ArgumentError, Close
from .codec import mask
from .codes import CloseCode

__all__ = (
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "FIN",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "FrameHeader",
    "Violation",
    "control_payload",
    "cut",
    "maybe_read_compressed",
    "maybe_read_header",
    "pack_close",
    "read_close",
)

FIN = 0x80
RSV1 = 0x40

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})


class Violation(Exception):
    """The peer broke a rule; it never leaves this room (it becomes ``Failed``)."""

    def __init__(self, code: CloseCode, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class FrameHeader(NamedTuple):
    """A frame header; the payload begins at ``start``."""

    fin: bool
    compressed: bool
    opcode: int
    length: int
    key: bytes
    start: int


def maybe_read_header(
    data: bytes, position: int, *, masked: bool, compression: bool
) -> FrameHeader | None:
    """
    Read the header at ``position``; None means that more bytes are needed.

    Each rule is checked as soon as the bytes that break it are there.

    Raises:
        Violation: the header breaks RFC 6455, section 5.2 or 5.5.

    """
    available = len(data) - position
    if available < 1:
        return None
    first = data[position]
    opcode = first & 0x0F
    if first & 0x30 or (first & RSV1 and not compression):
        raise _broken("reserved bits are set")
    if opcode not in _OPCODES:
        raise _broken(f"the opcode {opcode:#x} is not defined")
    # RFC 7692, section 6: the bit belongs to the first frame of a data message.
    if first & RSV1 and opcode not in (TEXT, BINARY):
        raise _broken("the bit for compression is set where it has no meaning")
    if opcode & 0x8 and not first & FIN:
        raise _broken("a control frame is fragmented")
    if available < 2:
        return None
    second = data[position + 1]
    length = second & 0x7F
    if bool(second & 0x80) is not masked:
        raise _broken("a frame is not masked" if masked else "a frame is masked")
    if opcode & 0x8 and length > 125:
        raise _broken("a control frame is longer than 125 bytes")
    start = position + 2
    if length > 125:
        size, least = (2, 126) if length == 126 else (8, 65536)
        start += size
        if len(data) < start:
            return None
        length = int.from_bytes(data[start - size : start], "big")
        if length < least:
            raise _broken("a length is not encoded in the fewest bytes")
        if length >> 63:
            raise _broken("a length has its most significant bit set")
    key = b""
    if masked:
        key = data[start : start + 4]
        start += 4
        if len(data) < start:
            return None
    return FrameHeader(
        bool(first & FIN), bool(first & RSV1), opcode, length, key, start
    )


def maybe_read_compressed(
    data: bytes, position: int, *, masked: bool
) -> tuple[int, bytes, int] | None:
    """
    Read a compressed message that is whole in one frame: opcode, payload, end.

    None stands for whatever else is there, right or wrong:
    :func:`maybe_read_header` tells.

    """
    first = data[position]
    if (first != 0xC1 and first != 0xC2) or position + 1 == len(data):
        return None
    length = data[position + 1] - 0x80 if masked else data[position + 1]
    start = position + 2
    if length > 125:
        size, least = (2, 126) if length == 126 else (8, 65536)
        if length > 127:
            return None
        length = int.from_bytes(data[start : start + size], "big")
        start += size
        if length < least:
            return None
    elif length < 0:
        return None
    if masked:
        start += 4
    end = start + length
    if end > len(data):
        return None
    payload = data[start:end]
    if masked:
        payload = mask(payload, data[start - 4 : start])
    return first & 0x0F, payload, end


def read_close(payload: bytes) -> Close:
    """
    Read the payload of a Close frame; an empty one stands for 1005.

    Raises:
        Violation: it breaks RFC 6455, section 5.5.1 or 7.4.

    """
    if not payload:
        return Close(CloseCode.NO_STATUS_RECEIVED)
    if len(payload) == 1:
        raise _broken("a Close frame has half a code")
    code = CloseCode(int.from_bytes(payload[:2], "big"))
    if not code.is_valid_on_wire:
        raise _broken(f"the close code {int(code)} may not be sent")
    try:
        return Close(int(code), payload[2:].decode())
    except UnicodeDecodeError:
        raise Violation(
            CloseCode.INVALID_PAYLOAD_DATA, "a close reason is not UTF-8"
        ) from None


def pack_close(code: int | None, reason: str = "") -> bytes:
    """
    Return the payload of a Close frame; a code of None makes an empty one.

    Raises:
        ArgumentError: the code may not stand on the wire, or the reason does not fit.

    """
    if not isinstance(reason, str):
        raise ArgumentError(f"a close reason is text, not {type(reason).__name__}")
    if code is None:
        if reason:
            raise ArgumentError("a close reason needs a close code")
        return b""
    if isinstance(code, bool) or not isinstance(code, int):
        raise ArgumentError(f"a close code is an integer, not {code!r}")
    if not (0 <= code <= 0xFFFF and CloseCode(code).is_valid_on_wire):
        raise ArgumentError(
            f"the close code {code} may not be sent; use 1000, 1001, 1008, 1011 or "
            "one of 3000 to 4999"
        )
    try:
        payload = code.to_bytes(2, "big") + reason.encode()
    except UnicodeEncodeError:
        raise ArgumentError("a close reason cannot hold lone surrogates") from None
    if len(payload) > 125:
        raise ArgumentError(
            f"a close reason has at most 123 bytes of UTF-8, not {len(payload) - 2}"
        )
    return payload


def control_payload(payload: bytes) -> bytes:
    """
    Return the payload of a ping or pong as it is sent.

    Raises:
        ArgumentError: it is not bytes, or longer than 125.

    """
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise ArgumentError(
            f"the payload of a ping or pong is bytes, not {type(payload).__name__}"
        )
    payload = bytes(payload)
    if len(payload) > 125:
        raise ArgumentError(
            f"the payload of a ping or pong has at most 125 bytes, not {len(payload)}"
        )
    return payload


def cut(text: str, size: int) -> str:
    """Cut ``text`` to at most ``size`` bytes of UTF-8, between characters."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _broken(detail: str) -> Violation:
    return Violation(CloseCode.PROTOCOL_ERROR, detail)
