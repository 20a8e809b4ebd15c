"""Compressed messages to and from a peer that is nothing but zlib (RFC 7692, 7.2)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import shake_128
from itertools import combinations_with_replacement, product

import pytest

from wsclient.protocol import Deflate, Endpoint, Event, Failed, Ping, Pong, Role

Frame = Callable[..., bytes]
Pair = Callable[..., tuple[Endpoint, Endpoint]]

TAIL = b"\x00\x00\xff\xff"
RSV1 = 4
NOISE = shake_128(b"noise").digest(3000)
BITS = range(8, 16)
OPEN = Deflate(server_max_window_bits=None, client_max_window_bits=15)


@pytest.fixture(params=["client", "server"])
def role(request: pytest.FixtureRequest) -> Role:
    """The role of the end under test."""
    return Role(request.param)


@pytest.fixture
def frame(role: Role, from_client: Frame, from_server: Frame) -> Frame:
    """Make a frame as the peer would."""
    return from_server if role is Role.CLIENT else from_client


@pytest.fixture
def end(role: Role, pair: Pair, backend: str) -> Callable[..., Endpoint]:
    """Make the end under test, with compression agreed on."""

    def make(client: Deflate = OPEN, server: Deflate = OPEN) -> Endpoint:
        ends = pair(replace(client, backend=backend), replace(server, backend=backend))
        return ends[0 if role is Role.CLIENT else 1]

    return make


def taking(role: Role, *, ours: bool, bits: int = 15, drops: bool = False) -> Deflate:
    """Settings that make one sender, us or the peer, compress like this."""
    if ours is (role is Role.CLIENT):
        return Deflate(
            server_max_window_bits=None,
            client_max_window_bits=bits,
            client_no_context_takeover=drops,
        )
    return Deflate(
        server_max_window_bits=bits,
        client_max_window_bits=15,
        server_no_context_takeover=drops,
    )


class Peer:
    """Compresses and inflates with zlib alone, as section 7.2 says."""

    def __init__(self, bits: int = 15, *, drops: bool = False) -> None:
        self.bits = bits
        self.drops = drops
        self.compressor: zlib._Compress | None = None
        self.decompressor: zlib._Decompress | None = None

    def compress(self, data: bytes) -> bytes:
        if self.drops or self.compressor is None:
            # zlib makes no window of 256 bytes, but one of 512 reaches back 250 only.
            self.compressor = zlib.compressobj(wbits=-max(self.bits, 9))
        compressed = self.compressor.compress(data)
        compressed += self.compressor.flush(zlib.Z_SYNC_FLUSH)
        assert compressed == b"" or compressed.endswith(TAIL)
        return compressed[:-4] or b"\x00"

    def inflate(self, payload: bytes) -> bytes:
        if self.drops or self.decompressor is None:
            self.decompressor = zlib.decompressobj(-self.bits)
        # Byte by byte: zlib enforces its window only on what an earlier call gave.
        payload += TAIL
        return b"".join(
            self.decompressor.decompress(payload[i : i + 1])
            for i in range(len(payload))
        )


def payloads(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take frames apart the slow way: the first byte and the payload of each."""
    while data:
        first, length = data[0], data[1] & 0x7F
        start = 2
        if length > 125:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start], "big")
        key = b""
        if data[1] & 0x80:
            key, start = data[start : start + 4], start + 4
        body, data = data[start : start + length], data[start + length :]
        yield (
            first,
            bytes(byte ^ key[i % 4] if key else byte for i, byte in enumerate(body)),
        )


# Window bits and contexts, both ways

