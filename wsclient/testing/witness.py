"""Who hears both sides of a connection and knows what they say, without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

from ..protocol import (
    CloseReceived,
    Deflate,
    Endpoint,
    Failed,
    Limits,
    Ping,
    Pong,
    Role,
    parse_uri,
)
from ..protocol.frames import maybe_read_header
from ..protocol.head import BadHead, HeadReader
from ..protocol.headers import header_values
from .transcript import Body, Head, Raw, What

__all__ = ("Witness", "value_of")

_MOST = 2**60  # a witness refuses nothing for its size
_LIMITS = Limits(
    max_fragments=_MOST,
    max_control_backlog=_MOST,
    max_headers=_MOST,
    max_header_size=_MOST,
    max_head_size=_MOST,
)
# A window of 15 bits that is never reset reads whatever was agreed on (RFC 7692, 7.2).
_DEFLATE = Deflate(server_max_window_bits=None, client_max_window_bits=None)

_status = re.compile(r"HTTP/\d\.\d (\d{3})\b")
_fold = re.compile(r"\r?\n[ \t]+")  # RFC 9112, 5.2


class _Stage(Enum):
    """What the bytes of one side are."""

    HEADS = auto()
    EARLY = auto()  # behind the request, while it is not answered
    FRAMES = auto()
    BODY = auto()
    BROKEN = auto()


class _Voice:
    """One side of a conversation as a witness hears it."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.stage = _Stage.HEADS
        self.deflate = False
        self._heads = HeadReader(_LIMITS)
        self._ear: Endpoint | None = None
        # Since the last byte that ended an event: the bytes, and the events among them.
        self._kept = bytearray()
        self._told = 0

    def hear(self, data: bytes) -> Iterator[What]:
        """Tell what the bytes complete."""
        match self.stage:
            case _Stage.HEADS:
                self._heads.feed(data)
                yield from self._read_heads()
            case _Stage.EARLY:
                self._kept += data
            case _Stage.FRAMES:
                yield from self._read_frames(data)
            case _Stage.BODY:
                yield Body(data)
            case _Stage.BROKEN:
                yield Raw(data)

    def open(self, ear: Endpoint, *, deflate: bool) -> Iterator[What]:
        """From now on there are frames; tell those that came early."""
        self._ear = ear
        self.deflate = deflate
        self.stage = _Stage.FRAMES
        early = bytes(self._kept)
        self._kept.clear()
        yield from self.hear(early)

    def end(self) -> Iterator[What]:
        """Tell what was begun and never completed."""
        if self.stage is _Stage.HEADS and (rest := self._heads.rest()):
            yield _head(rest)
        elif self.stage in (_Stage.EARLY, _Stage.FRAMES) and self._kept:
            yield Raw(bytes(self._kept[self._behind() :]))

    def _read_heads(self) -> Iterator[What]:
        while self.stage is _Stage.HEADS:
            try:
                data = self._heads.maybe_next()
            except BadHead as bad:
                self.stage = _Stage.BROKEN
                yield Raw(self._heads.rest(), bad.detail)
                return
            if data is None:
                return
            head = _head(data)
            self.stage = self._after(head)
            rest = self._heads.rest()
            if self.stage is _Stage.EARLY:
                self._kept += rest
            yield head
            if self.stage in (_Stage.BODY, _Stage.BROKEN) and rest:
                yield from self.hear(rest)

    def _after(self, head: Head) -> _Stage:
        if self.role is Role.CLIENT:
            return _Stage.EARLY
        status = _status.match(head.lines[0])
        if status is None:
            return _Stage.BROKEN
        if status[1] == "101":
            return _Stage.EARLY
        return _Stage.HEADS if status[1][0] == "1" else _Stage.BODY

    def _read_frames(self, data: bytes) -> Iterator[What]:
        ear = self._ear
        assert ear is not None
        self._kept += data
        for event in ear.receive_data(data):
            if isinstance(event, Failed):
                self.stage = _Stage.BROKEN
                yield Raw(bytes(self._kept[self._behind() :]), event.detail)
                return
            # An open endpoint tells nothing else, and nothing in parts unless asked.
            assert isinstance(event, str | bytes | Ping | Pong | CloseReceived)
            self._told += 1
            yield event
        if not ear.half_frame:
            self._kept.clear()
            self._told = 0

    def _behind(self) -> int:
        """Where the bytes begin of which nothing was told."""
        data = bytes(self._kept)
        position = 0
        while self._told:
            header = maybe_read_header(
                data,
                position,
                masked=self.role is Role.CLIENT,
                compression=self.deflate,
            )
            assert header is not None, "what was told was there"
            position = header.start + header.length
            self._told -= header.fin
        return position


class Witness:
    """Hears both sides; the heads decide what the frames mean."""

    def __init__(self) -> None:
        self.voices = {role: _Voice(role) for role in Role}
        self.key = ""
        self._deflate = False

    def hear(self, by: Role, data: bytes) -> Iterator[tuple[Role, What]]:
        """Tell who said what."""
        for what in self.voices[by].hear(data):
            self._learn(by, what)
            yield by, what
        if all(voice.stage is _Stage.EARLY for voice in self.voices.values()):
            for role, ear in self._ears():
                for what in self.voices[role].open(ear, deflate=self._deflate):
                    yield role, what

    def _learn(self, by: Role, what: What) -> None:
        if not isinstance(what, Head):
            return
        if by is Role.CLIENT:
            self.key = value_of(what, "Sec-WebSocket-Key")
        else:
            extensions = value_of(what, "Sec-WebSocket-Extensions")
            self._deflate = "permessage-deflate" in extensions.lower()

    def _ears(self) -> Iterator[tuple[Role, Endpoint]]:
        """Open two endpoints with each other, each to hear what the other one would."""
        deflate = _DEFLATE if self._deflate else None
        client, server = (
            Endpoint(role, max_message_size=None, limits=_LIMITS, deflate=deflate)
            for role in Role
        )
        server.receive_data(client.connect(parse_uri("ws://witness.invalid/")))
        client.receive_data(server.accept())
        yield Role.CLIENT, server
        yield Role.SERVER, client


def _head(data: bytes) -> Head:
    text = _fold.sub(" ", data.decode("latin-1"))
    lines = re.split("\r?\n", text)
    return Head(tuple(lines[:-1] if text.endswith("\n") else lines))


def value_of(head: Head, name: str) -> str:
    """Return the values of a header."""
    pairs = (line.partition(":")[::2] for line in head.lines[1:])
    found = header_values(((key.strip(), value.strip()) for key, value in pairs), name)
    return ", ".join(found)
