"""Second opinions: readers that are slow, small and by the letter of the RFCs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from wsclient.protocol import (
    CloseCode,
    CloseReceived,
    Event,
    Headers,
    Limits,
    Ping,
    Pong,
    Role,
)
from wsclient.protocol.headers import parse_extensions

# RFC 3629, section 4, and what such a character can begin with.
_UTF8 = re.compile(
    rb"""(?: [\x00-\x7f]++
           | [\xc2-\xdf] [\x80-\xbf]
           | (?: \xe0 [\xa0-\xbf] | \xed [\x80-\x9f]
               | [\xe1-\xec\xee\xef] [\x80-\xbf] ) [\x80-\xbf]
           | (?: \xf0 [\x90-\xbf] | \xf4 [\x80-\x8f]
               | [\xf1-\xf3] [\x80-\xbf] ) [\x80-\xbf]{2}
         )*+""",
    re.VERBOSE,
)
_BEGINNING = re.compile(
    rb"""(?: [\xc2-\xf4]
           | \xe0 [\xa0-\xbf] | \xed [\x80-\x9f] | [\xe1-\xec\xee\xef] [\x80-\xbf]
           | (?: \xf0 [\x90-\xbf] | \xf4 [\x80-\x8f]
               | [\xf1-\xf3] [\x80-\xbf] ) [\x80-\xbf]?
         )?""",
    re.VERBOSE,
)


def may_be_utf8(data: bytes, *, fin: bool) -> bool:
    """Whether it is UTF-8, or at least can become it while there is more to come."""
    whole = _UTF8.match(data)
    assert whole is not None
    return whole.end() == len(data) or (
        not fin and _BEGINNING.fullmatch(data, whole.end()) is not None
    )


LIMITS = Limits()


class Frame(NamedTuple):
    """A frame, unmasked; None stands for what has not come yet."""

    first: int
    masked: bool | None
    short: int | None
    """The length that stands in the second byte."""
    length: int | None
    payload: bytes | None
    """As much of it as there is."""
    rest: bytes

    @property
    def opcode(self) -> int:
        """What it is; 8 and more are control frames."""
        return self.first & 0x0F

    @property
    def fin(self) -> bool:
        """Whether it is the last of its message."""
        return bool(self.first & 0x80)

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        return self.payload is not None and len(self.payload) == self.length

    @property
    def shortest(self) -> bool:
        """Whether the length is written in the fewest bytes, as far as is known."""
        least = {126: 126, 127: 65536}.get(self.short or 0, 0)
        return self.length is None or least <= self.length < 1 << 63


def unframe(data: bytes) -> Frame:
    """Take the first frame off, or what there is of it."""
    if len(data) < 2:
        return Frame(data[0], None, None, None, None, b"")
    masked, short = bool(data[1] & 0x80), data[1] & 0x7F
    start = 2 + {126: 2, 127: 8}.get(short, 0)
    length = int.from_bytes(data[2:start], "big") if start > 2 else short
    if len(data) < start:
        return Frame(data[0], masked, short, None, None, b"")
    key = data[start : start + 4] if masked else bytes(4)
    start += 4 if masked else 0
    if len(data) < start:
        return Frame(data[0], masked, short, length, None, b"")
    payload = data[start : start + length]
    payload = bytes(byte ^ key[i & 3] for i, byte in enumerate(payload))
    return Frame(data[0], masked, short, length, payload, data[start + length :])


class Naive:
    """
    Reads frames that are not compressed (RFC 6455, section 5).

    ``end`` is the close code of what broke a rule, 0 for the peer's Close frame.
    ``sure`` is False where something compressed came: it cannot tell what it means.

    """

    def __init__(
        self,
        *,
        masked: bool,
        size: int | None = None,
        limits: Limits = LIMITS,
        compression: bool = False,
    ) -> None:
        self.masked = masked
        self.size = size
        self.limits = limits
        self.compression = compression
        self.events: list[Event] = []
        self.end: int | None = None
        self.sure = True
        self.message: bytes | None = None
        self.controls = 0

    def read(self, data: bytes) -> None:
        """Read up to the end, or to the first frame that ends all."""
        while data and self.end is None and self.sure:
            frame = unframe(data)
            data = frame.rest
            if self.breaks(frame):
                self.end = 1002
            elif frame.payload is None:
                return
            elif frame.first & 0x40:
                self.sure = False
            elif frame.opcode < 8:
                self.fragment(frame, frame.payload)
            elif frame.whole:
                self.control(frame.opcode, frame.payload)

    def breaks(self, frame: Frame) -> bool:
        """Whether what there is of the header breaks a rule (5.2, 5.5)."""
        reserved = 0x30 if self.compression and frame.opcode in (1, 2) else 0x70
        return (
            bool(frame.first & reserved)
            or frame.opcode not in (0, 1, 2, 8, 9, 10)
            or frame.masked not in (None, self.masked)
            or not frame.shortest
            or (frame.opcode >= 8 and (not frame.fin or (frame.short or 0) > 125))
        )

    def control(self, opcode: int, payload: bytes) -> None:
        """Take a control frame (5.5)."""
        self.controls = self.controls + 1 if self.message is not None else 0
        if self.controls > self.limits.max_control_backlog:
            self.end = 1008
        elif opcode == 9:
            self.events.append(Ping(payload))
        elif opcode == 10:
            self.events.append(Pong(payload))
        else:
            self.end = self.close(payload)

    def close(self, payload: bytes) -> int:
        """Take a Close frame (5.5.1)."""
        code = CloseCode(int.from_bytes(payload[:2], "big"))
        if payload and (len(payload) == 1 or not code.is_valid_on_wire):
            return 1002
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            return 1007
        self.events.append(CloseReceived(int(code) if payload else 1005, reason))
        return 0

    def fragment(self, frame: Frame, payload: bytes) -> None:
        """Take a frame of a message, or what there is of it (5.4, 5.6)."""
        if (frame.opcode == 0) is (self.message is None):
            self.end = 1002
            return
        if self.message is None:
            self.message = b""
            self.fragments = 0
            self.text = frame.opcode == 1
        announced = len(self.message) + (frame.length or 0)
        self.message += payload
        self.fragments += 1
        self.controls = 0
        fin = frame.fin and frame.whole
        if self.fragments > self.limits.max_fragments:
            self.end = 1008
        elif self.size is not None and announced > self.size:
            self.end = 1009
        elif self.text and not may_be_utf8(self.message, fin=fin):
            self.end = 1007
        elif fin:
            self.events.append(self.message.decode() if self.text else self.message)
            self.message = None


_HEAD = re.compile(rb"([^\n]*)\n(?:\r?[^\r\n][^\n]*\n)*\r?\n")


def behind_head(data: bytes, words: bytes) -> bytes:
    """Return what stands behind the first head with these words in its first line."""
    position = 0
    while found := _HEAD.match(data, position):
        position = found.end()
        if words in found[1]:
            break
    return data[position:]


Parameters = Sequence[tuple[str, str | None]]
"""The parameters of permessage-deflate, in an offer or in an answer."""


def agreed_parameters(headers: Headers) -> Parameters | None:
    """Return what a 101 agrees on; None without compression."""
    values = [value for name, value in headers if name == "sec-websocket-extensions"]
    for name, parameters in parse_extensions(values):
        assert name.lower() == "permessage-deflate"
        return parameters
    return None


_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_SERVER_BITS, _CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
_NUMBERS = [str(bits) for bits in range(8, 16)]


def is_offer(parameters: Parameters) -> bool:
    """Whether each parameter stands once and has the value it may have (7.1)."""
    return is_answer(
        [pair for pair in parameters if pair != (_CLIENT_BITS, None)]
    ) and (len({name for name, _ in parameters}) == len(parameters))


def is_answer(parameters: Parameters) -> bool:
    """The same for an answer, in which no window is without its size."""
    return len({name for name, _ in parameters}) == len(parameters) and all(
        value is None
        if name in _FLAGS
        else name in (_SERVER_BITS, _CLIENT_BITS) and value in _NUMBERS
        for name, value in parameters
    )


def may_answer(offered: Parameters, answered: Parameters) -> bool:
    """Whether a server may answer an offer so (RFC 7692, 7.1)."""
    offer, answer = dict(offered), dict(answered)
    if _FLAGS[0] in offer and _FLAGS[0] not in answer:
        return False
    limit = offer.get(_SERVER_BITS)
    if limit is not None and int(answer.get(_SERVER_BITS) or 99) > int(limit):
        return False
    # 7.1.2.2: the size that a client offers of its own window is but a hint.
    return _CLIENT_BITS not in answer or _CLIENT_BITS in offer


class NaiveInflater:
    """Inflates what ``sender`` says with nothing but zlib, to any size."""

    def __init__(self, agreed: Parameters, sender: Role) -> None:
        found = dict(agreed)
        bits = int(found.get(f"{sender.value}_max_window_bits") or 15)
        self.bits = max(bits, 9)  # zlib has no less
        self.takeover = f"{sender.value}_no_context_takeover" not in found
        self.zlib: zlib._Decompress | None = None
        self.streams = 0

    def inflate(self, payload: bytes, *, fin: bool = True) -> bytes:
        """Return what a message says, or raise ``zlib.error``."""
        self.streams = 0
        inflated = self.feed(payload)
        # RFC 7692, 7.2.2; nothing stands behind nothing, nor behind a final block.
        if fin and payload and self.zlib is not None:
            inflated += self.feed(b"\0\0\xff\xff")
        if not self.takeover:
            self.zlib = None
        return inflated

    def feed(self, data: bytes) -> bytes:
        """Inflate one stream behind the other."""
        inflated = b""
        while data:
            if self.zlib is None:
                self.zlib = zlib.decompressobj(-self.bits)
            inflated += self.zlib.decompress(data)
            data = b""
            if self.zlib.eof:
                data, self.zlib = self.zlib.unused_data, None
                self.streams += 1
        return inflated
