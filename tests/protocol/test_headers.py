"""The grammar of headers, both ways."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError
from wsclient.protocol.headers import (
    MalformedHeader,
    basic_authorization,
    by_name,
    check_header,
    check_subprotocol,
    format_extensions,
    header_values,
    parse_extensions,
    parse_tokens,
)


@given(st.lists(st.tuples(st.sampled_from(["Host", "HOST", "vary", "X"]), st.text())))
def test_all_values_by_name_are_those_of_each_name(
    headers: list[tuple[str, str]],
) -> None:
    values = by_name(headers)
    assert set(values) == {name.lower() for name, _ in headers}
    for name in ("host", "Vary", "x"):
        assert values[name.lower()] == header_values(headers, name)


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "é\xff", 'a,b;c="d"'])
def test_a_good_header_passes(value: str) -> None:
    check_header("X-Good_1", value)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("X", "a\r\nEvil: b", "CR or LF"),
        ("X", "a\n", "CR or LF"),
        ("X", "a\x00", "encode control characters"),
        ("X", " a", "strip spaces"),
        ("X", "a ", "strip spaces"),
        ("X", "€", "not latin-1"),
        ("", "a", "cannot be the name"),
        ("X:", "a", "cannot be the name"),
        ("X Y", "a", "cannot be the name"),
        ("X\r\n", "a", "cannot be the name"),
        ("É", "a", "cannot be the name"),
        ("X", 5, "pair of str"),
        (b"X", "a", "pair of str"),
    ],
)
def test_a_header_that_could_break_the_head_is_refused(
    name: Any, value: Any, remedy: str
) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        check_header(name, value)


def test_a_refused_value_is_not_shown() -> None:
    with pytest.raises(ArgumentError) as caught:
        check_header("Authorization", "Bearer secret\n")
    assert "secret" not in str(caught.value)


def test_the_name_of_a_subprotocol_is_a_token() -> None:
    check_subprotocol("graphql-transport-ws")
    for name in ("", "a b", "a,b", "é", "a\n", 5):
        with pytest.raises(ArgumentError, match="cannot be the name of a subprotocol"):
            check_subprotocol(name)  # type: ignore[arg-type]


def test_headers_are_found_without_regard_to_case() -> None:
    headers = [("Cookie", "a"), ("X", "b"), ("cookie", "c")]
    assert header_values(headers, "COOKIE") == ["a", "c"]


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ([], []),
        ([""], []),
        (["a"], ["a"]),
        (["a, b", "c\t"], ["a", "b", "c"]),
        ([" ,a,, b ,"], ["a", "b"]),
    ],
)
def test_a_list_of_tokens_is_parsed(values: list[str], tokens: list[str]) -> None:
    assert parse_tokens(values) == tokens


@pytest.mark.parametrize("value", ["a b", '"a"', "a;b", "é"])
def test_a_list_of_other_things_is_malformed(value: str) -> None:
    with pytest.raises(MalformedHeader):
        parse_tokens([value])


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        ([], []),
        (["a"], [("a", ())]),
        (["a", "b"], [("a", ()), ("b", ())]),
        ([" , a ; b ; c = 1 , d"], [("a", (("b", None), ("c", "1"))), ("d", ())]),
        (['a;b="1"'], [("a", (("b", "1"),))]),
        ([r'a;b="\1\2" , c'], [("a", (("b", "12"),)), ("c", ())]),
    ],
)
def test_extensions_are_parsed(values: list[str], extensions: list[Any]) -> None:
    assert parse_extensions(values) == extensions


@pytest.mark.parametrize(
    "value",
    [";", "a;", "a;;b", "a;b=", "a b", 'a;b="', 'a;b=""', 'a;b="x y"', "a=1", "é"],
)
def test_malformed_extensions_are_told(value: str) -> None:
    with pytest.raises(MalformedHeader):
        parse_extensions([value])


TOKENS = st.text("abcXYZ019-_!", min_size=1)


@given(
    st.lists(
        st.tuples(
            TOKENS,
            st.lists(st.tuples(TOKENS, st.none() | TOKENS)).map(tuple),
        )
    )
)
def test_extensions_written_are_read_back(extensions: list[Any]) -> None:
    assert parse_extensions([format_extensions(extensions)]) == extensions


@given(st.text())
def test_any_text_is_parsed_or_malformed(text: str) -> None:
    for parse in (parse_tokens, parse_extensions):
        with suppress(MalformedHeader):
            parse([text])


def test_basic_credentials_are_those_of_rfc_7617() -> None:
    assert basic_authorization("Aladdin", "open sesame") == (
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    )
