"""permessage-deflate: its settings, its negotiation, its two contexts (RFC 7692)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zlib import Z_SYNC_FLUSH

from ..errors import ArgumentError
from .backends import (
    Compressor,
    Decompressor,
    check_backend,
    for_deflating,
    for_inflating,
)
from .codes import CloseCode
from .frames import Violation
from .headers import Extension

__all__ = (
    "Agreed",
    "Deflate",
    "Deflater",
    "Inflater",
    "NegotiationError",
    "accept_offers",
    "check_response",
    "contexts",
    "deflate_of",
)

NAME = "permessage-deflate"
_TAIL = b"\x00\x00\xff\xff"
# A block may end its stream (7.2.3.4), and each stream needs a context of its own;
# no real peer ends more than one or two in a message.
_MAX_STREAMS = 64
_SMALL = 16384  # bytes that may be copied a few times on their way


class NegotiationError(ValueError):
    """The server agreed to what was not offered; it never leaves this room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflate:
    """
    Settings of permessage-deflate (RFC 7692).

    The defaults are modest in memory: 12 bits and memory level 5 make about 50 KiB
    for a connection that has sent and received compressed messages, nothing before and
    nothing after its end. The optional backends are faster and take more.

    Args:
        server_no_context_takeover: the server compresses each message by itself.
        client_no_context_takeover: so does the client.
        server_max_window_bits: the server's window is at most this, 8 to 15; None
            leaves it open.
        client_max_window_bits: the client's window is at most this, 8 to 15; None
            on a client keeps the server from asking for less, on a server asks for
            nothing.
        level: how hard to compress, on zlib's scale: -1 (its default, 6) or 0 to 9.
        mem_level: zlib's memory level, 1 to 9.
        threshold: messages of fewer bytes are not compressed, unless ``send()`` says
            so.
        fallback: a client also offers compression without a limit on the server, as
            second choice, for the many servers that can keep none.
        backend: what compresses: "zlib", "isal", "zlib-ng", or "auto" for the fastest
            installed that does it about as well as zlib at this level. Unless it is
            "zlib", zlib-ng inflates, if it is installed.

    Raises:
        ArgumentError: a number is out of range, or the backend is not installed.

    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = 12
    client_max_window_bits: int | None = 12
    level: int = -1
    mem_level: int = 5
    threshold: int = 0
    fallback: bool = True
    backend: str = "auto"

    def __post_init__(self) -> None:
        check_backend(self.backend)
        for name in ("server_max_window_bits", "client_max_window_bits"):
            bits = getattr(self, name)
            if bits is not None and not _within(bits, 8, 15):
                raise ArgumentError(f"{name} must be 8 to 15 or None, not {bits!r}")
        if not _within(self.level, -1, 9):
            raise ArgumentError(f"level must be -1 to 9, not {self.level!r}")
        if not _within(self.mem_level, 1, 9):
            raise ArgumentError(f"mem_level must be 1 to 9, not {self.mem_level!r}")
        if not _within(self.threshold, 0, 2**63):
            raise ArgumentError(
                f"threshold must be 0 or more bytes, not {self.threshold!r}"
            )

    def offers(self) -> list[Extension]:
        """What a client offers, its first choice first (7.1)."""
        ours: list[tuple[str, str | None]] = []
        if self.client_no_context_takeover:
            ours.append(("client_no_context_takeover", None))
        bits = self.client_max_window_bits
        if bits is not None:
            value = None if bits == 15 else str(bits)
            ours.append(("client_max_window_bits", value))
        theirs: list[tuple[str, str | None]] = []
        if self.server_no_context_takeover:
            theirs.append(("server_no_context_takeover", None))
        if self.server_max_window_bits is not None:
            theirs.append(("server_max_window_bits", str(self.server_max_window_bits)))
        offers: list[Extension] = [(NAME, (*theirs, *ours))]
        if theirs and self.fallback:
            offers.append((NAME, tuple(ours)))
        return offers


def deflate_of(compression: str | Deflate | None) -> Deflate | None:
    """
    Return the settings that ``compression=`` asks for: "deflate" has the defaults.

    Raises:
        ArgumentError: it is none of "deflate", a :class:`Deflate` and None.

    """
    if compression is None or isinstance(compression, Deflate):
        return compression
    if compression == "deflate":
        return Deflate()
    raise ArgumentError(
        f'compression must be "deflate", Deflate(...) or None, not {compression!r}'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What the handshake agreed on; window bits not spoken of are 15."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    client_limits: bool = False
    """In an offer: the client understands ``client_max_window_bits``."""

    def extension(self) -> Extension:
        """Write it as a server's answer."""
        parameters: list[tuple[str, str | None]] = []
        if self.server_no_context_takeover:
            parameters.append(("server_no_context_takeover", None))
        if self.client_no_context_takeover:
            parameters.append(("client_no_context_takeover", None))
        if self.server_max_window_bits is not None:
            parameters.append(
                ("server_max_window_bits", str(self.server_max_window_bits))
            )
        if self.client_max_window_bits is not None:
            parameters.append(
                ("client_max_window_bits", str(self.client_max_window_bits))
            )
        return NAME, tuple(parameters)


