"""Plain HTTP answers, and cookies."""

from __future__ import annotations

import pytest

from wsclient.errors import ArgumentError
from wsclient.protocol import Request
from wsclient.server.http import HTTPResponse, cookies, pairs_of


def test_text_is_sent_as_utf_8_and_says_so() -> None:
    assert HTTPResponse(200, "café").encoded() == (
        200,
        (("Content-Type", "text/plain; charset=utf-8"),),
        "café".encode(),
    )


def test_a_content_type_of_ones_own_stays() -> None:
    answer = HTTPResponse(200, "{}", {"content-type": "application/json"})
    assert answer.encoded()[1] == (("content-type", "application/json"),)


def test_bytes_are_sent_as_they_are() -> None:
    answer = HTTPResponse(404, b"\x00", [("X-One", "1"), ("X-One", "2")])
    assert answer.encoded() == (404, (("X-One", "1"), ("X-One", "2")), b"\x00")


def test_a_status_can_be_said_in_words() -> None:
    assert HTTPResponse.of_status(403).body == "403 Forbidden\n"


@pytest.mark.parametrize("status", [101, 199, 600, "200", None])
def test_a_status_that_ends_no_request_is_refused(status: int) -> None:
    with pytest.raises(ArgumentError, match="give 200 to 599"):
        HTTPResponse(status)


@pytest.mark.parametrize("body", [None, 5, {"a": 1}])
def test_a_body_that_is_neither_text_nor_bytes_is_refused(body: str) -> None:
    with pytest.raises(ArgumentError, match="give str or bytes"):
        HTTPResponse(200, body)


def test_text_that_has_no_form_in_utf_8_is_refused() -> None:
    with pytest.raises(ArgumentError, match="lone surrogates"):
        HTTPResponse(200, "\ud800")


@pytest.mark.parametrize(
    "name", ["Connection", "content-length", "Upgrade", "Sec-WebSocket-Accept"]
)
def test_what_the_server_says_by_itself_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match="remove it"):
        HTTPResponse(200, headers=[(name, "1")])


def test_a_header_cannot_smuggle_another_line() -> None:
    with pytest.raises(ArgumentError, match="CR or LF"):
        HTTPResponse(302, headers={"Location": "/\r\nSet-Cookie: a=b"})


@pytest.mark.parametrize("headers", [["X-One: 1"], [("X-One",)], "X-One"])
def test_headers_that_are_no_pairs_are_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ArgumentError, match="pairs of name and value"):
        pairs_of(headers)


def request(*values: str) -> Request:
    return Request(target="/", headers=tuple(("cookie", value) for value in values))


def test_cookies_are_found_by_name() -> None:
    assert cookies(request("a=1; b=2", "c=3")) == {"a": "1", "b": "2", "c": "3"}


def test_a_request_without_cookies_has_none() -> None:
    assert cookies(Request(target="/", headers=(("host", "x"),))) == {}


def test_the_most_specific_of_two_cookies_counts() -> None:
    assert cookies(request("id=inner; id=outer")) == {"id": "inner"}


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ('"two words"', "two words"),
        (r'"a\054b"', "a,b"),  # what Python's own http.cookies sends
        ("a=b==", "a=b=="),
        ("", ""),
        ('{"json":[1,2]}', '{"json":[1,2]}'),
        ("caf\xe9", "caf\xe9"),
    ],
)
def test_values_are_taken_as_clients_send_them(sent: str, value: str) -> None:
    assert cookies(request(f"id={sent}; after=1")) == {"id": value, "after": "1"}


@pytest.mark.parametrize("name", ["path", "expires", "$Version", "a b", ""])
def test_one_odd_cookie_does_not_hide_the_others(name: str) -> None:
    assert cookies(request(f"before=1; {name}=x; junk; ; after=2")) == {
        "before": "1",
        name: "x",
        "after": "2",
    }
