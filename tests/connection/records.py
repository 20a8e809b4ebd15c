"""
What went over a wire, written down, and read the slow way, RFC in hand.

Oracles read this and never ask the connection how it thinks it went.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from wsclient.errors import Close
from wsclient.wire import Feed, Lost, Spawn, Timer, Wire

__all__ = ("Frame", "Reading", "Recorder", "Said", "read")


class Recorder:
    """
    A wire that hands everything on and writes it down.

    Attributes:
        written, fed: all bytes from above and from below.
        order: "written" or "fed", with how many bytes it were then, as it happened.
        told: "eof" or the error that was told from below.
        taken: how many of the written bytes the wire below says the kernel has.
        behind_since: when it did not take all, while that lasts.
        paused: from when to when it was paused last.
        widened: whether more is read at once.
        heard_at: when a byte came last.
        ended_at: when the owner ended it, and ``ended_by`` how.

    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.pulled = wire.pulled
        self.written = bytearray()
        self.fed = bytearray()
        self.order: list[tuple[str, int]] = []
        self.told: str | Exception | None = None
        self.taken = 0
        self.behind_since: float | None = None
        self.paused = (0.0, 0.0)
        self.widened = False
        self.heard_at = wire.time()
        self.ended_at: float | None = None
        self.ended_by = ""

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._wire.extra_attributes

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        def fed(chunk: memoryview | None) -> None:
            assert self.told is None, "fed after the end"
            assert self.ended_at is None, "fed after it was ended"
            if chunk is None:
                self.told = "eof"
            else:
                self.fed += chunk
                self.order.append(("fed", len(self.fed)))
                self.heard_at = self.time()
            feed(chunk)

        def told(error: Exception) -> None:
            assert self.told is None, "lost after the end"
            assert self.ended_at is None, "lost after it was ended"
            self.told = error
            lost(error)

        def emptied() -> None:
            self.taken = len(self.written)
            self.behind_since = None
            drained()

        self._wire.start(fed, told, emptied)

    def write(self, data: bytes) -> bool:
        if self.told is None and self.ended_at is None:
            self.written += data
            self.order.append(("written", len(self.written)))
        taken = self._wire.write(data)
        if taken:
            self.taken = len(self.written)
        elif self.behind_since is None:
            self.behind_since = self.time()
        return taken

    def _ends(self, how: str) -> None:
        if self.ended_at is None:
            self.ended_at, self.ended_by = self.time(), how

    def shutdown(self) -> None:
        self.order.append(("shut down", len(self.written)))
        self._wire.shutdown()

    def finish(self) -> None:
        self._ends("finish")
        self._wire.finish()

    def abort(self) -> None:
        self._ends("abort")
        self._wire.abort()

    async def aclose(self) -> None:
        self._ends("aclose")
        await self._wire.aclose()

    # Handed on as it is.

    def adopt(self, spawn: Spawn) -> None:
        self._wire.adopt(spawn)

    def time(self) -> float:
        return self._wire.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        return self._wire.call_at(when, callback)

    async def flush(self) -> None:
        await self._wire.flush()

    async def pump(self) -> None:
        await self._wire.pump()

    def drain(self, limit: int) -> None:
        self._wire.drain(limit)

    def pause(self) -> None:
        self.paused = self.time(), inf
        self._wire.pause()

    def resume(self) -> None:
        self.paused = self.paused[0], self.time()
        self._wire.resume()

    def widen(self, wide: bool) -> None:
        self.widened = wide
        self._wire.widen(wide)

    @property
    def buffered(self) -> int:
        return self._wire.buffered


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame (RFC 6455, 5.2), unmasked, and where it stands."""

    fin: bool
    rsv1: bool
    opcode: int
    payload: bytes
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Said:
    """A whole message, and where its frames begin and end."""

    message: str | bytes
    begin: int
    end: int


@dataclass(slots=True)
class Reading:
    """
    What bytes mean.

    Attributes:
        head: where the HTTP head ends; None: it does not.
        refused: whether it is a plain HTTP response; nothing more is read then.
        frames: those that are whole.
        end: where the last of them ends.
        said: the whole messages.
        unfinished: the data of the fragments of a message that goes on.
        close, close_end: what the Close frame says, and where it ends.

    """

    head: int | None = None
    refused: bool = False
    frames: list[Frame] = field(default_factory=list)
    end: int = 0
    said: list[Said] = field(default_factory=list)
    unfinished: bytes | None = None
    close: Close | None = None
    close_end: int | None = None

    @property
    def messages(self) -> list[str | bytes]:
        return [said.message for said in self.said]

    def pongs(self) -> list[bytes]:
        return [frame.payload for frame in self.frames if frame.opcode == 0xA]


def read(data: bytes | bytearray, *, masked: bool, deflated: bool) -> Reading:
    """
    Read a head and the frames behind it.

    Raises:
        AssertionError: they break RFC 6455, section 5, or RFC 7692.

    """
    data = bytes(data)
    reading = Reading()
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return reading
    at = reading.head = reading.end = head + 4
    if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 101 "):
        reading.refused, reading.end = True, len(data)
        return reading
    while (frame := _frame(data, at, masked)) is not None:
        assert reading.close is None, "a frame behind a Close frame (5.5.1)"
        reading.frames.append(frame)
        at = reading.end = frame.end
        if frame.opcode == 8:
            reading.close, reading.close_end = _close(frame.payload), frame.end
    if reading.close is not None:
        assert at == len(data), "bytes behind a Close frame (5.5.1)"
    _assemble(reading, deflated)
    return reading


def _frame(data: bytes, begin: int, masked: bool) -> Frame | None:
    if len(data) < begin + 2:
        return None
    first, second = data[begin : begin + 2]
    assert not first & 0x30, "RSV2 or RSV3"
    assert bool(second & 0x80) == masked, "masked as a server, or unmasked as a client"
    at, size = begin + 2, second & 0x7F
    if size > 125:
        wide = 2 if size == 126 else 8
        size = int.from_bytes(data[at : at + wide], "big")
        at += wide
    key = data[at : at + 4] if masked else bytes(4)
    at += 4 * masked
    if len(data) < at + size:
        return None
    payload = _unmasked(data[at : at + size], key)
    frame = Frame(
        bool(first & 0x80), bool(first & 0x40), first & 15, payload, begin, at + size
    )
    assert frame.opcode in (0, 1, 2, 8, 9, 10)
    if frame.opcode >= 8:
        assert frame.fin, "a fragmented control frame (5.5)"
        assert size <= 125, "a long control frame (5.5)"
        assert not frame.rsv1, "a compressed control frame (RFC 7692, 6.1)"
    return frame


def _unmasked(payload: bytes, key: bytes) -> bytes:
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(len(payload), "big")


def _close(payload: bytes) -> Close:
    if not payload:
        return Close(1005)
    return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode())


def _assemble(reading: Reading, deflated: bool) -> None:
    inflate = zlib.decompressobj(-15).decompress
    first: Frame | None = None
    data = b""
    for frame in reading.frames:
        if frame.opcode >= 8:
            continue
        if frame.opcode:
            assert first is None, "a message amid the fragments of another (5.4)"
            first, data = frame, b""
        else:
            assert first is not None, "a continuation of nothing (5.4)"
            assert not frame.rsv1, "RSV1 on a continuation (RFC 7692, 6.1)"
        assert deflated or not frame.rsv1, "compression was not agreed on"
        data += frame.payload
        if frame.fin:
            whole = inflate(data + b"\0\0\xff\xff") if first.rsv1 else data
            message = whole.decode() if first.opcode == 1 else whole
            reading.said.append(Said(message, first.begin, frame.end))
            first = None
    if first is not None:
        reading.unfinished = inflate(data) if first.rsv1 else data