def accept_offers(offers: list[Extension], settings: Deflate) -> Agreed | None:
    """Return what a server agrees to: the first offer it can keep, or None (5.1)."""
    for name, parameters in offers:
        if name.lower() != NAME:
            continue
        try:
            offer = _read(parameters, response=False)
        except NegotiationError:
            continue  # 7.1: an offer that is invalid or not understood is declined
        client_bits = None
        if offer.client_limits:
            client_bits = _least(
                offer.client_max_window_bits, settings.client_max_window_bits
            )
        return Agreed(
            server_no_context_takeover=offer.server_no_context_takeover
            or settings.server_no_context_takeover,
            client_no_context_takeover=offer.client_no_context_takeover
            or settings.client_no_context_takeover,
            server_max_window_bits=_least(
                offer.server_max_window_bits, settings.server_max_window_bits
            ),
            client_max_window_bits=client_bits,
        )
    return None


def check_response(
    extensions: list[Extension], settings: Deflate | None
) -> Agreed | None:
    """
    Check a server's answer against what was offered.

    Raises:
        NegotiationError: the client must fail the connection (4.1 of RFC 6455).

    """
    if not extensions:
        return None
    if len(extensions) > 1:
        raise NegotiationError("the server agreed to more than one extension")
    name, parameters = extensions[0]
    if settings is None or name.lower() != NAME:
        raise NegotiationError(f"the server agreed to {name!r}, which was not offered")
    agreed = _read(parameters, response=True)
    fault = ""
    for _, offer in settings.offers():
        fault = _fault(agreed, _read(offer, response=False))
        if not fault:
            return agreed
    raise NegotiationError(f"the server agreed to compression {fault}")


def _fault(agreed: Agreed, offer: Agreed) -> str:
    """Say why a server may not answer ``offer`` with ``agreed`` (7.1.1, 7.1.2)."""
    if offer.server_no_context_takeover and not agreed.server_no_context_takeover:
        return "without server_no_context_takeover, which was asked for"
    most, bits = offer.server_max_window_bits, agreed.server_max_window_bits
    if most and not bits:
        return "without server_max_window_bits, which was asked for"
    if most and bits and bits > most:
        return f"with server_max_window_bits={bits}, more than the {most} offered"
    # The size offered of our own window is a hint: an answer may allow a larger one.
    if agreed.client_limits and not offer.client_limits:
        return "with client_max_window_bits, which was not offered"
    return ""


