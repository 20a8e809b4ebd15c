"""Heads: exact to the byte and to the line, however their bytes come."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.protocol import Limits
from wsclient.protocol.head import (
    BadHead,
    HeadReader,
    decoded,
    kept,
    maybe_read_upgrade,
)

FIRST = b"GET / HTTP/1.1\r\n"


def read(data: bytes, limits: Limits, *cuts: int) -> tuple[list[bytes], bytes, str]:
    """All heads of it, what stands behind them, and what is wrong with it."""
    reader = HeadReader(limits)
    heads: list[bytes] = []
    edges = sorted({0, len(data), *cuts})
    try:
        for start, stop in pairwise(edges):
            reader.feed(data[start:stop])
            while (head := reader.maybe_next()) is not None:
                heads.append(head)
    except BadHead as bad:
        return heads, b"", bad.detail
    return heads, reader.rest(), ""


def in_two_ways(data: bytes, limits: Limits) -> tuple[list[bytes], bytes, str]:
    """Whole, and byte by byte."""
    whole = read(data, limits)
    assert read(data, limits, *range(len(data))) == whole
    return whole


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_head_ends_at_the_first_empty_line(end: bytes) -> None:
    head = end.join([b"GET / HTTP/1.1", b"Host: a", b"X: ", b" folded", b"", b""])
    reader = HeadReader(Limits())
    for byte in head[:-1]:
        reader.feed(bytes([byte]))
        assert reader.maybe_next() is None
    reader.feed(head[-1:] + b"\x81\x00\n\n")
    assert reader.maybe_next() == head
    assert reader.rest() == b"\x81\x00\n\n"


def test_heads_that_follow_each_other_are_read_one_by_one() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    last = b"HTTP/1.1 403 Forbidden\r\n\r\n"
    data = early + early + last
    assert in_two_ways(data, Limits()) == ([early, early, last], b"", "")


def lines(*headers: bytes) -> bytes:
    return FIRST + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def test_the_number_of_headers_is_exact() -> None:
    limits = Limits(max_headers=3)
    fits = lines(b"A: 1", b"B: 2", b" folded")
    assert in_two_ways(fits, limits) == ([fits], b"", "")
    over = lines(b"A: 1", b"B: 2", b"C: 3", b"D: 4")
    assert in_two_ways(over, limits) == ([], b"", "there are too many headers")


def test_the_size_of_a_header_is_exact_its_line_end_and_spaces_counted() -> None:
    limits = Limits(max_header_size=10)
    for fits in (b"X: 45678", b"X:      ", b"        "):
        assert in_two_ways(lines(fits), limits) == ([lines(fits)], b"", "")
        over = lines(fits + b" ")
        assert in_two_ways(over, limits) == ([], b"", "a header is too large")


def test_a_header_that_is_folded_is_counted_whole() -> None:
    limits = Limits(max_header_size=11)
    fits = lines(b"X: 4", b" 78")
    assert in_two_ways(fits, limits) == ([fits], b"", "")
    over = lines(b"X: 4", b"\t ", b" ", b" 78")
    assert in_two_ways(over, limits) == ([], b"", "a header is too large")


def test_the_first_line_counts_for_the_whole_head_alone() -> None:
    """A target that is too long is the handshake's to refuse, by name."""
    limits = Limits(max_header_size=5, max_head_size=len(lines()))
    assert in_two_ways(lines(), limits) == ([lines()], b"", "")


def test_the_size_of_a_head_is_exact() -> None:
    head = lines(b"A: 1", b"B: 2")
    assert in_two_ways(head, Limits(max_head_size=len(head))) == ([head], b"", "")
    limits = Limits(max_head_size=len(head) - 1)
    assert in_two_ways(head, limits) == ([], b"", "the head is too large")


def test_all_heads_together_are_bounded_not_each() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\n"
    limits = Limits(max_head_size=3 * len(early))
    assert in_two_ways(early * 3, limits) == ([early] * 3, b"", "")
    assert in_two_ways(early * 4, limits)[2] == "the head is too large"


@pytest.mark.parametrize(
    "line", [b"GET /" + b"a" * 100, b"X: " + b"a" * 100, b"A:\n" * 99]
)
def test_what_never_ends_is_refused_at_the_first_byte_too_many(line: bytes) -> None:
    limits = Limits(max_head_size=40, max_header_size=20, max_headers=4)
    endless = line if line.startswith(b"GET") else FIRST + line
    lengths = range(len(endless))
    taken = [size for size in lengths if not read(endless[:size], limits)[2]]
    assert taken == list(range(len(taken))), "once refused, always refused"
    assert len(FIRST) < len(taken) <= 41


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"\r\n", b"\n", b" GET", b"\x00"])
def test_what_is_no_http_is_told_by_its_first_byte(first: bytes) -> None:
    reader = HeadReader(Limits())
    reader.feed(first)
    with pytest.raises(BadHead, match="not HTTP") as caught:
        reader.maybe_next()
    assert caught.value.status == 400


@given(
    st.lists(
        st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"aaaa", b"X: 1\r\n", b" "]),
        max_size=20,
    ),
    st.sets(st.integers(0, 60)),
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_what_is_read_or_refused_does_not_depend_on_the_split(
    parts: list[bytes], cuts: set[int], head: int, header: int, headers: int
) -> None:
    limits = Limits(max_head_size=head, max_header_size=header, max_headers=headers)
    data = b"".join(parts)
    edges = [cut for cut in cuts if cut < len(data)]
    assert read(data, limits, *edges) == in_two_ways(data, limits)


USUAL = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection:Upgrade \r\n"
    b"X-Empty:\r\n"
    b"Date: Mon, 23 Nov 2026 08:00:00 GMT\r\n"
    b"\r\n"
)


def test_a_101_as_servers_spell_it_is_read_at_once() -> None:
    assert maybe_read_upgrade(USUAL) == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("X-Empty", ""),
        ("Date", "Mon, 23 Nov 2026 08:00:00 GMT"),
    ]


@pytest.mark.parametrize(
    ("usual", "unusual"),
    [
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"101", b"200"),
        (b" Switching Protocols", b""),
        (b"\r\n", b"\n"),
        (b"X-Empty:", b" folded"),
        (b"X-Empty:", b"X Empty:"),
        (b"X-Empty:", b"X-Empty"),
        (b"X-Empty:", b"Content-Length: 0"),
        (b"X-Empty:", b"Transfer-Encoding: chunked"),
        (b"08:00", b"08\x0000"),
        (b"08:00", b"08\xe900"),
    ],
)
def test_any_other_answer_is_left_to_h11(usual: bytes, unusual: bytes) -> None:
    assert maybe_read_upgrade(USUAL.replace(usual, unusual)) is None


@given(
    st.lists(
        st.sampled_from(
            [b"a", b"Upgrade", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b'"', b"\x7f"]
        )
        | st.binary(max_size=2)
    )
)
def test_what_is_read_at_once_is_what_h11_reads(parts: list[bytes]) -> None:
    head = b"HTTP/1.1 101 OK\r\nA: b\r\n" + b"".join(parts) + b"\r\n\r\n"
    reader = HeadReader(Limits())
    reader.feed(head)
    head = reader.maybe_next() or b""
    headers = maybe_read_upgrade(head)
    if headers is not None:
        client = h11.Connection(h11.CLIENT)
        asked = [("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "a")]
        client.send(h11.Request(method="GET", target="/", headers=asked))
        client.send(h11.EndOfMessage())
        client.receive_data(head)
        answer = client.next_event()
        assert isinstance(answer, h11.InformationalResponse)
        assert answer.status_code == 101
        assert kept(headers) == decoded(answer)