TALK = [
    b"",
    b"a word",
    b"",
    b"a word, and a word, and a word",
    NOISE,
    b"a word",
    NOISE[:400] * 4,
    bytes(70_000),
    NOISE,
    b"",
]


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_what_the_peer_compresses_is_read(
    end: Callable[..., Endpoint], frame: Frame, role: Role, bits: int, drops: bool
) -> None:
    us = end(taking(role, ours=False, bits=bits, drops=drops))
    peer = Peer(bits, drops=drops)
    for data in TALK:
        payload = peer.compress(data)
        assert us.receive_data(frame(2, payload, rsv=RSV1)) == [data]


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_what_we_compress_is_read_by_the_peer(
    end: Callable[..., Endpoint], role: Role, bits: int, drops: bool
) -> None:
    us = end(taking(role, ours=True, bits=bits, drops=drops), Deflate(mem_level=9))
    peer = Peer(bits, drops=drops)
    for data in TALK:
        [(first, payload)] = payloads(us.encode(data))
        if bits == 8:
            assert (first, payload) == (0x82, data)  # sent as it is: zlib cannot
        else:
            assert first == 0xC2
            assert peer.inflate(payload) == data


@pytest.mark.parametrize("drops", [False, True])
def test_each_end_keeps_or_drops_its_context_whatever_the_other_does(
    end: Callable[..., Endpoint], frame: Frame, role: Role, drops: bool
) -> None:
    text = b"a sentence that is said twice"
    for theirs in (False, True):
        us = end(
            taking(role, ours=True, drops=drops),
            taking(role, ours=False, drops=theirs),
        )
        sizes = []
        for _ in range(2):
            [(_, payload)] = payloads(us.encode(text))
            sizes.append(len(payload))
            peer = Peer(drops=theirs)
            for _ in range(2):
                assert us.receive_data(frame(2, peer.compress(text), rsv=RSV1)) == [
                    text
                ]
            us.receive_data(frame(2, b"not compressed, not part of the context"))
            us.encode(b"nor is this", compress=False)
        assert (sizes[1] < sizes[0]) is not drops


def test_a_peer_that_keeps_the_context_it_promised_to_drop_fails(
    end: Callable[..., Endpoint], frame: Frame, role: Role
) -> None:
    us = end(taking(role, ours=False, drops=True))
    peer = Peer(drops=False)
    first, second = (frame(1, peer.compress(b"Hello, hello"), rsv=RSV1) for _ in "12")
    assert us.receive_data(first) == ["Hello, hello"]
    assert us.receive_data(second) == [Failed(1007, "a compressed message is corrupt")]


# What one message may look like


def synced(data: bytes, level: int = -1, strategy: int = 0) -> bytes:
    """Compress, flush, and keep the tail."""
    compressor = zlib.compressobj(level, wbits=-15, strategy=strategy)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def finished(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


def in_blocks(data: bytes, flush: int) -> bytes:
    """Each half its own block, the first one with a flush of its own."""
    compressor = zlib.compressobj(wbits=-15)
    half = len(data) // 2
    compressed = compressor.compress(data[:half]) + compressor.flush(flush)
    compressed += compressor.compress(data[half:])
    return compressed + compressor.flush(zlib.Z_SYNC_FLUSH)


def stored(data: bytes) -> bytes:
    """Blocks as they are, and an empty one whose end is the tail."""
    compressed = b""
    for at in range(0, len(data) or 1, 65535):
        block = data[at : at + 65535]
        size = len(block)
        compressed += b"\x00" + size.to_bytes(2, "little")
        compressed += (size ^ 0xFFFF).to_bytes(2, "little") + block
    return compressed + b"\x00"


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "the tail cut off": lambda data: synced(data)[:-4] or b"\x00",
    "a full flush": lambda data: in_blocks(data, zlib.Z_FULL_FLUSH)[:-4] or b"\x00",
    "two blocks": lambda data: in_blocks(data, zlib.Z_SYNC_FLUSH)[:-4] or b"\x00",
    "a partial flush": lambda data: (
        in_blocks(data, zlib.Z_PARTIAL_FLUSH)[:-4] or b"\x00"
    ),
    "no compression": lambda data: synced(data, level=0)[:-4] or b"\x00",
    "a stored block": stored,
    "fixed codes": lambda data: synced(data, strategy=zlib.Z_FIXED)[:-4] or b"\x00",
    "Huffman codes only": lambda data: (
        synced(data, strategy=zlib.Z_HUFFMAN_ONLY)[:-4] or b"\x00"
    ),
    "runs only": lambda data: synced(data, strategy=zlib.Z_RLE)[:-4] or b"\x00",
    "empty blocks first": lambda data: (b"\x00" + TAIL) * 3 + synced(data)[:-4],
    "a final block": finished,
    "a final block and a zero": lambda data: finished(data) + b"\x00",  # 7.2.3.4
    "a final block and an empty one": lambda data: finished(data) + b"\x02\x00",
    "two final blocks": lambda data: finished(data[:5]) + finished(data[5:]),
    "a final block in front": lambda data: finished(b"") + synced(data)[:-4],
}
TEXTS = ["", "a", "Hello, hello, hello", "€uro ☃ 𝄞 " * 3, NOISE[:40].hex()]