def _read(parameters: tuple[tuple[str, str | None], ...], *, response: bool) -> Agreed:
    found: dict[str, str | None] = {}
    allowed = _RESPONSE if response else _OFFER
    for name, value in parameters:
        if name not in allowed:
            raise NegotiationError(f"the compression parameter {name} is unknown")
        if name in found:
            raise NegotiationError(f"the compression parameter {name} stands twice")
        if value not in allowed[name]:
            said = name if value is None else f"{name}={value}"
            raise NegotiationError(f"the compression parameter {said} is invalid")
        found[name] = value
    server_bits = found.get("server_max_window_bits")
    client_bits = found.get("client_max_window_bits")
    return Agreed(
        server_no_context_takeover="server_no_context_takeover" in found,
        client_no_context_takeover="client_no_context_takeover" in found,
        server_max_window_bits=None if server_bits is None else int(server_bits),
        client_max_window_bits=None if client_bits is None else int(client_bits),
        client_limits="client_max_window_bits" in found,
    )


# The values a parameter may have; None stands for "no value". Window bits are decimal
# integers without leading zeros (7.1.2).
_FLAG: frozenset[str | None] = frozenset({None})
_BITS: frozenset[str | None] = frozenset(map(str, range(8, 16)))
_RESPONSE = {
    "server_no_context_takeover": _FLAG,
    "client_no_context_takeover": _FLAG,
    "server_max_window_bits": _BITS,
    "client_max_window_bits": _BITS,
}
_OFFER = {**_RESPONSE, "client_max_window_bits": _BITS | _FLAG}


def _least(*bits: int | None) -> int | None:
    return min((value for value in bits if value is not None), default=None)


