"""URLs taken apart, and each bad one with its remedy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import InvalidURI
from wsclient.protocol import URI, parse_uri


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "target", "authority"),
    [
        ("ws://example.com", False, "example.com", 80, "/", "example.com"),
        ("wss://example.com", True, "example.com", 443, "/", "example.com"),
        ("WSS://EXAMPLE.com:443/A", True, "example.com", 443, "/A", "example.com"),
        ("ws://h:8080/a/b?c=d&e", False, "h", 8080, "/a/b?c=d&e", "h:8080"),
        ("wss://h:80", True, "h", 80, "/", "h:80"),
        ("ws://h:", False, "h", 80, "/", "h"),
        ("ws://h?x=1", False, "h", 80, "/?x=1", "h"),
        ("ws://[::1]:9/x", False, "::1", 9, "/x", "[::1]:9"),
        ("wss://[2001:DB8::1]", True, "2001:db8::1", 443, "/", "[2001:db8::1]"),
        ("ws://[fe80::1%25eth0]/", False, "fe80::1%eth0", 80, "/", "[fe80::1]"),
        ("ws://127.0.0.1", False, "127.0.0.1", 80, "/", "127.0.0.1"),
        ("ws://a_b.c./", False, "a_b.c.", 80, "/", "a_b.c."),
        ("ws://bücher.de/", False, "xn--bcher-kva.de", 80, "/", "xn--bcher-kva.de"),
        ("ws://h/é?ü=%20", False, "h", 80, "/%C3%A9?%C3%BC=%20", "h"),
        ("ws://h/%23?[0]", False, "h", 80, "/%23?[0]", "h"),
        ('ws://h/"<>`{}', False, "h", 80, "/%22%3C%3E%60%7B%7D", "h"),
    ],
)
def test_a_url_is_taken_apart(
    url: str, secure: bool, host: str, port: int, target: str, authority: str
) -> None:
    uri = parse_uri(url)
    assert uri == URI(secure=secure, host=host, port=port, target=target)
    assert uri.authority == authority
    assert str(uri) == f"{'wss' if secure else 'ws'}://{authority}{target}"
    assert uri.authorization is None


def test_user_and_password_become_basic_credentials_and_are_never_shown() -> None:
    uri = parse_uri("wss://al%40ice:s%C3%A9same@example.com/x")
    assert uri.userinfo == ("al@ice", "sésame")
    assert uri.authorization == "Basic YWxAaWNlOnPDqXNhbWU="
    assert "same" not in repr(uri) + str(uri)
    assert parse_uri("ws://bob@h").userinfo == ("bob", "")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("http://h", "write ws:// instead"),
        ("https://h", "write wss:// instead"),
        ("ftp://h", "must begin with ws:// or wss://"),
        ("example.com", "must begin with ws:// or wss://"),
        ("", "must begin with ws:// or wss://"),
        ("ws:///path", "has no host"),
        ("ws://", "has no host"),
        ("ws://:80/", "has no host"),
        ("ws://h/#top", "write '#' as %23"),
        ("ws://h#", "remove '#...'"),
        ("ws://h:99999", "bad host or port"),
        ("ws://h:x", "bad host or port"),
        ("ws://h:-1", "bad host or port"),
        ("ws://h:0", "port 0"),
        ("ws://[::1", "bad host or port"),
        ("ws://[v1.x]/", "no IPv6 address"),
        ("ws://x[::1]/", "nothing but an IPv6 address in []"),
        ("ws://[::1]x:80/", "nothing but an IPv6 address in []"),
        ("ws://[fe80::1%25]/", "'' is no zone"),
        ("ws://[fe80::1%25\u00e9]/", "'\u00e9' is no zone"),
        ("ws://a..b/", "no host name"),
        ("ws://a!b/", "no host name"),
        (f"ws://{'a' * 64}.com/", "no host name"),
        (f"ws://{'a.' * 127}com/", "no host name"),
        (f"ws://{'é' * 64}/", "write it in ASCII"),
        ("ws://h/a b", "write %20"),
        (" ws://h", "strip it"),
        ("ws://h/\r\nX: y", "strip it"),
        ("ws://h\x00", "strip it"),
        ("ws://h/\udc80", "lone surrogates"),
        ("ws://a%3Ab:pw@h/", "has a colon"),
        (b"ws://h", "is a str, not bytes"),
        (None, "is a str, not NoneType"),
    ],
)
def test_a_bad_url_is_refused_with_its_remedy(url: Any, remedy: str) -> None:
    with pytest.raises(InvalidURI) as caught:
        parse_uri(url)
    assert remedy in str(caught.value)


def test_no_error_shows_a_password() -> None:
    for url in ("http://u:secret@h", "ws://u:secret/@h", "ws://u:secret@a\u2100b"):
        with pytest.raises(InvalidURI) as caught:
            parse_uri(url)
        assert "secret" not in str(caught.value)


@given(st.text() | st.text().map("ws://".__add__))
def test_any_text_is_a_uri_that_can_be_sent_or_an_invalid_one(url: str) -> None:
    try:
        uri = parse_uri(url)
    except InvalidURI:
        return
    assert (uri.host + uri.target + uri.authority).isascii()
    assert uri.target.startswith("/")
    assert not set(uri.target) & set(" \r\n\t#")
    assert parse_uri(str(uri)) == URI(
        secure=uri.secure, host=uri.host, port=uri.port, target=uri.target
    )
