"""Frames to messages: fragments, UTF-8, size, decompression, delivery."""

from __future__ import annotations

import sys
from codecs import utf_8_decode
from enum import Enum

from ..errors import Close
from .codec import mask, scan
from .codes import CloseCode
from .deflate import Inflater
from .events import CloseReceived, Event, Part, Ping, Pong
from .frames import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    FrameHeader,
    Violation,
    maybe_read_compressed,
    maybe_read_header,
    read_close,
)
from .limits import Limits

__all__ = ("Delivery", "MessageReader")

PIECE = 65536  # bytes of a compressed message inflated at a time, if told in parts


class Delivery(Enum):
    """How a message is delivered."""

    WHOLE = "whole"
    IN_PARTS = "in parts, as it comes"
    DROPPED = "not at all"


# Looked up once: Python 3.11 takes its time for enum members.
_WHOLE, _IN_PARTS, _DROPPED = Delivery


class MessageReader:
    """
    Reads frames and makes messages of them.

    What is incomplete is kept; nothing is reserved for a length merely announced. One
    message at a time may be told in parts instead, or dropped.

    """

    __slots__ = (
        "_bound",
        "_checked",
        "_compressed",
        "_controls",
        "_delivery",
        "_dropped",
        "_due",
        "_fin",
        "_fragments",
        "_hold",
        "_inflater",
        "_key",
        "_limit",
        "_masked",
        "_max_controls",
        "_max_fragments",
        "_next",
        "_payload",
        "_remaining",
        "_tail",
        "_text",
        "close",
        "held",
        "pings",
    )

    def __init__(
        self,
        *,
        masked: bool,
        max_message_size: int | None,
        limits: Limits,
        inflater: Inflater | None,
        hold_oversized: bool = False,
    ) -> None:
        self._masked = masked
        self._hold = hold_oversized
        self._limit = sys.maxsize if max_message_size is None else max_message_size
        # To inflate at most: one byte more than the limit tells "exactly" from "too
        # much"; 0 is no bound.
        self._bound = 0 if max_message_size is None else max_message_size + 1
        self._max_fragments = limits.max_fragments
        self._max_controls = limits.max_control_backlog
        self._inflater = inflater
        # What stands before a whole frame header, or a whole control frame, or behind
        # a part that is held.
        self._tail = b""
        # The data frame being read: bytes to come, and how to unmask them.
        self._remaining = 0
        self._fin = False
        self._key = b""
        # The message in progress; None between messages. Of one that is not kept it
        # holds what could not be told yet: half a character.
        self._payload: bytearray | None = None
        self._text = False
        self._compressed = False
        self._checked = 0
        self._fragments = 0
        self._controls = 0
        self._delivery = _WHOLE
        self._dropped = 0
        # What becomes of the next; whether it was decided anew; whether reading stopped
        # behind a part, or at a message that is too large to be kept.
        self._next = _WHOLE
        self._due = False
        self.held = False
        # For the endpoint to take: the pings, and the Close frame.
        self.pings: list[bytes] = []
        self.close: Close | None = None

    @property
    def half_frame(self) -> bool:
        """Whether a part of a frame or message is kept."""
        return bool(self._tail) or self._payload is not None

    def decide(self, delivery: Delivery, told: str | bytes = b"") -> None:
        """Decide on the message in progress or the next; what is dropped stays so."""
        if self._payload is None or self._delivery is _DROPPED:
            self._next = delivery
            return
        if delivery is _WHOLE:
            told = told.encode() if isinstance(told, str) else told
            self._payload[:0] = told
            self._checked = len(told)
        self._delivery = delivery
        self._dropped = 0
        self._due = True

    def feed(self, data: bytes | memoryview, events: list[Event]) -> bool:
        """
        Append what ``data`` completes to ``events``; stop at a Close frame.

        Return whether that are whole messages, and nothing else is to be looked at.

        While :attr:`held`, a call with no data gives the next part, or refuses what is
        too large and still to be kept.

        Raises:
            Violation: the peer broke a rule; what was good before is in ``events``.

        """
        uneventful = self._delivery is self._next is _WHOLE
        if self._due or self.held:
            uneventful = False
            self._go_on(events)
        elif self._remaining and data:
            # What goes on with a frame is taken by itself: it may be all there is.
            size = min(self._remaining, len(data))
            self._take(data[:size], 0, events)
            data = data[size:]
        if self._tail:
            data = self._tail + data
            self._tail = b""
        position = 0
        end = len(data)
        while position < end and not self.held and self.close is None:
            if self._remaining:
                position = self._take(data, position, events)
                continue
            whole = self._payload is None and self._next is _WHOLE
            if whole:
                position = scan(data, position, self._limit, self._masked, events)
                if position == end:
                    return uneventful
            if type(data) is not bytes:  # most often all was taken, uncopied
                data = bytes(data[position:])
                position, end = 0, len(data)
            if whole and self._inflater is not None:
                begin = position
                position = self._scan_compressed(data, begin, events)
                if position != begin:
                    continue
            header = maybe_read_header(
                data,
                position,
                masked=self._masked,
                compression=self._inflater is not None,
            )
            if header is None or (
                header.opcode & 0x8 and header.start + header.length > end
            ):
                self._tail = data[position:]
                return uneventful
            if header.opcode & 0x8:
                uneventful = False
                position = header.start + header.length
                self._control(header, data[header.start : position], events)
            else:
                self._begin(header)
                position = header.start
                if not header.length:
                    self._add(b"", events)
        if self.held:
            self._tail = bytes(data[position:])
            return False
        return uneventful

    def _go_on(self, events: list[Event]) -> None:
        """Do what was decided on the message in progress, or give its next part."""
        if not self._due and self._delivery is _WHOLE:
            raise _too_big("a message")
        self._due = self.held = False
        self._refuse_too_big()
        if not self.held:
            self._add(b"", events)

    def _control(
        self, header: FrameHeader, payload: bytes, events: list[Event]
    ) -> None:
        if self._payload is not None:
            self._controls += 1
            if self._controls > self._max_controls:
                raise Violation(
                    CloseCode.POLICY_VIOLATION, "too many control frames in a message"
                )
        if header.key:
            payload = mask(payload, header.key)
        if header.opcode == CLOSE:
            self.close = read_close(payload)
            events.append(CloseReceived(self.close.code, self.close.reason))
        elif header.opcode == PING:
            self.pings.append(payload)
            events.append(Ping(payload))
        else:
            events.append(Pong(payload))

    def _begin(self, header: FrameHeader) -> None:
        """Check a data frame against the message in progress (5.4)."""
        if header.opcode == CONTINUATION:
            if self._payload is None:
                raise Violation(
                    CloseCode.PROTOCOL_ERROR, "a continuation continues no message"
                )
        elif self._payload is not None:
            raise Violation(
                CloseCode.PROTOCOL_ERROR, "a message begins inside another one"
            )
        else:
            self._payload = bytearray()
            self._text = header.opcode == TEXT
            self._compressed = header.compressed
            self._checked = 0
            self._fragments = 0
            self._delivery, self._next = self._next, _WHOLE
            self._dropped = 0
        self._controls = 0
        self._fragments += 1
        if self._fragments > self._max_fragments:
            raise Violation(
                CloseCode.POLICY_VIOLATION, "a message has too many fragments"
            )
        self._remaining = header.length
        self._fin = header.fin
        self._key = header.key
        self._refuse_too_big()

    def _refuse_too_big(self) -> None:
        """Refuse to keep more than the limit, also if it is only announced."""
        if self._delivery is _WHOLE and self._payload is not None:
            announced = 0 if self._compressed else self._remaining
            if len(self._payload) + announced > self._limit:
                self._stop_at_oversized("a message")

    def _stop_at_oversized(self, what: str) -> None:
        if not self._hold:
            raise _too_big(what)
        self.held = True

    def _take(
        self, data: bytes | memoryview, position: int, events: list[Event]
    ) -> int:
        """Take what is there of the frame's payload; return where it ends."""
        chunk = data[position : position + self._remaining]
        size = len(chunk)
        self._remaining -= size
        key = self._key
        if key:
            chunk = mask(chunk, key)
            turn = size & 3
            self._key = key[turn:] + key[:turn]
        self._add(chunk, events)
        return position + size

    def _add(self, chunk: bytes | memoryview, events: list[Event]) -> None:
        """Add to the message in progress; at its last byte it ends."""
        last = self._fin and not self._remaining
        try:
            if self._delivery is _WHOLE:
                self._keep(chunk, last, events)
            else:
                self._pass_on(chunk, last, events)
        except UnicodeDecodeError:
            raise _no_utf8() from None

    def _keep(self, chunk: bytes | memoryview, last: bool, events: list[Event]) -> None:
        payload = self._payload
        assert payload is not None
        if self._compressed:
            assert self._inflater is not None
            had = len(payload)
            size = self._bound and self._bound - had
            chunk = self._inflater.inflate(chunk, last=last, size=size)
            if had + len(chunk) > self._limit:
                payload += chunk
                self._stop_at_oversized("a compressed message")
                return
        had = len(payload)
        if last and not had:
            message: bytes | bytearray | memoryview = chunk
        else:
            payload += chunk
            message = payload
        if last:
            events.append(str(message, "utf-8") if self._text else bytes(message))
            self._payload = None
        elif self._text and self._checked == had and _is_ascii(chunk):
            self._checked += len(chunk)
        elif self._text:
            # 8.1: fail as soon as no continuation could make it UTF-8.
            unchecked = payload[self._checked :]
            self._checked += decode_whole(unchecked, fin=False)[1]

    def _scan_compressed(self, data: bytes, position: int, events: list[Event]) -> int:
        """Take messages as ``scan()`` does, but the compressed ones."""
        inflater = self._inflater
        assert inflater is not None
        end, masked, bound = len(data), self._masked, self._bound
        try:
            while position < end:
                frame = maybe_read_compressed(data, position, masked=masked)
                if frame is None:
                    break
                opcode, payload, position = frame
                message = inflater.inflate_whole(payload, bound)
                if 0 < bound <= len(message):
                    self._begin(FrameHeader(True, True, opcode, 0, b"", position))
                    self._payload = bytearray(message)  # it may be told in parts yet
                    self._stop_at_oversized("a compressed message")
                    break
                events.append(message.decode() if opcode == TEXT else message)
        except UnicodeDecodeError:
            raise _no_utf8() from None
        return position

    def _pass_on(
        self, chunk: bytes | memoryview, last: bool, events: list[Event]
    ) -> None:
        """Tell or drop a part; what inflates to more than a piece is held."""
        payload = self._payload
        assert payload is not None
        more = True
        while more:
            more = False
            if self._compressed:
                assert self._inflater is not None
                chunk = self._inflater.inflate(chunk, last=last, size=PIECE)
                more = self._inflater.more
            payload += chunk
            chunk = b""
            fin = last and not more
            data: str | bytes = bytes(payload)
            size = len(payload)
            if self._text:
                data, size = decode_whole(payload, fin=fin)
            del payload[:size]
            if size:
                self._fragments = 0  # empty ones in a row count
            if self._delivery is _DROPPED:
                self._dropped += size
                if self._dropped > self._limit:
                    raise _too_big("the rest of a message that is not wanted")
            elif data or fin:
                events.append(Part(data, fin))
                self.held = more
                break
        if last and not more:
            self._payload = None
            self._delivery = _WHOLE


def _is_ascii(data: bytes | memoryview) -> bool:
    """Tell whether all is ASCII, by parts that stay in the processor's cache."""
    parts = range(0, len(data), PIECE)
    return all(bytes(data[begin : begin + PIECE]).isascii() for begin in parts)


def decode_whole(data: bytearray, *, fin: bool) -> tuple[str, int]:
    """
    Decode the characters that are whole; return them and the bytes they took.

    Raises:
        UnicodeDecodeError: the rest is no beginning of a character.

    """
    text, size = utf_8_decode(data, "strict", fin)
    # CPython leaves the first two bytes of a surrogate open.
    if data[size : size + 1] == b"\xed" and data[size + 1 :] > b"\x9f":
        utf_8_decode(data, "strict", True)
    return text, size


def _no_utf8() -> Violation:
    return Violation(CloseCode.INVALID_PAYLOAD_DATA, "a text message is not UTF-8")


def _too_big(what: str) -> Violation:
    return Violation(
        CloseCode.MESSAGE_TOO_BIG, f"{what} is larger than max_message_size"
    )