def _within(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and low <= value <= high


class Deflater:
    """Compresses our messages (7.2.1); its context is created on first use."""

    __slots__ = (
        "_bits",
        "_compressor",
        "_level",
        "_make",
        "_mem_level",
        "_takeover",
        "threshold",
    )

    def __init__(self, *, bits: int, takeover: bool, settings: Deflate) -> None:
        # zlib compresses with no window below 9 bits; a peer who did not ask for 8
        # can read 9.
        self._bits = max(bits, 9)
        self._takeover = takeover
        library, self._level = for_deflating(settings.backend, settings.level)
        self._make: Callable[..., Compressor] = library.compressobj
        self._mem_level = settings.mem_level
        self._compressor: Compressor | None = None
        self.threshold = settings.threshold

    def compress(self, data: bytes, *, last: bool) -> bytes:
        """Compress a fragment of a message, the last one up to its end."""
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._make(
                level=self._level, wbits=-self._bits, memLevel=self._mem_level
            )
        compressed = compressor.compress(data)
        if not last:
            return compressed
        compressed += compressor.flush(Z_SYNC_FLUSH)
        if not self._takeover:
            self._compressor = None
        # 7.2.3.6: zlib says nothing when there is nothing new to flush.
        return compressed[:-4] or b"\x00"


class Inflater:
    """Decompresses the peer's messages (7.2.2); its context is created on first use."""

    __slots__ = (
        "_bits",
        "_decompressor",
        "_error",
        "_fed",
        "_input",
        "_make",
        "_streams",
        "_takeover",
        "more",
    )

    def __init__(self, *, bits: int, takeover: bool, backend: str = "auto") -> None:
        # A window larger than the peer's reads the same; peers whose zlib took 9
        # for 8 exist.
        self._bits = max(bits, 9)
        self._takeover = takeover
        library = for_inflating(backend)
        self._make: Callable[[int], Decompressor] = library.decompressobj
        self._error: type[Exception] = library.error
        self._decompressor: Decompressor | None = None
        # Of the message in progress: input not used yet, whether its stream lacks the
        # tail, and streams ended.
        self._input = b""
        self._fed = False
        self._streams = 0
        # Whether the last call filled its size, so that there may be more.
        self.more = False

    def inflate(self, data: bytes | memoryview, *, last: bool, size: int) -> bytes:
        """
        Inflate a part of a message, the last one up to its end.

        It gives ``size`` bytes at most, 0 for no bound. While :attr:`more`, call it
        again with no data before giving it new ones.

        Raises:
            Violation: the message is corrupt (1007), or made to waste our time (1008).

        """
        if data:
            self._input += data
            self._fed = True
        try:
            inflated = self._inflate(size)
            # 7.2.2: the sender has cut the tail off. A stream that was ended by a
            # final block, or an empty payload, has none to be put back.
            if last and self._fed and self._decompressor is not None and not self.more:
                self._fed = False
                self._input = _TAIL
                inflated += self._inflate(size and size - len(inflated))
        except self._error:
            raise _corrupt() from None
        if last and not self.more:
            self._fed = False
            self._streams = 0
            if not self._takeover:
                self._decompressor = None
        return inflated

    def inflate_whole(self, data: bytes, size: int) -> bytes:
        """Inflate a message that has come at once: as :meth:`inflate`, but sooner."""
        if not 0 < len(data) <= _SMALL:
            return self.inflate(data, last=True, size=size)
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._decompressor = self._make(-self._bits)
        try:
            inflated = decompressor.decompress(data + _TAIL, size)
        except self._error:
            raise _corrupt() from None
        eof = decompressor.eof
        full = 0 < size <= len(inflated)
        if eof or full:
            # Behind a final block comes another stream, or nothing: what is left of
            # the tail is put back later.
            rest = decompressor.unused_data if eof else decompressor.unconsumed_tail
            self._fed = len(rest) >= len(_TAIL)
            self._leave(eof, rest[: -len(_TAIL)] if self._fed else rest, full)
            if not self.more:
                room = size and size - len(inflated)
                inflated += self.inflate(b"", last=True, size=room)
        elif not self._takeover:
            self._decompressor = None
        return inflated

    def _inflate(self, size: int) -> bytes:
        """Use up the input, or give ``size`` bytes."""
        inflated = b""
        while self._input or self.more:
            decompressor = self._decompressor
            if decompressor is None:
                decompressor = self._decompressor = self._make(-self._bits)
            room = size and size - len(inflated)
            inflated += decompressor.decompress(self._input, room)
            full = 0 < size <= len(inflated)
            if decompressor.eof:
                self._leave(True, decompressor.unused_data, full)
            else:
                self._leave(False, decompressor.unconsumed_tail, full)
            if full:
                break
        return inflated

    def _leave(self, eof: bool, rest: bytes, full: bool) -> None:
        """Keep what was not used, for the stream or for the one behind it."""
        self._input = rest
        if not eof:
            self.more = full  # zlib may hold output back even without input
            return
        self.more = full and bool(rest)
        self._decompressor = None
        self._streams += 1
        if self._streams > _MAX_STREAMS:
            raise Violation(
                CloseCode.POLICY_VIOLATION,
                "a compressed message is made of too many streams",
            )


def _corrupt() -> Violation:
    return Violation(CloseCode.INVALID_PAYLOAD_DATA, "a compressed message is corrupt")


def contexts(
    agreed: Agreed, settings: Deflate, *, client: bool
) -> tuple[Inflater, Deflater | None]:
    """Return what reads the peer's messages and what compresses ours, if anything."""
    ours = (agreed.server_max_window_bits, not agreed.server_no_context_takeover)
    theirs = (agreed.client_max_window_bits, not agreed.client_no_context_takeover)
    own = settings.server_max_window_bits
    if client:
        ours, theirs = theirs, ours
        own = settings.client_max_window_bits
        # A client may compress by itself each time without being asked (7.1.1.2).
        takeover = ours[1] and not settings.client_no_context_takeover
    else:
        takeover = ours[1]
    inflater = Inflater(
        bits=theirs[0] or 15, takeover=theirs[1], backend=settings.backend
    )
    if ours[0] == 8:
        # zlib cannot compress with a window of 256 bytes; section 6 lets us send every
        # message as it is.
        return inflater, None
    bits = _least(ours[0], own) or 15
    return inflater, Deflater(bits=bits, takeover=takeover, settings=settings)
