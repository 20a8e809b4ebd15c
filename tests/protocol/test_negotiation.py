"""permessage-deflate in all combinations of offers, settings and answers (RFC 7692)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product

import pytest

from wsclient.protocol import Deflate, Endpoint, HandshakeFailed, Role, parse_uri
from wsclient.protocol.deflate import NegotiationError, accept_offers, check_response
from wsclient.protocol.headers import Extension, format_extensions, parse_extensions

Pair = Callable[..., tuple[Endpoint, Endpoint]]
Parameters = tuple[tuple[str, str | None], ...]
Answer = dict[str, str | None]

PMD = "permessage-deflate"
SERVER_DROPS = "server_no_context_takeover"
CLIENT_DROPS = "client_no_context_takeover"
SERVER_BITS = "server_max_window_bits"
CLIENT_BITS = "client_max_window_bits"

BITS = [str(bits) for bits in range(8, 16)]
NOT_BITS = ["0", "7", "16", "08", "+9", "-9", "9.0", "0x9", "1_0", "nine", "99999"]
SETTINGS = (None, *range(8, 16))

# The ways in which each parameter can stand in an offer or an answer: absent, once
# without or with a value, twice.
Ways = dict[str, list[Parameters]]


def once(name: str, values: Iterable[str | None]) -> list[Parameters]:
    return [(), *(((name, value),) for value in values)]


GOOD: Ways = {
    SERVER_DROPS: once(SERVER_DROPS, [None]),
    CLIENT_DROPS: once(CLIENT_DROPS, [None]),
    SERVER_BITS: once(SERVER_BITS, BITS),
    CLIENT_BITS: once(CLIENT_BITS, BITS),
}
GOOD_OFFER = {**GOOD, CLIENT_BITS: once(CLIENT_BITS, [None, *BITS])}


def spoilt(good: Ways) -> Ways:
    """The ways of ``good`` and all the bad ones."""
    ways: Ways = {}
    for name, fine in good.items():
        flag = name in (SERVER_DROPS, CLIENT_DROPS)
        values = ["1", "true", "8"] if flag else [None, *NOT_BITS]
        bad = [way for way in once(name, values) if way not in fine]
        twice = [((name, None),) * 2, ((name, "9"), (name, "10")), ((name, "8"),) * 2]
        ways[name] = [*fine, *bad, *twice]
    return {**ways, "unknown": [(), (("unknown", None),), (("Server_Bits", "9"),)]}


def every(ways: Ways) -> Iterator[Parameters]:
    for chosen in product(*ways.values()):
        yield sum(chosen, ())


def settings_of(*, fallback: Iterable[bool] = (True,)) -> list[Deflate]:
    flags = (False, True)
    return [
        Deflate(
            server_no_context_takeover=server_drops,
            client_no_context_takeover=client_drops,
            server_max_window_bits=server_bits,
            client_max_window_bits=client_bits,
            fallback=again,
        )
        for server_drops, client_drops, server_bits, client_bits, again in product(
            flags, flags, SETTINGS, SETTINGS, fallback
        )
    ]


FEW = [
    Deflate(),
    Deflate(server_max_window_bits=None, client_max_window_bits=None),
    Deflate(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=10,
        client_max_window_bits=11,
        fallback=False,
    ),
]


# The oracle: RFC 7692, section 7.1, and nothing of the code under test


def faults(parameters: Parameters, *, answer: bool) -> set[str]:
    """Name what must be declined in an offer, or fails the connection in an answer."""
    bad = set()
    names = [name for name, _ in parameters]
    for name, value in parameters:
        if names.count(name) > 1:
            bad.add(name)  # 7.1: "multiple extension parameters with the same name"
        if name in (SERVER_DROPS, CLIENT_DROPS):
            good = value is None  # 7.1.1.1, 7.1.1.2: no value
        elif name == SERVER_BITS:
            good = value in BITS  # 7.1.2.1: 8 to 15 without leading zeros
        elif name == CLIENT_BITS:
            good = value in BITS or (value is None and not answer)  # 7.1.2.2
        else:
            good = False  # 7.1: "not defined for use in an offer"
        if not good:
            bad.add(name)
    return bad


def answer_of(offers: Sequence[Extension], server: Deflate) -> Answer | None:
    """What a server with these settings says to these offers; None declines them."""
    for name, parameters in offers:
        if name != PMD or faults(parameters, answer=False):
            continue  # 5.1: the next one in order of preference
        asked = dict(parameters)
        answer: Answer = {}
        # 7.1.1.1: what is asked for is kept; a server may do so unasked.
        if SERVER_DROPS in asked or server.server_no_context_takeover:
            answer[SERVER_DROPS] = None
        # 7.1.1.2: an offer of it is a hint only; a server may demand it unasked.
        if CLIENT_DROPS in asked or server.client_no_context_takeover:
            answer[CLIENT_DROPS] = None
        # 7.1.2.1: the same or a smaller window than asked for, and any unasked.
        if SERVER_BITS in asked or server.server_max_window_bits:
            least = min(int(asked.get(SERVER_BITS) or 15), bits_of(server)[0])
            answer[SERVER_BITS] = str(least)
        # 7.1.2.2: only for a client that has offered it, and no larger than that.
        if CLIENT_BITS in asked and (
            asked[CLIENT_BITS] or server.client_max_window_bits
        ):
            least = min(int(asked[CLIENT_BITS] or 15), bits_of(server)[1])
            answer[CLIENT_BITS] = str(least)
        return answer
    return None


def bits_of(settings: Deflate) -> tuple[int, int]:
    return (
        settings.server_max_window_bits or 15,
        settings.client_max_window_bits or 15,
    )


def blame(answer: Answer, client: Deflate) -> set[str]:
    """Name what is wrong about a well-formed answer to what this client has offered."""
    bad = set()
    server_bits, _ = bits_of(client)
    # 7.1.2.2: not unless it was offered; the size offered is a hint, and no limit.
    if CLIENT_BITS in answer and client.client_max_window_bits is None:
        bad.add(CLIENT_BITS)
    if client.fallback:
        return bad  # the second offer asks nothing of the server
    # 7.1.1.1 and 7.1.2.1: accepted only by saying so.
    if client.server_no_context_takeover and SERVER_DROPS not in answer:
        bad.add(SERVER_DROPS)
    if client.server_max_window_bits and (
        SERVER_BITS not in answer or int(answer[SERVER_BITS] or 0) > server_bits
    ):
        bad.add(SERVER_BITS)
    return bad


# What a server answers


def said(offers: list[Extension], server: Deflate) -> Answer | None:
    agreed = accept_offers(offers, server)
    if agreed is None:
        return None
    name, parameters = agreed.extension()
    assert name == PMD
    assert len({key for key, _ in parameters}) == len(parameters)
    return dict(parameters)


def test_every_good_offer_is_answered_by_every_server() -> None:
    offers = [(PMD, parameters) for parameters in every(GOOD_OFFER)]
    assert len(offers) == 2 * 2 * 9 * 10
    for server in settings_of():
        for offer in offers:
            assert said([offer], server) == answer_of([offer], server), offer


@pytest.mark.parametrize("server", FEW)
def test_every_offer_good_or_bad_is_answered_or_declined(server: Deflate) -> None:
    declined = 0
    for parameters in every(spoilt(GOOD_OFFER)):
        offer = (PMD, parameters)
        expected = answer_of([offer], server)
        assert said([offer], server) == expected, offer
        declined += expected is None
    assert declined > 40_000


OFFERS: list[Extension] = [
    (PMD, ()),
    (PMD, ((SERVER_DROPS, None), (CLIENT_BITS, None))),
    (PMD, ((CLIENT_BITS, "9"), (SERVER_BITS, "8"), (CLIENT_DROPS, None))),
    (PMD, ((SERVER_BITS, "16"),)),
    (PMD, ((SERVER_BITS, None),)),
    (PMD, ((CLIENT_BITS, "10"), (CLIENT_BITS, "10"))),
    (PMD, ((CLIENT_DROPS, "1"),)),
    (PMD, (("unknown", "10"),)),
    ("foreign", ((SERVER_BITS, "10"),)),
    ("x-webkit-deflate-frame", ()),
]


def spellings(offers: Sequence[Extension]) -> Iterator[list[str]]:
    """The same offers in one header, in one each, and as oddly as is allowed."""
    plain = format_extensions(offers)
    yield [plain]
    yield [format_extensions([offer]) for offer in offers]
    yield [" , ", *plain.replace("; ", "\t;\t").replace("=", " = ").split(", "), ","]
    yield [re.sub(r"=(\w)(\w*)", r'="\\\1\2"', plain)]


@pytest.mark.parametrize("server", FEW)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_first_good_one_of_several_offers_is_answered(
    server: Deflate, count: int
) -> None:
    for offers in product(OFFERS, repeat=count):
        expected = answer_of(offers, server)
        for headers in spellings(offers):
            assert said(parse_extensions(headers), server) == expected, headers


@pytest.mark.parametrize("server", FEW)
def test_the_answer_stands_in_the_response_of_the_handshake(server: Deflate) -> None:
    for offers in product(OFFERS, repeat=2):
        for headers in spellings(offers):
            endpoint = Endpoint(Role.SERVER, deflate=server)
            endpoint.receive_data(asking(headers))
            answer = answered(endpoint.accept())
            assert answer == answer_of(offers, server)
            assert endpoint.response is not None
            assert endpoint.response.compression is (answer is not None)


def answered(head: bytes) -> Answer | None:
    lines = [line.partition(": ") for line in head.decode().split("\r\n")]
    values = [line[2] for line in lines if line[0] == "Sec-WebSocket-Extensions"]
    if not values:
        return None
    [value] = values
    name, *parameters = value.split("; ")
    assert name == PMD
    pairs = [parameter.partition("=") for parameter in parameters]
    return {key: bits or None for key, _, bits in pairs}


def asking(headers: list[str]) -> bytes:
    lines = [
        "GET / HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(f"Sec-WebSocket-Extensions: {header}" for header in headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# What a client takes


def refusal(answer: list[Extension], client: Deflate | None) -> str | None:
    try:
        check_response(answer, client)
    except NegotiationError as error:
        return str(error)
    return None


@pytest.mark.parametrize("fallback", [False, True])
def test_every_client_takes_every_answer_to_its_offers_and_no_other(
    fallback: bool,
) -> None:
    answers = [(PMD, parameters) for parameters in every(GOOD)]
    assert len(answers) == 2 * 2 * 9 * 9
    for client in settings_of(fallback=[fallback]):
        for answer in answers:
            bad = blame(dict(answer[1]), client)
            text = refusal([answer], client)
            assert bool(bad) is (text is not None), (answer, client)
            if text is not None:
                assert any(name in text for name in bad), (answer, client, text)


@pytest.mark.parametrize("client", FEW)
def test_every_malformed_answer_is_refused_by_the_name_of_its_fault(
    client: Deflate,
) -> None:
    refused = 0
    for parameters in every(spoilt(GOOD)):
        bad = faults(parameters, answer=True)
        if bad:
            text = refusal([(PMD, parameters)], client)
            assert text is not None, parameters
            assert any(name in text for name in bad), (parameters, text)
            refused += 1
    assert refused > 40_000


@pytest.mark.parametrize(
    ("answer", "client", "text"),
    [
        (PMD, None, "'permessage-deflate', which was not offered"),
        ("foreign", FEW[0], "'foreign', which was not offered"),
        (f"{PMD}, {PMD}", FEW[0], "more than one extension"),
        (f"{PMD}, foreign", FEW[0], "more than one extension"),
        (f"{PMD}; unknown=1", FEW[0], "parameter unknown is unknown"),
        (f"{PMD}; {SERVER_BITS}=16", FEW[0], f"{SERVER_BITS}=16 is invalid"),
        (f"{PMD}; {SERVER_BITS}", FEW[0], f"{SERVER_BITS} is invalid"),
        (f"{PMD}; {CLIENT_BITS}", FEW[0], f"{CLIENT_BITS} is invalid"),
        (f"{PMD}; {SERVER_DROPS}=1", FEW[0], f"{SERVER_DROPS}=1 is invalid"),
        (f"{PMD}; {CLIENT_DROPS}; {CLIENT_DROPS}", FEW[0], f"{CLIENT_DROPS} stands tw"),
        (f"{PMD}; {CLIENT_BITS}=9", FEW[1], f"{CLIENT_BITS}, which was not offered"),
        (f"{PMD}; {SERVER_BITS}=9", FEW[2], f"without {SERVER_DROPS}, which was asked"),
        (f"{PMD}; {SERVER_DROPS}", FEW[2], f"without {SERVER_BITS}, which was asked"),
        (
            f"{PMD}; {SERVER_DROPS}; {SERVER_BITS}=11",
            FEW[2],
            f"{SERVER_BITS}=11, more than the 10 offered",
        ),
        (f"{PMD}; {SERVER_BITS}=", FEW[0], "malformed"),
        (f"{PMD} {SERVER_DROPS}", FEW[0], "malformed"),
    ],
)
def test_a_handshake_fails_by_the_name_of_what_was_wrong_with_the_answer(
    answer: str, client: Deflate | None, text: str
) -> None:
    endpoint = Endpoint(Role.CLIENT, deflate=client, random=lambda size: b"k" * size)
    server = Endpoint(Role.SERVER)
    server.receive_data(endpoint.connect(parse_uri("ws://example.com/")))
    head = server.accept()
    extensions = f"Sec-WebSocket-Extensions: {answer}\r\n\r\n".encode()
    [event] = endpoint.receive_data(head[:-2] + extensions)
    assert isinstance(event, HandshakeFailed)
    assert text in event.detail
    assert event.status == 101
    assert endpoint.receive_data(b"\x81\x00") == []
    assert not endpoint.pending


@pytest.mark.parametrize("client", FEW)
@pytest.mark.parametrize("server", FEW)
def test_any_two_ends_agree_and_understand_each_other(
    pair: Pair, client: Deflate, server: Deflate
) -> None:
    ends = pair(client, server)
    for us, peer in (ends, ends[::-1]):
        assert us.response is not None
        assert us.response.compression
        for text in ("the same words", "", "the same words"):
            assert peer.receive_data(us.encode(text)) == [text]
