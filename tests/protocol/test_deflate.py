"""permessage-deflate: negotiated by the table, inflated to the byte."""

from __future__ import annotations

import zlib
from dataclasses import replace
from hashlib import shake_128
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError
from wsclient.protocol import Deflate, deflate_of
from wsclient.protocol.deflate import (
    Agreed,
    Deflater,
    Inflater,
    NegotiationError,
    accept_offers,
    check_response,
    contexts,
)
from wsclient.protocol.frames import Violation
from wsclient.protocol.headers import format_extensions, parse_extensions

PMD = "permessage-deflate"
SNCT = "server_no_context_takeover"
CNCT = "client_no_context_takeover"
LAST = f"{PMD}; client_max_window_bits=12"
OPEN = Deflate(server_max_window_bits=None, client_max_window_bits=None)


# Settings


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"server_max_window_bits": 7}, "server_max_window_bits must be 8 to 15"),
        ({"client_max_window_bits": 16}, "client_max_window_bits must be 8 to 15"),
        ({"client_max_window_bits": "9"}, "client_max_window_bits must be 8 to 15"),
        ({"level": 10}, "level must be -1 to 9"),
        ({"level": -2}, "level must be -1 to 9"),
        ({"mem_level": 0}, "mem_level must be 1 to 9"),
        ({"mem_level": 10}, "mem_level must be 1 to 9"),
        ({"threshold": -1}, "threshold must be 0 or more"),
        ({"threshold": None}, "threshold must be 0 or more"),
        ({"backend": "igzip"}, 'backend must be "auto", "zlib", "isal", "zlib-ng"'),
        ({"backend": None}, "backend must be"),
    ],
)
def test_a_setting_out_of_range_is_refused(
    settings: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        Deflate(**settings)


def test_compression_is_asked_for_by_name_settings_or_none() -> None:
    assert deflate_of(None) is None
    assert deflate_of("deflate") == Deflate()
    assert deflate_of(OPEN) is OPEN
    for bad in ("gzip", True, 15):
        with pytest.raises(ArgumentError, match='must be "deflate"'):
            deflate_of(bad)  # type: ignore[arg-type]


# Negotiation


@pytest.mark.parametrize(
    ("settings", "offers"),
    [
        (
            Deflate(),
            f"{PMD}; server_max_window_bits=12; client_max_window_bits=12, {LAST}",
        ),
        (
            Deflate(fallback=False),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (OPEN, "permessage-deflate"),
        (
            Deflate(server_max_window_bits=None, client_max_window_bits=15),
            "permessage-deflate; client_max_window_bits",
        ),
        (
            Deflate(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=8,
                client_max_window_bits=None,
            ),
            f"{PMD}; {SNCT}; server_max_window_bits=8; {CNCT}, {PMD}; {CNCT}",
        ),
    ],
)
def test_a_client_offers_what_its_settings_say(settings: Deflate, offers: str) -> None:
    assert format_extensions(settings.offers()) == offers


@pytest.mark.parametrize(
    ("offers", "settings", "answer"),
    [
        ("", OPEN, None),
        ("foo; bar=1", OPEN, None),
        (PMD, OPEN, PMD),
        ("Permessage-Deflate", OPEN, PMD),
        (f"foo, {PMD}", OPEN, PMD),
        (PMD, Deflate(), f"{PMD}; server_max_window_bits=12"),
        (
            f"{PMD}; client_max_window_bits",
            Deflate(),
            f"{PMD}; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (f"{PMD}; client_max_window_bits", OPEN, PMD),
        (
            f"{PMD}; client_max_window_bits=10",
            OPEN,
            f"{PMD}; client_max_window_bits=10",
        ),
        (
            f"{PMD}; client_max_window_bits=15; server_max_window_bits=9",
            Deflate(),
            f"{PMD}; server_max_window_bits=9; client_max_window_bits=12",
        ),
        (
            f'{PMD}; server_max_window_bits="8"',
            OPEN,
            f"{PMD}; server_max_window_bits=8",
        ),
        (
            f"{PMD}; server_no_context_takeover; client_no_context_takeover",
            OPEN,
            f"{PMD}; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            PMD,
            Deflate(
                server_max_window_bits=None,
                server_no_context_takeover=True,
                client_no_context_takeover=True,
            ),
            f"{PMD}; server_no_context_takeover; client_no_context_takeover",
        ),
        # Offers that are declined, and the next one that is not.
        (f"{PMD}; server_max_window_bits", OPEN, None),
        (f"{PMD}; server_max_window_bits=7", OPEN, None),
        (f"{PMD}; server_max_window_bits=16", OPEN, None),
        (f"{PMD}; server_max_window_bits=08", OPEN, None),
        (f"{PMD}; client_max_window_bits=+9", OPEN, None),
        (f"{PMD}; client_max_window_bits=16", OPEN, None),
        (f"{PMD}; server_no_context_takeover=1", OPEN, None),
        (f"{PMD}; client_no_context_takeover=true", OPEN, None),
        (f"{PMD}; unknown", OPEN, None),
        (f"{PMD}; client_max_window_bits; client_max_window_bits", OPEN, None),
        (f"{PMD}; unknown, {PMD}", OPEN, PMD),
    ],
)
def test_a_server_agrees_to_the_first_offer_it_can_keep(
    offers: str, settings: Deflate, answer: str | None
) -> None:
    agreed = accept_offers(parse_extensions([offers]), settings)
    assert (agreed and format_extensions([agreed.extension()])) == answer


ASKING = Deflate(
    server_no_context_takeover=True,
    server_max_window_bits=10,
    client_max_window_bits=11,
    fallback=False,
)


@pytest.mark.parametrize(
    ("answer", "settings", "agreed"),
    [
        (PMD, OPEN, Agreed()),
        (
            f"{PMD}; server_no_context_takeover; client_no_context_takeover",
            OPEN,
            Agreed(server_no_context_takeover=True, client_no_context_takeover=True),
        ),
        (f"{PMD}; server_max_window_bits=8", OPEN, Agreed(server_max_window_bits=8)),
        (
            f"{PMD}; server_no_context_takeover; server_max_window_bits=10",
            ASKING,
            Agreed(server_no_context_takeover=True, server_max_window_bits=10),
        ),
        (
            f"{PMD}; {SNCT}; server_max_window_bits=9; client_max_window_bits=11",
            ASKING,
            Agreed(
                server_no_context_takeover=True,
                server_max_window_bits=9,
                client_max_window_bits=11,
                client_limits=True,
            ),
        ),
        # A server that can keep no limit has taken the second offer.
        (PMD, Deflate(), Agreed()),
        (
            f"{PMD}; server_max_window_bits=15",
            Deflate(),
            Agreed(server_max_window_bits=15),
        ),
        (
            f"{PMD}; client_max_window_bits=15",
            Deflate(client_max_window_bits=15),
            Agreed(client_max_window_bits=15, client_limits=True),
        ),
        # The 12 offered are a hint of what it will use, and no demand.
        (
            f"{PMD}; client_max_window_bits=15",
            Deflate(),
            Agreed(client_max_window_bits=15, client_limits=True),
        ),
    ],
)
def test_a_client_takes_an_answer_to_one_of_its_offers(
    answer: str, settings: Deflate, agreed: Agreed
) -> None:
    assert check_response(parse_extensions([answer]), settings) == agreed


@pytest.mark.parametrize(
    ("answer", "settings"),
    [
        (PMD, None),
        ("foo", OPEN),
        (f"{PMD}, {PMD}", OPEN),
        (f"{PMD}; unknown", OPEN),
        (f"{PMD}; server_max_window_bits", OPEN),
        (f"{PMD}; server_max_window_bits=16", OPEN),
        (f"{PMD}; client_no_context_takeover=1", OPEN),
        (f"{PMD}; client_max_window_bits=12", OPEN),
        (f"{PMD}; client_max_window_bits", Deflate()),
        (f"{PMD}; server_max_window_bits=10", ASKING),
        (f"{PMD}; server_no_context_takeover", ASKING),
        (f"{PMD}; server_no_context_takeover; server_max_window_bits=11", ASKING),
        (f"{PMD}; client_no_context_takeover; client_no_context_takeover", OPEN),
    ],
)
def test_a_client_fails_on_any_other_answer(
    answer: str, settings: Deflate | None
) -> None:
    with pytest.raises(NegotiationError):
        check_response(parse_extensions([answer]), settings)


def test_no_answer_is_no_compression() -> None:
    assert check_response([], Deflate()) is None
    assert check_response([], None) is None


BITS = st.none() | st.integers(8, 15)
SETTINGS = st.builds(
    Deflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=BITS,
    client_max_window_bits=BITS,
    level=st.integers(-1, 9),
    mem_level=st.integers(1, 9),
    fallback=st.booleans(),
)


@given(
    client=SETTINGS,
    server=SETTINGS,
    messages=st.lists(st.binary(max_size=600) | st.just(b"ab" * 3000)),
)
def test_any_two_settings_agree_and_understand_each_other(
    backend: str, client: Deflate, server: Deflate, messages: list[bytes]
) -> None:
    client = replace(client, backend=backend)
    server = replace(server, backend=backend)
    offers = parse_extensions([format_extensions(client.offers())])
    accepted = accept_offers(offers, server)
    assert accepted is not None
    answer = parse_extensions([format_extensions([accepted.extension()])])
    agreed = check_response(answer, client)
    assert agreed is not None
    client_inflater, client_deflater = contexts(agreed, client, client=True)
    server_inflater, server_deflater = contexts(accepted, server, client=False)
    for deflater, inflater in [
        (client_deflater, server_inflater),
        (server_deflater, client_inflater),
    ]:
        for message in messages:
            if deflater is not None:
                data = deflater.compress(message, last=True)
                assert inflater.inflate(data, last=True, size=0) == message


# Contexts


def test_a_window_of_8_bits_is_read_but_never_written() -> None:
    """zlib cannot make one, and nobody has to compress."""
    for client in (True, False):
        agreed = Agreed(server_max_window_bits=8, client_max_window_bits=8)
        assert contexts(agreed, Deflate(), client=client)[1] is None
    _, deflater = contexts(Agreed(), Deflate(client_max_window_bits=8), client=True)
    assert deflater is not None  # our own wish: 9 bits break no promise


def made(
    backend: str, *, bits: int = 15, takeover: bool = True
) -> tuple[Deflater, Inflater]:
    """Return two that understand each other."""
    settings = Deflate(backend=backend)
    return (
        Deflater(bits=bits, takeover=takeover, settings=settings),
        Inflater(bits=bits, takeover=takeover, backend=backend),
    )


def far_apart(distance: int) -> bytes:
    """What compresses to less than half only if the window spans ``distance``."""
    return shake_128(distance.to_bytes(4, "big")).digest(distance) * 4


@pytest.mark.parametrize("bits", range(9, 16))
def test_our_window_is_at_most_the_one_agreed_on(backend: str, bits: int) -> None:
    settings = Deflate(client_max_window_bits=15, mem_level=9, level=9, backend=backend)
    agreed = Agreed(client_max_window_bits=bits, client_limits=True)
    _, deflater = contexts(agreed, settings, client=True)
    assert deflater is not None
    data = far_apart(2**bits // 4)
    compressed = deflater.compress(data, last=True)
    assert len(compressed) < len(data) / 2
    small = zlib.decompressobj(-bits)
    assert small.decompress(compressed + b"\x00\x00\xff\xff") == data
    # Twice as far is out of its reach.
    data = far_apart(2**bits + 1)
    assert len(deflater.compress(data, last=True)) > len(data) * 0.9


def test_nothing_is_allocated_before_the_first_use_nor_kept_without_takeover(
    backend: str,
) -> None:
    for takeover in (True, False):
        deflater, inflater = made(backend, takeover=takeover)
        assert deflater._compressor is None
        assert inflater._decompressor is None
        data = deflater.compress(b"x" * 100, last=True)
        assert inflater.inflate(data, last=True, size=0) == b"x" * 100
        assert (deflater._compressor is not None) is takeover
        assert (inflater._decompressor is not None) is takeover
        data = deflater.compress(b"x" * 100, last=True)
        assert inflater.inflate_whole(data, 0) == b"x" * 100
        assert (inflater._decompressor is not None) is takeover


def test_a_context_taken_over_makes_the_second_message_smaller(backend: str) -> None:
    for takeover in (True, False):
        deflater, _ = made(backend, bits=12, takeover=takeover)
        first = deflater.compress(b"a subscription to trades", last=True)
        second = deflater.compress(b"a subscription to trades", last=True)
        assert (len(second) < len(first)) is takeover


@pytest.mark.parametrize("takeover", [True, False])
def test_empty_messages_are_a_zero_byte_or_an_empty_block(
    backend: str, takeover: bool
) -> None:
    """RFC 7692, 7.2.3.6, in whatever place they stand."""
    deflater, inflater = made(backend, bits=12, takeover=takeover)
    for message in (b"", b"", b"x", b"", b"yy", b"", b""):
        data = deflater.compress(message, last=True)
        if not message:
            assert data == (b"\x02\x00" if backend == "isal" else b"\x00")
        assert inflater.inflate(data, last=True, size=0) == message


@given(
    messages=st.lists(st.lists(st.binary(max_size=40), min_size=1), min_size=1),
    takeover=st.booleans(),
    step=st.integers(1, 50),
)
def test_fragments_compressed_and_cut_anywhere_inflate_to_the_messages(
    backend: str, messages: list[list[bytes]], takeover: bool, step: int
) -> None:
    deflater, inflater = made(backend, bits=9, takeover=takeover)
    for message in messages:
        *first, last = message
        data = b"".join(deflater.compress(part, last=False) for part in first)
        data += deflater.compress(last, last=True)
        inflated = b""
        for at in range(0, len(data), step):
            inflated += inflater.inflate(
                data[at : at + step], last=at + step >= len(data), size=0
            )
        assert inflated == b"".join(message)


# The examples of RFC 7692, section 7.2.3


@pytest.fixture
def inflater(backend: str) -> Inflater:
    return Inflater(bits=15, takeover=True, backend=backend)


def inflate(data: str, inflater: Inflater) -> bytes:
    """Inflate a message, most of them with what reads whole ones."""
    return inflater.inflate_whole(bytes.fromhex(data), 0)


@pytest.mark.parametrize(
    "data",
    [
        "f2 48 cd c9 c9 07 00",  # 7.2.3.1: one block
        "00 05 00 fa ff 48 65 6c 6c 6f 00",  # 7.2.3.3: a block with no compression
        "f3 48 cd c9 c9 07 00 00",  # 7.2.3.4: a final block
        "f3 48 cd c9 c9 07 00",  # the same, and nothing after it
        "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",  # 7.2.3.5: two blocks
    ],
)
def test_the_blocks_of_the_rfc_say_hello(inflater: Inflater, data: str) -> None:
    assert inflate(data, inflater) == b"Hello"
    assert inflate(data, inflater) == b"Hello"


def test_the_second_message_of_the_rfc_uses_the_window_of_the_first(
    inflater: Inflater, backend: str
) -> None:
    assert inflate("f2 48 cd c9 c9 07 00", inflater) == b"Hello"
    assert inflate("f2 00 11 00 00", inflater) == b"Hello"
    with pytest.raises(Violation, match="corrupt"):
        inflate("f2 00 11 00 00", Inflater(bits=15, takeover=True, backend=backend))


def test_an_empty_payload_is_an_empty_message_and_harms_no_later_one(
    inflater: Inflater,
) -> None:
    for _ in range(2):
        assert inflate("", inflater) == b""
        assert inflate("f2 48 cd c9 c9 07 00", inflater) == b"Hello"


# Hostile input


def test_corrupt_data_is_a_violation(inflater: Inflater) -> None:
    for _ in range(2):
        with pytest.raises(Violation, match="corrupt") as caught:
            inflate("ff ff ff", inflater)
        assert caught.value.code == 1007


@given(
    message=st.binary(max_size=500),
    repeat=st.integers(1, 20),
    size=st.integers(1, 300),
    takeover=st.booleans(),
)
def test_pieces_of_any_size_make_the_message(
    backend: str, message: bytes, repeat: int, size: int, takeover: bool
) -> None:
    deflater, inflater = made(backend, bits=9, takeover=takeover)
    for _ in range(2):
        compressed = deflater.compress(message * repeat, last=True)
        if not takeover:  # a final block, and another stream behind it
            compressed = b"\x03\x00" + compressed
        pieces = [inflater.inflate_whole(compressed, size)]
        while inflater.more:
            pieces.append(inflater.inflate(b"", last=True, size=size))
        assert b"".join(pieces) == message * repeat
        assert all(len(piece) == size for piece in pieces[:-1])
        assert len(pieces[-1]) <= size


@pytest.mark.parametrize("behind_another", [False, True])
def test_a_bomb_is_not_inflated_beyond_the_size_asked_for(
    inflater: Inflater, behind_another: bool
) -> None:
    compressor = zlib.compressobj(wbits=-15)
    bomb = compressor.compress(bytes(50_000_000))
    bomb += compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(bomb) < 60_000
    if behind_another:
        assert inflate("f2 48 cd c9 c9 07 00", inflater) == b"Hello"
    assert inflater.inflate_whole(bomb, 1000) == bytes(1000)
    assert inflater.more
    # What zlib has not yet read is not read: the work is bounded by the size.
    assert len(inflater._input) > len(bomb) * 0.9


@pytest.mark.parametrize("behind_another", [False, True])
def test_a_message_of_endless_streams_is_refused(
    inflater: Inflater, behind_another: bool
) -> None:
    final = "03 00"  # an empty final block: each needs a new context
    assert inflate(final * 64, inflater) == b""
    if behind_another:
        assert inflate("f2 48 cd c9 c9 07 00", inflater) == b"Hello"
    with pytest.raises(Violation, match="too many streams") as caught:
        inflate(final * 65, inflater)
    assert caught.value.code == 1008


def test_streams_are_counted_for_each_message(inflater: Inflater) -> None:
    for _ in range(3):
        assert inflate("03 00" * 60, inflater) == b""


# RFC 7692, 7.2.3: blocks of every kind, that go on, end a stream, or are broken.
BLOCKS = st.sampled_from(
    [b"\x02\x00", b"\x03\x00", b"\x00", b"\x00\x00\xff\xff", b"\x00\x00\x00\xff\xff"]
) | st.builds(
    lambda data, mode: synced(data, mode),
    st.binary(max_size=50),
    st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH]),
)


def synced(data: bytes, mode: int) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush(mode)


STREAMS = st.lists(BLOCKS, max_size=6).map(b"".join) | st.binary(max_size=200)


@given(
    messages=st.lists(STREAMS, min_size=1, max_size=4),
    cut=st.integers(0, 4),
    takeover=st.booleans(),
)
def test_a_message_that_comes_at_once_says_what_it_says_in_pieces(
    backend: str, messages: list[bytes], cut: int, takeover: bool
) -> None:
    at_once, in_pieces = (made(backend, takeover=takeover)[1] for _ in range(2))
    for message in messages:
        message = message[: len(message) - cut]
        said: list[tuple[bytes, int]] = []
        for pieces in (False, True):
            try:
                if pieces:
                    data = b"".join(
                        in_pieces.inflate(message[i : i + 1], last=False, size=0)
                        for i in range(len(message))
                    )
                    data += in_pieces.inflate(b"", last=True, size=0)
                else:
                    data = at_once.inflate_whole(message, 0)
            except Violation as violation:
                said.append((b"", int(violation.code)))
            else:
                said.append((data, 0))
        assert said[0] == said[1]
        if said[0][1]:
            return


@given(data=STREAMS, size=st.integers(1, 1000))
def test_any_bytes_inflate_to_the_size_or_are_a_violation(
    backend: str, data: bytes, size: int
) -> None:
    _, inflater = made(backend)
    inflater.inflate_whole(b"\x00", size)
    try:
        outcome = len(inflater.inflate_whole(data, size))
    except Violation as violation:
        outcome = violation.code
    assert outcome <= size or outcome in (1007, 1008)


@given(data=st.binary(max_size=300), repeat=st.integers(1, 30), over=st.integers(-3, 3))
def test_the_size_is_exact(backend: str, data: bytes, repeat: int, over: int) -> None:
    deflater, inflater = made(backend)
    for message in (data * repeat, b"and the next"):
        size = max(1, len(message) + over)
        inflated = inflater.inflate_whole(deflater.compress(message, last=True), size)
        assert inflated == message[:size]
        while inflater.more:
            inflated += inflater.inflate(b"", last=True, size=size)
        assert inflated == message