@pytest.fixture(params=SPELLINGS)
def compress(request: pytest.FixtureRequest) -> Callable[[str], bytes]:
    spelling = SPELLINGS[request.param]
    return lambda text: spelling(text.encode())


@pytest.mark.parametrize("drops", [False, True])
def test_a_message_is_read_in_every_spelling_and_so_is_the_next(
    end: Callable[..., Endpoint],
    frame: Frame,
    role: Role,
    compress: Callable[[str], bytes],
    drops: bool,
) -> None:
    us = end(taking(role, ours=False, drops=drops))
    for text in [*TEXTS, NOISE.hex() * 10, "z" * 70_000, *TEXTS]:
        assert us.receive_data(frame(1, compress(text), rsv=RSV1)) == [text]


def test_a_message_is_read_fragmented_at_every_byte(
    end: Callable[..., Endpoint], frame: Frame, compress: Callable[[str], bytes]
) -> None:
    us = end()
    for text in TEXTS:
        payload = compress(text)
        for cut in range(len(payload) + 1):
            data = frame(1, payload[:cut], fin=False, rsv=RSV1)
            data += frame(9, b"?") + frame(0, b"", fin=False) + frame(10, b"!")
            data += frame(0, payload[cut:])
            assert us.receive_data(data) == [Ping(b"?"), Pong(b"!"), text]


def test_a_message_is_read_cut_at_every_byte_by_the_network(
    end: Callable[..., Endpoint], frame: Frame, compress: Callable[[str], bytes]
) -> None:
    us = end()
    for text in TEXTS:
        data = frame(1, compress(text), rsv=RSV1)
        for cut in range(len(data) + 1):
            events = us.receive_data(data[:cut]) + us.receive_data(data[cut:])
            assert events == [text]
        events = [e for i in range(len(data)) for e in us.receive_data(data[i : i + 1])]
        assert events == [text]


def test_a_short_message_is_read_in_any_three_fragments(
    end: Callable[..., Endpoint], frame: Frame, compress: Callable[[str], bytes]
) -> None:
    us = end()
    payload = compress("Hello")
    for one, two in combinations_with_replacement(range(len(payload) + 1), 2):
        data = frame(1, payload[:one], fin=False, rsv=RSV1)
        data += frame(0, payload[one:two], fin=False) + frame(0, payload[two:])
        assert us.receive_data(data) == ["Hello"]


def test_a_message_may_end_with_an_empty_frame(
    end: Callable[..., Endpoint], frame: Frame, compress: Callable[[str], bytes]
) -> None:
    us = end()
    for text, empty in product(TEXTS, (1, 2, 5)):
        data = frame(1, compress(text), fin=False, rsv=RSV1)
        data += frame(0, b"", fin=False) * (empty - 1) + frame(0, b"")
        assert us.receive_data(data) == [text]


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00", b"\x02\x00", b"\x03\x00", b"\x00" + TAIL + b"\x00"],
)
def test_an_empty_message_has_many_spellings_and_leaves_the_context_alone(
    end: Callable[..., Endpoint], frame: Frame, payload: bytes
) -> None:
    us, peer = end(), Peer()
    ends_stream = payload == b"\x03\x00"
    for _ in range(3):
        assert us.receive_data(frame(1, peer.compress(b"Hello, hello"), rsv=RSV1)) == [
            "Hello, hello"
        ]
        for kind, empty in ((1, ""), (2, b"")):
            assert us.receive_data(frame(kind, payload, rsv=RSV1)) == [empty]
        if ends_stream:
            peer = Peer()


