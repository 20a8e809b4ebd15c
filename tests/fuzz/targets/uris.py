"""URIs: any text is taken apart into what can be dialled and asked for, or refused."""

from __future__ import annotations

from base64 import b64decode
from ipaddress import IPv6Address

from wsclient.errors import InvalidURI
from wsclient.protocol import URI, Endpoint, Request, Role, parse_uri

SECRET = "correct-horse"


def target(data: bytes) -> None:
    """Taken apart, written and taken apart again it is the same."""
    text = data.decode("utf-8", "surrogateescape")
    for url in (text, f"ws://{text}", f"ws://someone:{SECRET}{text}"):
        shown = ""
        try:
            uri = parse_uri(url)
        except InvalidURI as error:
            shown = str(error)
        else:
            assert "#" not in url
            check(uri)
            shown = f"{uri} {uri!r}"
        assert SECRET not in shown or SECRET in text


def check(uri: URI) -> None:
    """It names a host and a port, and its request says where it goes."""
    assert 1 <= uri.port <= 65535
    assert uri.host.isascii()
    assert uri.host == uri.host.lower() or "%" in uri.host  # a zone keeps its case
    if ":" in uri.host:
        IPv6Address(uri.host)
    else:
        assert 1 <= len(uri.host) <= 254
        assert not set(uri.host) & set(" /?#@[]\\%")
    again = parse_uri(str(uri))
    assert str(again) == str(uri)
    assert (again.secure, again.port, again.target) == (
        uri.secure,
        uri.port,
        uri.target,
    )
    assert again.host == uri.host.partition("%")[0]
    assert again.userinfo is None

    client, server = Endpoint(Role.CLIENT), Endpoint(Role.SERVER)
    [request] = server.receive_data(client.connect(uri))
    assert isinstance(request, Request)
    values = dict(request.headers)
    assert request.target == uri.target
    assert values["host"] == uri.authority
    if uri.userinfo is not None:
        assert ":" not in uri.userinfo[0]
        scheme, _, credentials = values["authorization"].partition(" ")
        assert scheme == "Basic"
        assert b64decode(credentials).decode() == ":".join(uri.userinfo)
