"""Frames to messages: fragments, UTF-8, sizes, delivery, compression, floods."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import Close
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Delivery,
    Event,
    Limits,
    Part,
    Ping,
    Pong,
)
from wsclient.protocol.deflate import Deflater, Inflater
from wsclient.protocol.frames import Violation
from wsclient.protocol.messages import MessageWriter
from wsclient.protocol.reader import PIECE, MessageReader

Frame = Callable[..., bytes]


def make_reader(
    *,
    masked: bool = False,
    max_message_size: int | None = 1000,
    limits: Limits | None = None,
    compression: bool = False,
) -> MessageReader:
    return MessageReader(
        masked=masked,
        max_message_size=max_message_size,
        limits=limits or Limits(),
        inflater=Inflater(bits=15, takeover=True) if compression else None,
    )


def outcome(
    reader: MessageReader, *chunks: bytes | memoryview
) -> tuple[list[Event], int | None]:
    """Return the events, and the code of the violation that ended them."""
    events: list[Event] = []
    try:
        for chunk in chunks:
            reader.feed(chunk, events)
    except Violation as violation:
        return events, violation.code
    return events, None


def in_three_ways(data: bytes, **settings: Any) -> tuple[list[Event], int | None]:
    """Read ``data`` whole, byte by byte and with the start of a frame after it."""
    whole = outcome(make_reader(**settings), data)
    single = [data[i : i + 1] for i in range(len(data))]
    assert outcome(make_reader(**settings), *single) == whole
    assert outcome(make_reader(**settings), data + b"\x81") == whole
    return whole


@pytest.fixture(params=[False, True], ids=["unmasked", "masked"])
def masked(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def frame(masked: bool, from_server: Frame, from_client: Frame) -> Frame:
    return from_client if masked else from_server


# Whole messages and fragments


@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 1000])
def test_whole_messages_are_read(frame: Frame, masked: bool, size: int) -> None:
    data = frame(1, b"x" * size) + frame(2, b"y" * size)
    assert in_three_ways(data, masked=masked) == (["x" * size, b"y" * size], None)


@pytest.mark.parametrize("read", [bytes, memoryview])
@pytest.mark.parametrize("text", ["é€😀x" * 20_000, "x" * 200_000 + "é" * 40_000])
def test_large_messages_are_read_in_any_chunks(
    frame: Frame, masked: bool, text: str, read: Callable[[bytes], Any]
) -> None:
    data = frame(1, text.encode()) + frame(2, bytes(70_000))
    for step in (1000, 65536, 150_000, 10**7):
        chunks = [read(data[i : i + step]) for i in range(0, len(data), step)]
        reader = make_reader(masked=masked, max_message_size=None)
        assert outcome(reader, *chunks) == ([text, bytes(70_000)], None)
        assert not reader.half_frame


def test_fragments_make_a_message(frame: Frame, masked: bool) -> None:
    data = (
        frame(1, b"Hel", fin=False)
        + frame(0, b"", fin=False)
        + frame(0, b"lo")
        + frame(2, b"", fin=False)
        + frame(0, b"\xff")
        + frame(1, b"", fin=False)
        + frame(0)
    )
    assert in_three_ways(data, masked=masked) == (["Hello", b"\xff", ""], None)


def test_control_frames_come_between_fragments(frame: Frame, masked: bool) -> None:
    data = (
        frame(1, b"He", fin=False)
        + frame(9, b"1")
        + frame(0, b"l", fin=False)
        + frame(10, b"2")
        + frame(9)
        + frame(0, b"lo")
    )
    expected = [Ping(b"1"), Pong(b"2"), Ping(b""), "Hello"]
    assert in_three_ways(data, masked=masked) == (expected, None)


def test_a_character_may_be_cut_by_fragments(frame: Frame, masked: bool) -> None:
    euro = "€".encode()
    data = frame(1, euro[:1], fin=False) + frame(0, euro[1:2], fin=False)
    assert in_three_ways(data + frame(0, euro[2:]), masked=masked) == (["€"], None)


def test_control_frames_of_the_largest_size_are_read(
    frame: Frame, masked: bool
) -> None:
    data = frame(9, b"p" * 125) + frame(10, b"q" * 125)
    expected = [Ping(b"p" * 125), Pong(b"q" * 125)]
    assert in_three_ways(data, masked=masked) == (expected, None)


def test_pings_and_the_close_are_kept_for_the_endpoint(
    from_server: Frame,
) -> None:
    reader = make_reader()
    outcome(reader, from_server(9, b"1") + from_server(9, b"2"))
    assert reader.pings == [b"1", b"2"]
    assert reader.close is None
    outcome(reader, from_server(8, b"\x03\xe8bye"))
    assert reader.close == Close(1000, "bye")


def test_nothing_is_read_after_a_close_frame(frame: Frame, masked: bool) -> None:
    data = frame(1, b"x") + frame(8, b"\x0f\xa0") + frame(1, b"y") + b"\xff\xff"
    expected = ["x", CloseReceived(4000, "")]
    assert in_three_ways(data, masked=masked) == (expected, None)


def test_what_is_incomplete_shows(from_server: Frame) -> None:
    reader = make_reader()
    assert not reader.half_frame
    for data, half in [
        (from_server(1, b"abc")[:1], True),
        (from_server(1, b"abc")[1:3], True),
        (from_server(1, b"abc")[3:], False),
        (from_server(1, b"a", fin=False), True),
        (from_server(9, b"abc")[:4], True),
        (from_server(9, b"abc")[4:], True),
        (from_server(0, b""), False),
    ]:
        outcome(reader, data)
        assert reader.half_frame is half


# Messages told in parts


def parts_of(reader: MessageReader, *chunks: bytes) -> tuple[list[Event], int | None]:
    """Read, and go on while parts are held."""
    events: list[Event] = []
    try:
        for chunk in chunks:
            reader.feed(chunk, events)
            while reader.held:
                held = len(events)
                reader.feed(b"", events)
                assert len(events) > held
    except Violation as violation:
        return events, violation.code
    return events, None


def joined(events: list[Event]) -> list[Event]:
    """Put the parts of each message together again, as a ``Part`` if not finished."""
    whole: list[Event] = []
    told: Part | None = None
    for event in events:
        if not isinstance(event, Part):
            whole.append(event)
            continue
        assert event.data or event.fin
        data = event.data if told is None else told.data + event.data  # type: ignore[operator]
        told = Part(data, event.fin)
        if event.fin:
            whole.append(told)
            told = None
    return whole if told is None else [*whole, told]


def test_a_message_is_told_as_it_comes_and_the_next_is_whole(
    frame: Frame, masked: bool
) -> None:
    reader = make_reader(masked=masked)
    reader.decide(Delivery.IN_PARTS)
    data = frame(1, b"Hello") + frame(1, b"next")
    events, code = parts_of(reader, *(data[i : i + 1] for i in range(len(data))))
    assert code is None
    assert events == [
        *(Part(char, False) for char in "Hell"),
        Part("o", True),
        "next",
    ]


def test_a_message_that_is_there_at_once_is_one_part(
    frame: Frame, masked: bool
) -> None:
    for data, part in [
        (frame(1, b"Hello"), Part("Hello", True)),
        (frame(2, b""), Part(b"", True)),
        (frame(1, b""), Part("", True)),
    ]:
        reader = make_reader(masked=masked)
        reader.decide(Delivery.IN_PARTS)
        assert outcome(reader, data) == ([part], None)


def test_what_is_there_of_a_message_in_progress_is_told_first(
    frame: Frame, masked: bool
) -> None:
    reader = make_reader(masked=masked)
    data = frame(1, "a€".encode())
    assert outcome(reader, data[:-1]) == ([], None)
    reader.decide(Delivery.IN_PARTS)
    assert outcome(reader, b"") == ([Part("a", False)], None)
    assert outcome(reader, data[-1:]) == ([Part("€", True)], None)


def test_control_frames_are_told_between_parts(frame: Frame, masked: bool) -> None:
    reader = make_reader(masked=masked)
    reader.decide(Delivery.IN_PARTS)
    data = frame(2, b"a", fin=False) + frame(9, b"1") + frame(0, b"b")
    expected = [Part(b"a", False), Ping(b"1"), Part(b"b", True)]
    assert outcome(reader, data) == (expected, None)


def test_what_is_told_has_no_size_limit_but_the_next_has(
    frame: Frame, masked: bool
) -> None:
    reader = make_reader(masked=masked, max_message_size=10)
    reader.decide(Delivery.IN_PARTS)
    data = frame(2, bytes(100), fin=False) + frame(0, bytes(100))
    events, code = outcome(reader, data + frame(2, bytes(11)))
    assert joined(events) == [Part(bytes(200), True)]
    assert code == 1009


def test_text_that_is_told_fails_as_fast(frame: Frame, masked: bool) -> None:
    reader = make_reader(masked=masked)
    reader.decide(Delivery.IN_PARTS)
    data = frame(1, b"ab\xf4\x90", fin=False)
    expected: list[Event] = [Part(char, False) for char in "ab"]
    assert parts_of(reader, *(data[i : i + 1] for i in range(len(data)))) == (
        expected,
        1007,
    )
    reader = make_reader(masked=masked)
    reader.decide(Delivery.IN_PARTS)
    assert outcome(reader, frame(1, b"\xe2\x82")) == ([], 1007)  # half a character


def test_empty_fragments_between_parts_are_counted(frame: Frame, masked: bool) -> None:
    """Fragments that bring bytes are not: a message may have any number of them."""
    limits = Limits(max_fragments=3)
    reader = make_reader(masked=masked, limits=limits)
    reader.decide(Delivery.IN_PARTS)
    data = frame(2, b"a", fin=False) + frame(0, b"b", fin=False) * 20
    data += frame(0, b"", fin=False) * 3
    events, code = outcome(reader, data)
    assert joined(events) == [Part(b"a" + b"b" * 20, False)]
    assert code is None
    assert outcome(reader, frame(0, b"", fin=False)) == ([], 1008)


def test_a_compressed_message_is_told_a_piece_at_a_time(
    frame: Frame, masked: bool
) -> None:
    size = 5 * PIECE + 1
    bomb = compressed(b"x" * size)
    reader = make_reader(masked=masked, compression=True)
    reader.decide(Delivery.IN_PARTS)
    events: list[Event] = []
    reader.feed(frame(1, bomb, rsv=4) + frame(9, b"behind"), events)
    for pieces in range(1, 6):
        assert reader.held
        assert events == [Part("x" * PIECE, False)] * pieces
        reader.feed(b"", events)
    assert not reader.held
    assert events[-2:] == [Part("x", True), Ping(b"behind")]


def test_a_message_told_can_be_kept_again(frame: Frame, masked: bool) -> None:
    """With what was told of it and not used."""
    text = "a€b€" * 10
    data = frame(1, text.encode()) + frame(1, b"next")
    for at in range(len(data)):
        reader = make_reader(masked=masked)
        reader.decide(Delivery.IN_PARTS)
        events, _ = outcome(reader, data[:at])
        if joined(events)[-1:] == [Part(text, True)]:
            break
        told = "".join(str(part.data) for part in events if isinstance(part, Part))
        reader.decide(Delivery.WHOLE, told)
        assert outcome(reader, b"", data[at:]) == ([text, "next"], None)
    else:
        pytest.fail("it was never complete")


def test_kept_again_a_message_has_its_limit_again(frame: Frame, masked: bool) -> None:
    large = compressed(bytes(3 * PIECE))
    for data in (
        frame(2, bytes(100), fin=False),
        frame(2, bytes(1000))[:50],
        frame(2, large, rsv=4),
    ):
        reader = make_reader(masked=masked, max_message_size=99, compression=True)
        reader.decide(Delivery.IN_PARTS)
        events, code = outcome(reader, data)
        assert code is None
        told = b"".join(part.data for part in events if isinstance(part, Part))  # type: ignore[misc]
        reader.decide(Delivery.WHOLE, told)
        assert outcome(reader, b"") == ([], 1009)


def test_what_inflates_to_more_can_be_kept_again(frame: Frame, masked: bool) -> None:
    message = bytes(3 * PIECE)
    data = frame(2, compressed(message), rsv=4)
    reader = make_reader(masked=masked, max_message_size=None, compression=True)
    reader.decide(Delivery.IN_PARTS)
    events, _ = outcome(reader, data + frame(1, b"next"))
    assert events == [Part(message[:PIECE], False)]
    assert reader.held
    reader.decide(Delivery.WHOLE, message[:PIECE])
    assert outcome(reader, b"") == ([message, "next"], None)


def test_the_rest_of_a_message_can_be_dropped(frame: Frame, masked: bool) -> None:
    large = compressed(b"x" * 3 * PIECE)
    whole = [
        frame(1, b"Hel", fin=False) + frame(0, "lo €".encode()),
        frame(1, large, rsv=4),
    ]
    for message in whole:
        data = message + frame(1, b"next")
        for at in range(1, len(message) - 1):
            reader = make_reader(
                masked=masked, max_message_size=3 * PIECE, compression=True
            )
            reader.decide(Delivery.IN_PARTS)
            outcome(reader, data[:at])
            reader.decide(Delivery.DROPPED)
            assert outcome(reader, b"", data[at:]) == (["next"], None)


def test_the_rest_that_is_dropped_has_the_limit_of_a_message(
    frame: Frame, masked: bool
) -> None:
    for limit, code in [(100, None), (99, 1009)]:
        for compression in (False, True):
            rest = bytes(100)
            if compression:
                rest = compressed(rest)
            reader = make_reader(
                masked=masked, max_message_size=limit, compression=compression
            )
            reader.decide(Delivery.IN_PARTS)
            first = b"" if compression else b"1"
            outcome(reader, frame(2, first, fin=False, rsv=4 * compression))
            reader.decide(Delivery.DROPPED)
            assert outcome(reader, b"", frame(0, rest)) == ([], code)


def test_what_is_dropped_must_be_utf8_too(frame: Frame, masked: bool) -> None:
    reader = make_reader(masked=masked)
    reader.decide(Delivery.IN_PARTS)
    outcome(reader, frame(1, b"a", fin=False))
    reader.decide(Delivery.DROPPED)
    assert outcome(reader, frame(0, b"\xff")) == ([], 1007)


def test_a_message_that_was_not_begun_is_kept_when_told_so(
    frame: Frame, masked: bool
) -> None:
    reader = make_reader(masked=masked)
    reader.decide(Delivery.IN_PARTS)
    reader.decide(Delivery.WHOLE)
    assert outcome(reader, frame(1, b"Hello")) == (["Hello"], None)


@given(
    st.lists(
        st.tuples(
            st.lists(st.text(max_size=30), min_size=1, max_size=4), st.booleans()
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 40),
    st.data(),
)
def test_told_or_kept_a_message_says_the_same(
    messages: list[tuple[list[str], bool]], step: int, data: st.DataObject
) -> None:
    deflater = Deflater(bits=15, takeover=True, settings=Deflate(threshold=10))
    writer = MessageWriter(pool=None, deflater=deflater)
    stream, expected = b"", ["".join(fragments) for fragments, _ in messages]
    for fragments, _ in messages:
        for fragment in fragments[:-1]:
            stream += writer.fragment(fragment, fin=False)
        stream += writer.fragment(fragments[-1], fin=True)
    reader = make_reader(compression=True, max_message_size=None)
    said: list[Event] = []
    for at in range(0, len(stream), step):
        if data.draw(st.booleans()):
            reader.decide(Delivery.IN_PARTS)
        events, code = parts_of(reader, stream[at : at + step])
        assert code is None
        said += events
    whole = [e.data if isinstance(e, Part) else e for e in joined(said)]
    assert whole == expected


# Violations


def test_good_messages_before_a_bad_frame_are_delivered(
    frame: Frame, masked: bool
) -> None:
    data = frame(1, b"a") + frame(2, b"b") + frame(3, b"c") + frame(1, b"d")
    assert in_three_ways(data, masked=masked) == (["a", b"b"], 1002)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(0, b"x", True)], 1002),
        ([(0, b"x", False)], 1002),
        ([(1, b"x", True), (0, b"x", True)], 1002),
        ([(1, b"x", False), (1, b"x", True)], 1002),
        ([(1, b"x", False), (2, b"", False)], 1002),
        ([(9, b"x" * 126, True)], 1002),
        ([(9, b"", False)], 1002),
        ([(8, b"\x03", True)], 1002),
        ([(8, b"\x03\xed", True)], 1002),
        ([(8, b"\x03\xe8\xff", True)], 1007),
        ([(1, b"\xff", True)], 1007),
        ([(1, b"\xed\xa0\x80", True)], 1007),
        ([(1, b"\xe2\x82", True)], 1007),
        ([(1, b"\xe2", False), (0, b"\x82", True)], 1007),
        ([(1, b"ok", False), (0, b"\xc0\x80", False)], 1007),
        ([(2, b"x" * 1001, True)], 1009),
        ([(2, b"x" * 1000, False), (0, b"y", True)], 1009),
    ],
)
def test_each_broken_rule_has_its_code(
    frame: Frame, masked: bool, frames: list[tuple[int, bytes, bool]], code: int
) -> None:
    data = b"".join(frame(opcode, body, fin=fin) for opcode, body, fin in frames)
    events, found = in_three_ways(data, masked=masked)
    assert found == code
    assert not [event for event in events if event != "x"]


def test_the_wrong_masking_is_refused(from_server: Frame, from_client: Frame) -> None:
    assert in_three_ways(from_client(1, b"x"), masked=False) == ([], 1002)
    assert in_three_ways(from_server(1, b"x"), masked=True) == ([], 1002)


@pytest.mark.parametrize("cut", [True, False])
def test_text_that_can_no_longer_be_utf8_fails_before_its_frame_is_whole(
    frame: Frame, masked: bool, cut: bool
) -> None:
    data = frame(1, b"ok \xce\xba \xf4\x90" + b"x" * 500, fin=not cut)
    # The last of 4 bytes in U+110000 and beyond is not needed to know.
    start = len(data) - 500
    assert outcome(make_reader(masked=masked), data[: start - 1]) == ([], None)
    assert outcome(make_reader(masked=masked), data[:start]) == ([], 1007)


def test_two_bytes_are_refused_unless_others_make_a_character_of_them() -> None:
    points = [*range(0x80, 0xD800), *range(0xE000, 0x110000)]
    begun = {chr(point).encode()[:2] for point in points}
    for first, second in product(range(0x80, 0x100), range(0x100)):
        two = bytes([first, second])
        code = None if two in begun else 1007
        kept, told = make_reader(), make_reader()
        told.decide(Delivery.IN_PARTS)
        for reader in (kept, told):
            assert outcome(reader, b"\x81\x09" + two)[1] == code, two


def test_a_size_is_refused_from_the_header_alone(frame: Frame, masked: bool) -> None:
    data = frame(2, bytes(70_000))
    head = data[: len(data) - 70_000]
    limit: dict[str, Any] = {"masked": masked, "max_message_size": 69_999}
    assert outcome(make_reader(**limit), head) == ([], 1009)
    limit["max_message_size"] = 70_000
    assert outcome(make_reader(**limit), data) == ([bytes(70_000)], None)


def test_nothing_is_reserved_for_a_length_merely_announced() -> None:
    reader = make_reader(max_message_size=None)
    head = b"\x82\x7f" + (2**62).to_bytes(8, "big")
    assert outcome(reader, head, b"abc") == ([], None)
    assert reader._payload is not None
    assert bytes(reader._payload) == b"abc"
    assert reader._payload.__sizeof__() < 200


def test_a_large_frame_in_tiny_chunks_is_kept_once(from_server: Frame) -> None:
    data = from_server(2, bytes(50_000))
    reader = make_reader(max_message_size=None)
    outcome(reader, *(data[i : i + 7] for i in range(0, len(data) - 7, 7)))
    assert reader._payload is not None
    assert reader._payload.__sizeof__() < 60_000
    assert reader._tail == b""


def test_fragments_are_counted_empty_ones_too(frame: Frame, masked: bool) -> None:
    settings: dict[str, Any] = {"masked": masked, "limits": Limits(max_fragments=3)}
    first, more = frame(1, b"a", fin=False), frame(0, b"", fin=False)
    good = first + more + frame(0, b"b")
    assert in_three_ways(good * 2, **settings) == (["ab", "ab"], None)
    assert in_three_ways(first + more * 3, **settings) == ([], 1008)


def test_control_frames_within_a_message_are_counted_until_it_goes_on(
    frame: Frame, masked: bool
) -> None:
    settings: dict[str, Any] = {
        "masked": masked,
        "limits": Limits(max_control_backlog=2),
    }
    first, pings = frame(1, b"a", fin=False), frame(9) * 2
    more = frame(0, b"b", fin=False)
    good = first + pings + more + pings + frame(0, b"c") + pings * 5
    events, code = in_three_ways(good, **settings)
    assert (events[4], code) == ("abc", None)
    assert len(events) == 15
    events, code = in_three_ways(first + pings + frame(10), **settings)
    assert (events, code) == ([Ping(b""), Ping(b"")], 1008)


# Compression


def compressed(data: bytes) -> bytes:
    return Deflater(bits=15, takeover=False, settings=Deflate()).compress(
        data, last=True
    )


def test_compressed_messages_are_read_whole_or_in_fragments(
    frame: Frame, masked: bool
) -> None:
    text = "Hello, Wörld! " * 30
    body = compressed(text.encode())
    data = (
        frame(1, body, rsv=4)
        + frame(2, body[:5], rsv=4, fin=False)
        + frame(0, b"", fin=False)
        + frame(9, b"?")
        + frame(0, body[5:])
        + frame(1, b"plain")
    )
    expected = [text, Ping(b"?"), text.encode(), "plain"]
    assert in_three_ways(data, masked=masked, compression=True) == (expected, None)


def test_the_bit_for_compression_needs_an_agreement(frame: Frame, masked: bool) -> None:
    data = frame(1, compressed(b"x"), rsv=4)
    assert in_three_ways(data, masked=masked) == ([], 1002)


def test_the_bit_for_compression_belongs_to_the_first_frame(
    frame: Frame, masked: bool
) -> None:
    data = frame(1, b"", rsv=4, fin=False) + frame(0, b"\x00", rsv=4)
    assert in_three_ways(data, masked=masked, compression=True) == ([], 1002)


@pytest.mark.parametrize("fragments", [1, 7])
def test_the_limit_counts_what_comes_out_of_compression(
    frame: Frame, masked: bool, fragments: int
) -> None:
    for size, expected in [(1000, ([b"x" * 1000], None)), (1001, ([], 1009))]:
        body = compressed(b"x" * size)
        step = -(-len(body) // fragments)
        parts = [body[i : i + step] for i in range(0, len(body), step)]
        data = b"".join(
            frame(0 if i else 2, part, rsv=0 if i else 4, fin=i == len(parts) - 1)
            for i, part in enumerate(parts)
        )
        found = in_three_ways(data, masked=masked, compression=True)
        assert found == expected


def test_what_does_not_compress_may_be_larger_on_the_wire_than_the_limit(
    frame: Frame, masked: bool
) -> None:
    noise = bytes(i * i * 31 >> 3 & 0xFF for i in range(10))
    data = frame(2, compressed(noise), rsv=4)
    assert len(data) > 12
    found = in_three_ways(data, masked=masked, compression=True, max_message_size=10)
    assert found == ([noise], None)


def test_compressed_text_is_checked_too(frame: Frame, masked: bool) -> None:
    data = frame(1, compressed(b"\xff"), rsv=4)
    assert in_three_ways(data, masked=masked, compression=True) == ([], 1007)
    data = frame(1, b"\xff\xff", rsv=4)
    assert in_three_ways(data, masked=masked, compression=True) == ([], 1007)


def test_compressed_messages_without_limit_are_read(from_server: Frame) -> None:
    data = from_server(2, compressed(bytes(10**6)), rsv=4)
    found = in_three_ways(data, compression=True, max_message_size=None)
    assert found == ([bytes(10**6)], None)
