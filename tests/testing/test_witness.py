"""A witness of a connection: whatever the bytes are, it knows who said what."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Endpoint,
    Ping,
    Pong,
    Role,
    parse_uri,
)
from wsclient.testing.transcript import Body, Head, Raw, What
from wsclient.testing.witness import Witness, value_of

URI = parse_uri("ws://feed.test/live")
C, S = Role.CLIENT, Role.SERVER
Spoken = list[tuple[Role, bytes]]


def opened(**settings: object) -> tuple[Endpoint, Endpoint, Spoken]:
    """Two endpoints that have shaken hands, and what they said for it."""
    client = Endpoint(C, random=Random(1).randbytes, **settings)  # type: ignore[arg-type]
    server = Endpoint(S, **settings)  # type: ignore[arg-type]
    request = client.connect(URI)
    server.receive_data(request)
    answer = server.accept()
    client.receive_data(answer)
    return client, server, [(C, request), (S, answer)]


def heard(spoken: Iterable[tuple[Role, bytes]], size: int = 0) -> list[What]:
    """What a witness tells of it, heads left out, at most ``size`` bytes at a time."""
    return [what for _, what in told(spoken, size) if not isinstance(what, Head)]


def told(
    spoken: Iterable[tuple[Role, bytes]], size: int = 0
) -> list[tuple[Role, What]]:
    """What a witness tells of it, with who said so."""
    witness = Witness()
    found: list[tuple[Role, What]] = []
    for by, data in spoken:
        step = size or len(data)
        for start in range(0, len(data), step):
            found += witness.hear(by, data[start : start + step])
    for role in Role:
        found += [(role, what) for what in witness.voices[role].end()]
    return found


@pytest.mark.parametrize("size", [1, 3, 0])
@pytest.mark.parametrize(
    "deflate",
    [
        None,
        Deflate(),
        Deflate(server_no_context_takeover=True, client_no_context_takeover=True),
        Deflate(server_max_window_bits=9, client_max_window_bits=15),
    ],
)
def test_all_that_both_say_is_told(deflate: Deflate | None, size: int) -> None:
    client, server, spoken = opened(deflate=deflate)
    long = "so on and " * 200
    spoken += [
        (S, server.encode("welcome")),
        (C, client.encode_fragment(long, fin=False)),
        (C, client.ping(b"within")),
        (C, client.encode_fragment("end", fin=True)),
        (S, server.encode(long) + server.encode(b"\0\1") + server.pong(b"within")),
        (C, client.encode(long) + client.close(1000, "bye")),
    ]
    assert heard(spoken, size) == [
        "welcome",
        Ping(b"within"),
        long + "end",
        long,
        b"\0\1",
        Pong(b"within"),
        long,
        CloseReceived(1000, "bye"),
    ]


def test_heads_are_told_line_by_line() -> None:
    _, _, spoken = opened()
    (_, request), (_, answer) = told(spoken)
    assert isinstance(request, Head)
    assert request.lines[:2] == ("GET /live HTTP/1.1", "Host: feed.test")
    assert isinstance(answer, Head)
    assert answer.lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert request.lines[-1] == answer.lines[-1] == ""


def test_a_folded_header_is_one_line() -> None:
    data = b"GET / HTTP/1.1\r\nCookie: a=1;\r\n b=2\nHost: a\n\n"
    assert told([(C, data)]) == [
        (C, Head(("GET / HTTP/1.1", "Cookie: a=1; b=2", "Host: a", "")))
    ]


def test_the_values_of_a_header_are_one_list() -> None:
    head = Head(("HTTP/1.1 101 OK", "A: 1", "b: x", "a : 2", ""))
    assert value_of(head, "A") == "1, 2"
    assert value_of(head, "c") == ""


def test_frames_sent_before_the_answer_come_behind_it() -> None:
    client, _, ((_, request), (_, answer)) = opened()
    spoken = [(C, request + client.encode("early")), (C, client.ping()), (S, answer)]
    found = [what for _, what in told(spoken)]
    assert found[2:] == ["early", Ping(b"")]


def test_frames_behind_the_answer_are_told_at_once() -> None:
    _, server, ((_, request), (_, answer)) = opened()
    assert heard([(C, request), (S, answer + server.encode("hi"))]) == ["hi"]


@pytest.mark.parametrize("size", [1, 7, 0])
def test_an_answer_that_is_no_101_has_a_body(size: int) -> None:
    answer = (
        b"HTTP/1.1 103 Early Hints\r\n\r\n"
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\nbusy"
    )
    _, _, spoken = opened()
    found = told([spoken[0], (S, answer)], size)
    heads = [what.lines[0] for _, what in found if isinstance(what, Head)]
    assert heads[1:] == [
        "HTTP/1.1 103 Early Hints",
        "HTTP/1.1 503 Service Unavailable",
    ]
    body = [what.data for _, what in found if isinstance(what, Body)]
    assert b"".join(body) == b"busy"


@pytest.mark.parametrize("answer", [b"\x16\3\1hello", b"SSH-2.0\r\n\r\nhello"])
def test_an_answer_that_is_not_http_is_kept(answer: bytes) -> None:
    _, _, spoken = opened()
    found = [what for _, what in told([spoken[0], (S, answer), (S, b"more")])][1:]
    kept = b""
    for what in found:
        if isinstance(what, Head):
            kept += "\r\n".join(what.lines).encode() + b"\r\n"
        else:
            assert isinstance(what, Raw)
            kept += what.data
    assert kept == answer + b"more"


def test_a_head_that_never_ends_is_told_at_the_end() -> None:
    _, _, spoken = opened()
    found = told([spoken[0], (S, b"HTTP/1.1 101 Switching\r\nUpg")])
    assert found[1:] == [(S, Head(("HTTP/1.1 101 Switching", "Upg")))]


@pytest.mark.parametrize("size", [1, 3, 0])
@pytest.mark.parametrize("deflate", [None, Deflate()])
def test_what_breaks_the_rules_is_kept_from_its_first_byte(
    deflate: Deflate | None, size: int
) -> None:
    client, server, spoken = opened(deflate=deflate)
    bad = b"\x83\0more of it"  # an opcode that is not defined
    spoken += [
        (S, server.encode("good") + server.ping() + bad),
        (C, client.encode("?")),
    ]
    *good, question = heard(spoken, size)
    assert question == "?"
    assert good[:2] == ["good", Ping(b"")]
    raw = [what for what in good[2:] if isinstance(what, Raw)]
    assert b"".join(what.data for what in raw) == bad
    assert raw[0].why == "the opcode 0x3 is not defined"


def test_a_broken_message_is_kept_behind_what_was_told_within_it() -> None:
    _, server, spoken = opened()
    frames = server.encode("good") + server.encode_fragment("half", fin=False)
    spoken += [(S, frames + server.ping()), (S, b"\x81\1!")]
    good, ping, raw = heard(spoken)
    assert (good, ping) == ("good", Ping(b""))
    assert raw == Raw(b"\x81\1!")


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_half_a_frame_is_told_at_the_end(cut: int) -> None:
    client, server, spoken = opened()
    half = server.encode("never whole")[:cut]
    spoken += [(S, server.encode("whole") + half), (C, client.encode("?")[:3])]
    assert heard(spoken)[0] == "whole"
    assert [what for _, what in told(spoken)][-1] == Raw(half)


def test_frames_that_are_never_answered_are_told_at_the_end() -> None:
    _, _, spoken = opened()
    assert heard([spoken[0], (C, b"early")]) == [Raw(b"early")]


def test_sizes_that_an_endpoint_refuses_are_nothing_to_a_witness() -> None:
    client, _, spoken = opened()
    many = [client.encode_fragment("", fin=False) for _ in range(5000)]
    large = "x" * (2**20 + 1)
    spoken += [(C, b"".join(many) + client.encode_fragment(large, fin=True))]
    assert heard(spoken) == [large]
