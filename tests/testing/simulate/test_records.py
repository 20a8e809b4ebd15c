"""What left a client, read from the network's record."""

from __future__ import annotations

import json

import anyio
import pytest

from wsclient.protocol import Endpoint, Role, parse_uri
from wsclient.testing import Link, wire_pair
from wsclient.testing.simulate.records import left


def say(number: int, pad: str = "") -> str:
    return json.dumps({"op": "say", "id": number, "pad": pad})


@pytest.fixture
async def client(virtual_clock: object) -> tuple[Link, Endpoint]:
    """A link on which a request was answered, and who speaks on it."""
    wires = wire_pair()
    link = Link(1, "client", "feed.test", wires)
    endpoint, server = Endpoint(Role.CLIENT), Endpoint(Role.SERVER)
    request = endpoint.connect(parse_uri("ws://feed.test/"))
    link.up.send(request)
    server.receive_data(request)
    endpoint.receive_data(server.accept())
    return link, endpoint


async def test_messages_are_found_among_all_else(client: tuple[Link, Endpoint]) -> None:
    link, endpoint = client
    assert list(left(link)) == []
    link.up.send(endpoint.encode('{"op":"hello"}') + endpoint.ping(b"?"))
    link.up.send(endpoint.encode(say(7)) + endpoint.encode(say(8, "x" * 500)))
    link.up.send(endpoint.encode('{"op":"subscribe","channel":"a"}'))
    assert [(one.number, one.whole) for one in left(link)] == [(7, True), (8, True)]
    assert all(one.link is link for one in left(link))


async def test_one_that_was_torn_is_known_by_its_beginning(
    client: tuple[Link, Endpoint],
) -> None:
    link, endpoint = client
    link.up.send(endpoint.encode(say(9, "x" * 500))[:60])
    assert [(one.number, one.whole) for one in left(link)] == [(9, False)]


async def test_without_a_request_nothing_left(virtual_clock: object) -> None:
    await anyio.lowlevel.checkpoint()
    link = Link(1, "client", "feed.test", wire_pair())
    link.up.send(b"GET / HTTP/1.1\r\n")
    assert list(left(link)) == []
