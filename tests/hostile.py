"""What hostile peers send, made naively, and how much memory it cost to receive."""

from __future__ import annotations

import gc
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from wsclient.protocol import Deflate, Endpoint, Role, parse_uri

__all__ = (
    "BINARY",
    "CONTINUATION",
    "FIN",
    "KIB",
    "MIB",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "Memory",
    "compressed",
    "cut",
    "fragments",
    "frame",
    "header",
    "measured",
    "victim",
)

KIB = 1 << 10
MIB = 1 << 20

CONTINUATION, TEXT, BINARY, PING, PONG = 0x0, 0x1, 0x2, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40


def victim(role: Role, **settings: object) -> Endpoint:
    """An open endpoint that takes compressed messages; its peer is of no interest."""
    made: dict[str, object] = {"deflate": Deflate(), **settings}
    client = Endpoint(Role.CLIENT, **made)  # type: ignore[arg-type]
    server = Endpoint(Role.SERVER, **made)  # type: ignore[arg-type]
    server.receive_data(client.connect(parse_uri("ws://example.com/")))
    client.receive_data(server.accept())
    return client if role is Role.CLIENT else server


def header(first: int, size: int, *, to: Role) -> bytes:
    """A frame header that announces ``size`` bytes; masked with zeros for a server."""
    masked = 0x80 if to is Role.SERVER else 0
    key = bytes(4) if to is Role.SERVER else b""
    if size < 126:
        return bytes([first, masked | size]) + key
    if size < 1 << 16:
        return bytes([first, masked | 126]) + size.to_bytes(2, "big") + key
    return bytes([first, masked | 127]) + size.to_bytes(8, "big") + key


def frame(first: int, payload: bytes = b"", *, to: Role) -> bytes:
    """A frame; its first byte has the opcode, FIN and RSV1."""
    return header(first, len(payload), to=to) + payload


def fragments(opcode: int, parts: list[bytes], *, to: Role, rsv: int = 0) -> bytes:
    """A message in as many frames as there are parts."""
    last = len(parts) - 1
    return b"".join(
        frame(
            (CONTINUATION if i else opcode | rsv) | (FIN if i == last else 0),
            part,
            to=to,
        )
        for i, part in enumerate(parts)
    )


def compressed(data: bytes) -> bytes:
    """A message's payload as RFC 7692, 7.2.1, makes it, as small as it gets."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of a size."""
    return [data[i : i + size] for i in range(0, len(data), size)]


class Memory:
    """Bytes at the worst moment beyond those at the begin, and those still held."""

    peak = 0
    held = 0


@contextmanager
def measured() -> Iterator[Memory]:
    """Measure what the block allocates, zlib's own memory too."""
    memory = Memory()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield memory
        memory.peak = tracemalloc.get_traced_memory()[1] - before
        gc.collect()
        memory.held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
