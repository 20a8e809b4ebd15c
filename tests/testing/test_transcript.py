"""The file of a recording: what is written is read, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError
from wsclient.protocol import CloseReceived, Ping, Pong, Role
from wsclient.testing.transcript import (
    INTRODUCTION,
    Body,
    Called,
    End,
    Head,
    Raw,
    Said,
    What,
    read,
    write,
    write_called,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
# A head is latin-1 and has no line ends within a line.
LINE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
WHAT: st.SearchStrategy[What] = st.one_of(
    TEXT,
    st.text("a '\"\\\n", max_size=300),
    st.binary(max_size=200),
    st.builds(Ping, st.binary(max_size=125)),
    st.builds(Pong, st.binary(max_size=125)),
    st.builds(CloseReceived, st.integers(1000, 4999), TEXT),
    st.builds(Head, st.lists(LINE, min_size=1).map(tuple)),
    st.builds(Body, st.binary() | TEXT.map(str.encode)),
    st.builds(Raw, st.binary(), st.sampled_from(["", "a mask is missing"])),
    st.builds(End, st.sampled_from(["EOF", "reset"])),
)
SAID = st.builds(
    Said, st.integers(0, 10**9).map(lambda n: n / 1000), st.sampled_from(Role), WHAT
)


def events(text: str) -> list[Said]:
    """Read the events of the only connection."""
    ((_, found),) = read(f"{INTRODUCTION}connection 1\n{text}", "it")
    return found


@given(st.lists(SAID))
def test_what_is_written_is_read(said: list[Said]) -> None:
    text = "".join(map(write, said))
    assert events(text) == said
    assert events(text.replace("\n", "\r\n")) == said


@given(SAID)
def test_a_line_is_printable_ascii_or_text_and_not_long(said: Said) -> None:
    lines = write(said).removesuffix("\n").split("\n")
    assert all(line.isprintable() and not line.endswith(" ") for line in lines)
    if isinstance(said.what, bytes | Ping | Pong | Raw | Body):
        assert max(map(len, lines)) < 12 + 10 * 64 + 2  # 64 characters, each escaped


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("hello", "text 'hello'"),
        ("", "text ''"),
        ('{"op": "it\'s"}', 'text \'{"op": "it\\\'s"}\''),
        (b"", "binary"),
        (b"\1\2\3\4\5", "binary 01020304 05"),
        (Ping(b"hi"), "ping 6869"),
        (CloseReceived(1005, ""), "close 1005"),
        (CloseReceived(1000, "bye"), "close 1000 'bye'"),
        (End("EOF"), "EOF"),
        (Body(b"busy"), "body 'busy'"),
        (Body(b"\xff"), "body ff"),
    ],
)
def test_an_event_is_a_line(what: What, text: str) -> None:
    assert write(Said(1.5, Role.SERVER, what)) == f"<     1.500 {text}\n"


def test_a_long_text_is_whole_and_wrapped_at_its_own_lines_first() -> None:
    assert write(Said(0, Role.CLIENT, "one\ntwo" + "-" * 70)) == (
        ">     0.000 text\n"
        "            'one\\n'\n"
        f"            'two{'-' * 61}'\n"
        f"            '{'-' * 9}'\n"
    )


def test_what_bytes_break_is_told_in_a_comment() -> None:
    text = write(Said(0, Role.SERVER, Raw(b"\xff\xff", "reserved bits are set")))
    assert text == (
        "# What follows breaks the rules: reserved bits are set.\n"
        "<     0.000 raw ffff\n"
    )


def test_connections_may_take_turns() -> None:
    first, second = Called(1, "feed.test", 80), Called(2, "::1", 443, True, 1.25)
    text = (
        INTRODUCTION
        + write_called(first)
        + "> 0.000 text 'a'\n"
        + write_called(second)
        + "> 0.000 text 'b'\n\nconnection 1\n< 2.000 text 'c'\n"
    )
    (one, said_one), (two, said_two) = read(text, "it")
    assert (one, two) == (first, second)
    assert [said.what for said in said_one] == ["a", "c"]
    assert [said.what for said in said_two] == ["b"]


def test_comments_and_blank_lines_may_stand_anywhere() -> None:
    said = events("# one\n> 0.0 text\n  'a'\n  # within\n\n  'b'\n\n# end\n< 1 EOF\n")
    assert [each.what for each in said] == ["ab", End("EOF")]
    assert said[1].line == INTRODUCTION.count("\n") + 10


@pytest.mark.parametrize(
    ("text", "number", "detail"),
    [
        ("", 1, "begins with 'recording 1'"),
        ("hello", 1, "begins with 'recording 1'"),
        ("recording 2\n", 1, "begins with 'recording 1'"),
        ("recording 1\n> 0.0 EOF\n", 2, "belongs to no connection"),
        ("recording 1\n  'a'\n", 2, "goes on with nothing"),
        ("recording 1\nconnection one\n", 2, "connection N to HOST:PORT"),
        ("recording 1\nconnection 1\n= 0.0 EOF\n", 3, "not with '='"),
        ("recording 1\nconnection 1\n> soon EOF\n", 3, "soon"),
        ("recording 1\nconnection 1\n> 0.0\n", 3, "nobody says ''"),
        ("recording 1\nconnection 1\n> 0.0 hum\n", 3, "nobody says 'hum'"),
        ("recording 1\nconnection 1\n> 0.0 EOF now\n", 3, "nobody says"),
        ("recording 1\nconnection 1\n> 0.0 text hi\n", 3, "'hi' is no text in quotes"),
        ("recording 1\nconnection 1\n> 0.0 text '\\x'\n", 3, "truncated"),
        ("recording 1\nconnection 1\n> 0.0 binary 0\n", 3, "fromhex"),
        ("recording 1\nconnection 1\n> 0.0 |GET /\n  Host: a\n", 3, "stands behind |"),
        ("recording 1\nconnection 1\n> 0.0 close soon\n", 3, "soon"),
    ],
)
def test_what_is_no_recording_is_refused_by_line(
    text: str, number: int, detail: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        list(read(text, "my.recording"))
    assert str(caught.value).startswith(f"my.recording:{number}: ")
    assert detail in str(caught.value)
