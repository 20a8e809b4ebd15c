"""The hot loops in pure Python: scan whole data frames, mask, encode."""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import Any

__all__ = ("encode", "mask", "scan")

# Above this size, four strided translations beat one XOR of large integers.
_SMALL = 320
_IDENTITY = bytes(range(256))

# Looked up once; for int.from_bytes Python makes a new method object each time.
_number = int.from_bytes
_head = Struct("!BB").pack
_long_head = Struct("!BBH").pack
_longest_head = Struct("!BBQ").pack
_masked_head = Struct("!BB4s").pack


@cache
def _table(byte: int) -> bytes:
    """Every byte XORed with ``byte``."""
    return mask(_IDENTITY, bytes((byte,)) * 4)


def _mask_large(data: bytes | bytearray | memoryview, key: bytes) -> bytearray:
    masked = bytearray(data)
    for offset, byte in enumerate(key):
        # bytearray.translate() is twice as fast as that of bytes.
        masked[offset::4] = masked[offset::4].translate(_table(byte))
    return masked


def mask(data: bytes | memoryview, key: bytes) -> bytes:
    """XOR ``data`` with the four bytes of ``key``, over and over (5.3)."""
    size = len(data)
    if size > _SMALL:
        return bytes(_mask_large(data, key))
    keys = (key * ((size + 3) >> 2))[:size]
    return (_number(data, "big") ^ _number(keys, "big")).to_bytes(size, "big")


def encode(first: int, payload: bytes, key: bytes | None) -> bytes:
    """Make a frame of its first byte and its payload; a client gives a key (5.2)."""
    size = len(payload)
    if key is None:
        if size < 126:
            return _head(first, size) + payload
        if size < 65536:
            return _long_head(first, 126, size) + payload
        return _longest_head(first, 127, size) + payload
    if size < 126:
        masked = _number(payload, "big") ^ _number((key * 32)[:size], "big")
        return _masked_head(first, 0x80 | size, key) + masked.to_bytes(size, "big")
    if size < 65536:
        head = _long_head(first, 254, size) + key
    else:
        head = _longest_head(first, 255, size) + key
    return head + (mask(payload, key) if size <= _SMALL else _mask_large(payload, key))


def scan(
    data: bytes | memoryview,
    position: int,
    limit: int,
    masked: bool,
    messages: list[Any],
) -> int:
    """
    Append each whole, unfragmented, uncompressed, valid message to ``messages``.

    It begins at ``position`` and returns where it stopped: at the end, or at the
    first frame that is anything else, or longer than ``limit``.

    """
    if type(data) is not bytes:  # whose slices are slow
        data = bytes(data)
    # The two loops are twins, spelled out: a call for each frame would cost as much as
    # the frame. A header cut short by the end gives a frame that ends beyond it.
    if masked:
        return _scan_masked(data, position, limit, messages)
    end = len(data)
    last = end - 1
    append = messages.append
    number = _number
    try:
        while position < last:
            first = data[position]
            if first != 0x81 and first != 0x82:
                break
            length = data[position + 1]
            start = position + 2
            if length > 125:
                if length == 126:
                    start = position + 4
                    length = number(data[position + 2 : start], "big")
                    if length < 126:
                        break
                elif length == 127:
                    start = position + 10
                    length = number(data[position + 2 : start], "big")
                    if length < 65536:
                        break
                else:
                    break
            stop = start + length
            if stop > end or length > limit:
                break
            if first == 0x81:
                append(data[start:stop].decode())
            else:
                append(data[start:stop])
            position = stop
    except UnicodeDecodeError:
        pass  # the frame at this position is the general path's to refuse
    return position


def _scan_masked(data: bytes, position: int, limit: int, messages: list[Any]) -> int:
    end = len(data)
    last = end - 1
    append = messages.append
    number = _number
    try:
        while position < last:
            first = data[position]
            if first != 0x81 and first != 0x82:
                break
            length = data[position + 1] - 0x80
            start = position + 6
            if length > 125:
                if length == 126:
                    start = position + 8
                    length = number(data[position + 2 : position + 4], "big")
                    if length < 126:
                        break
                else:
                    start = position + 14
                    length = number(data[position + 2 : position + 10], "big")
                    if length < 65536:
                        break
            elif length < 0:
                break
            stop = start + length
            if stop > end or length > limit:
                break
            key = data[start - 4 : start]
            if length > _SMALL:
                masked = _mask_large(data[start:stop], key)
                append(masked.decode() if first == 0x81 else bytes(masked))
            else:
                keys = (key * ((length + 3) >> 2))[:length]
                payload = (
                    number(data[start:stop], "big") ^ number(keys, "big")
                ).to_bytes(length, "big")
                append(payload.decode() if first == 0x81 else payload)
            position = stop
    except UnicodeDecodeError:
        pass  # the frame at this position is the general path's to refuse
    return position
