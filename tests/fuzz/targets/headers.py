"""Headers: any text follows their grammar and is read as it says, or is refused."""

from __future__ import annotations

import re

from wsclient.errors import ArgumentError
from wsclient.protocol import Deflate, Endpoint, Limits, Request, Response, Role
from wsclient.protocol.deflate import NegotiationError, accept_offers, check_response
from wsclient.protocol.headers import (
    Extension,
    MalformedHeader,
    check_headers,
    check_subprotocol,
    format_extensions,
    parse_extensions,
    parse_tokens,
)

from ..naive import is_answer, is_offer, may_answer
from ..shared import CHOICES, DIALLED, refuses

# The grammar of RFC 6455, 9.1, with the empty elements of RFC 9110, 5.6.1.2.
_SPACE = r"[ \t]*+"
_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rf'(?:{_TCHAR}++|"(?:\\?{_TCHAR})++")'
_PARAMETER = rf"{_SPACE};{_SPACE}{_TCHAR}++(?:{_SPACE}={_SPACE}{_VALUE})?"
_TOKENS = re.compile(
    rf"(?:{_SPACE}(?:{_TCHAR}++)?{_SPACE},)*{_SPACE}(?:{_TCHAR}++)?{_SPACE}"
)
_EXTENSION = rf"{_SPACE}(?:{_TCHAR}++(?:{_PARAMETER})*)?{_SPACE}"
_EXTENSIONS = re.compile(rf"{_EXTENSION}(?:,{_EXTENSION})*+")

_ROOMY = Limits(max_header_size=2**20, max_head_size=2**21)


def target(data: bytes) -> None:
    """A byte that chooses settings, then lines: values a peer or a user may give."""
    settings = CHOICES["deflate"][data[0] % 5 if data else 0]
    received = data[1:].decode("latin-1").split("\n")
    check_tokens(received)
    check_extensions(received, settings)
    given = data[1:].decode("utf-8", "surrogateescape")
    check_given(given)
    check_name(given)


def check_tokens(values: list[str]) -> None:
    """A list is read as the grammar has it, over however many lines."""
    if any(_TOKENS.fullmatch(value) is None for value in values):
        assert refuses(MalformedHeader, lambda: parse_tokens(values))
        return
    tokens = parse_tokens(values)
    assert tokens == re.findall(f"{_TCHAR}+", ",".join(values))
    assert parse_tokens([", ".join(tokens)]) == tokens


def check_extensions(values: list[str], settings: Deflate | None) -> None:
    """Extensions are read as the grammar has it, offered or agreed to."""
    if _EXTENSIONS.fullmatch(",".join(values)) is None:
        assert refuses(MalformedHeader, lambda: parse_extensions(values))
        return
    found = parse_extensions(values)
    assert parse_extensions([format_extensions(found)]) == found
    if settings is not None:
        check_offers(found, settings)
    check_agreed(found, settings)


def check_offers(offers: list[Extension], settings: Deflate) -> None:
    """A server takes an offer if there is a good one, and as it was meant."""
    good = [
        parameters
        for name, parameters in offers
        if name.lower() == "permessage-deflate" and is_offer(parameters)
    ]
    agreed = accept_offers(offers, settings)
    assert (agreed is not None) is bool(good)
    if agreed is not None:
        answer = agreed.extension()
        assert parse_extensions([format_extensions([answer])]) == [answer]
        assert is_answer(answer[1])
        assert may_answer(good[0], answer[1])


def check_agreed(answer: list[Extension], settings: Deflate | None) -> None:
    """A client takes the answer to one of its offers, or none at all."""
    right = not answer
    if settings is not None and len(answer) == 1:
        [(name, parameters)] = answer
        right = (
            name.lower() == "permessage-deflate"
            and is_answer(parameters)
            and any(may_answer(offer, parameters) for _, offer in settings.offers())
        )
    if not right:
        assert refuses(NegotiationError, lambda: check_response(answer, settings))
    else:
        assert (check_response(answer, settings) is not None) is bool(answer)


def check_given(line: str) -> None:
    """A user's header arrives as it is, in a request and in a 101, or is refused."""
    name, _, value = line.partition(":")
    headers = [(name, value)]
    client = Endpoint(Role.CLIENT, limits=_ROOMY)
    server = Endpoint(Role.SERVER, limits=_ROOMY)
    if refuses(ArgumentError, lambda: check_headers(headers)):
        assert refuses(ArgumentError, lambda: client.connect(DIALLED, headers=headers))
        server.receive_data(client.connect(DIALLED))
        assert refuses(ArgumentError, lambda: server.accept(headers=headers))
        client.receive_data(server.accept())
        return
    [request] = server.receive_data(client.connect(DIALLED, headers=headers))
    assert isinstance(request, Request)
    [response] = client.receive_data(server.accept(headers=headers))
    assert isinstance(response, Response)
    for head in (request.headers, response.headers):
        assert [v for k, v in head if k == name.lower()] == [value]


def check_name(name: str) -> None:
    """The name of a subprotocol is offered and taken as it is, or refused."""
    if re.fullmatch(f"{_TCHAR}+", name) is None:
        assert refuses(ArgumentError, lambda: check_subprotocol(name))
        return
    client, server = (
        Endpoint(role, subprotocols=[name], limits=_ROOMY)
        for role in (Role.CLIENT, Role.SERVER)
    )
    server.receive_data(client.connect(DIALLED))
    client.receive_data(server.accept())
    assert client.subprotocol == server.subprotocol == name