def test_a_tail_that_was_cut_off_in_part_is_corrupt(
    end: Callable[..., Endpoint], frame: Frame
) -> None:
    for kept in (1, 2, 3):
        data = frame(1, synced(b"Hello")[: kept - 4], rsv=RSV1)
        assert end().receive_data(data) == [
            Failed(1007, "a compressed message is corrupt")
        ]


@pytest.mark.parametrize("drops", [False, True])
def test_a_tail_that_was_not_cut_off_harms_no_message_but_a_context_in_use(
    end: Callable[..., Endpoint], frame: Frame, role: Role, drops: bool
) -> None:
    """7.2.1 forbids it: four bytes more are half a block, in front of the next."""
    us = end(taking(role, ours=False, drops=drops))
    data = frame(1, synced(b"Hello"), rsv=RSV1)
    assert us.receive_data(data) == ["Hello"]
    broken = Failed(1007, "a compressed message is corrupt")
    assert us.receive_data(data) == (["Hello"] if drops else [broken])


# What we send


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_our_fragments_are_one_message_to_the_peer(
    end: Callable[..., Endpoint], role: Role, size: int, drops: bool
) -> None:
    us = end(taking(role, ours=True, drops=drops))
    peer = Peer(drops=drops)
    for text in [*TEXTS, *TEXTS, "z" * 70_000, ""]:
        pieces = [text[i : i + size] for i in range(0, 50 * size, size)]
        pieces += [text[50 * size :], "", ""]
        sent = b"".join(
            us.encode_fragment(piece, fin=i == len(pieces) - 1)
            for i, piece in enumerate(pieces)
        )
        frames = list(payloads(sent))
        assert [first for first, _ in frames] == [
            0x41,  # 6.1: the bit stands on the first one only
            *([0x00] * (len(pieces) - 2)),
            0x80,
        ]
        payload = b"".join(body for _, body in frames)
        assert payload  # 7.2.3.6: an empty message has a byte too
        assert not payload.endswith(TAIL)
        assert peer.inflate(payload).decode() == text


def test_what_we_do_not_compress_is_sent_as_it_is(
    end: Callable[..., Endpoint], role: Role
) -> None:
    settings = Deflate(threshold=10, client_max_window_bits=None)
    us, peer = end(settings, settings), Peer()
    for data in (b"123456789", b"1234567890", b"123456789", b"1234567890"):
        [(first, payload)] = payloads(us.encode(data))
        if len(data) < 10:
            assert (first, payload) == (0x82, data)
        else:
            assert (first, peer.inflate(payload)) == (0xC2, data)


def test_fragments_are_read_whatever_stands_between_them(
    end: Callable[..., Endpoint], frame: Frame
) -> None:
    """With the boundary of a fragment at every byte and a ping at every boundary."""
    us, peer = end(), Peer()
    for data in TALK[:6]:
        payload = peer.compress(data)
        *head, last = [payload[i : i + 1] for i in range(len(payload))]
        said: list[Event] = []
        if head:
            said += us.receive_data(frame(2, head[0], fin=False, rsv=RSV1))
        for byte in head[1:]:
            said += us.receive_data(frame(9, byte) + frame(0, byte, fin=False))
        final = frame(0, last) if head else frame(2, last, rsv=RSV1)
        said += us.receive_data(frame(10) + final)
        assert said == [*(Ping(byte) for byte in head[1:]), Pong(b""), data]
