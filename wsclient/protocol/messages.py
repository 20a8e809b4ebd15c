"""Messages to frames: what a message is, mask keys, fragments, compression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ..errors import LocalProtocolError, MessageTypeError, utf8
from .codec import encode
from .deflate import Deflater
from .frames import BINARY, CONTINUATION, FIN, RSV1, TEXT

__all__ = ("Data", "KeyPool", "MessageWriter", "as_payload", "check_messages")

Data = str | bytes | bytearray | memoryview
"""A message: text, or binary."""

_BINARY = (bytes, bytearray, memoryview)  # isinstance is slower with a union
_KEYS = tuple(slice(start, start + 4) for start in range(0, 4096, 4))


class KeyPool:
    """
    Mask keys nobody can guess (RFC 6455, section 5.3).

    They are cut from a pool: asking the system for each would be dear. To take one:
    ``next(pool.keys, None) or pool.refill()``, safe between threads.

    """

    __slots__ = ("_random", "keys")

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self.keys: Iterator[bytes] = iter(())

    def refill(self) -> bytes:
        """Begin a new pool and return its first key."""
        keys = map(self._random(4096).__getitem__, _KEYS)
        key = next(keys)
        self.keys = keys
        return key


def as_payload(message: object) -> tuple[int, bytes]:
    """
    Return the opcode and the payload of a message or of a part of one.

    Raises:
        MessageTypeError: it is neither text nor binary.
        ArgumentError: it is text with lone surrogates.

    """
    if type(message) is bytes:
        return BINARY, message
    if isinstance(message, str):
        return TEXT, utf8(message)
    if isinstance(message, _BINARY):
        return BINARY, bytes(message)
    remedy = "send str for a text message, bytes for a binary one"
    if isinstance(message, Mapping):
        remedy = "encode it first, for example with json.dumps()"
    raise MessageTypeError(f"a message cannot be a {type(message).__name__}: {remedy}")


def check_messages(messages: Iterable[object]) -> None:
    """
    See that each is a message.

    Raises:
        MessageTypeError, ArgumentError: as :func:`as_payload`.

    """
    for message in messages:
        kind = type(message)
        if kind is not bytes and not (kind is str and message.isascii()):  # type: ignore[attr-defined]
            as_payload(message)


class MessageWriter:
    """Makes frames of messages, whole or in fragments."""

    __slots__ = ("_compressed", "_deflater", "_opcode", "_pool")

    def __init__(self, *, pool: KeyPool | None, deflater: Deflater | None) -> None:
        self._pool = pool
        self._deflater = deflater
        # The fragmented message being sent: its opcode, 0 between messages.
        self._opcode = 0
        self._compressed = False

    @property
    def fragmenting(self) -> bool:
        """Whether a fragmented message was begun and not yet finished."""
        return self._opcode != 0

    def release(self) -> None:
        """Free the context of compression: nothing will be sent any more."""
        self._deflater = None

    def message(self, message: object, compress: bool | None) -> bytes:
        """Make one frame of a whole message."""
        if type(message) is str:
            try:
                opcode, payload = TEXT, message.encode()
            except UnicodeEncodeError:
                opcode, payload = as_payload(message)  # which says what is wrong
        else:
            opcode, payload = as_payload(message)
        if self._opcode or self._deflater is not None:
            return self._message(opcode, payload, compress)
        pool = self._pool
        key = None if pool is None else next(pool.keys, None) or pool.refill()
        return encode(FIN | opcode, payload, key)

    def _message(self, opcode: int, payload: bytes, compress: bool | None) -> bytes:
        """Make one frame where there is more to look at."""
        if self._opcode:
            raise LocalProtocolError(
                "a fragmented message is being sent: finish it first"
            )
        deflater = self._deflater
        if (
            deflater is not None
            and compress is not False
            and (compress or len(payload) >= deflater.threshold)
        ):
            payload = deflater.compress(payload, last=True)
            opcode |= RSV1
        pool = self._pool
        key = None if pool is None else next(pool.keys, None) or pool.refill()
        return encode(FIN | opcode, payload, key)

    def messages(self, messages: Iterable[object], compress: bool | None) -> bytes:
        """Make one frame of each; none, if one of them is no message."""
        payloads = [as_payload(message) for message in messages]
        if self._deflater is not None or self._opcode:
            return b"".join([self._message(*each, compress) for each in payloads])
        pool = self._pool
        if pool is None:
            return b"".join([encode(FIN | op, data, None) for op, data in payloads])
        return b"".join(
            [
                encode(FIN | op, data, next(pool.keys, None) or pool.refill())
                for op, data in payloads
            ]
        )

    def fragment(
        self, data: object, *, fin: bool, compress: bool | None = None
    ) -> bytes:
        """Make one frame of a fragment; the first one opens the message."""
        opcode, payload = as_payload(data)
        if self._opcode not in (0, opcode):
            kind = "str" if self._opcode == TEXT else "bytes"
            raise MessageTypeError(
                f"each fragment of this message must be {kind}, like its first"
            )
        deflater = self._deflater
        first = opcode
        if self._opcode:
            first = CONTINUATION
        else:
            # A first fragment that is not the last may be the start of much.
            self._compressed = (
                deflater is not None
                and compress is not False
                and (compress or not fin or len(payload) >= deflater.threshold)
            )
            if self._compressed:
                first |= RSV1
        if self._compressed:
            assert deflater is not None
            payload = deflater.compress(payload, last=fin)
        self._opcode = 0 if fin else opcode
        return self.frame(FIN | first if fin else first, payload)

    def frame(self, first: int, payload: bytes) -> bytes:
        """Make one frame of its first byte and its payload."""
        pool = self._pool
        key = None if pool is None else next(pool.keys, None) or pool.refill()
        return encode(first, payload, key)
