"""How addresses and errors are written."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from anyio.abc import SocketAttribute

from wsclient.transport.sockets import (
    Address,
    SocketAttributes,
    authority,
    plain,
    text_of,
    tune,
)


@pytest.mark.parametrize(
    ("sockaddr", "expected"),
    [
        (("192.0.2.1", 80), ("192.0.2.1", 80)),
        (("2001:db8::1", 80, 0, 0), ("2001:db8::1", 80)),
        (("fe80::1", 80, 0, 3), ("fe80::1%3", 80)),
        (("fe80::1%eth0", 80, 0, 3), ("fe80::1%eth0", 80)),
        ("/run/feed.sock", "/run/feed.sock"),
        (b"\0abstract", "\0abstract"),
        (None, "None"),
    ],
)
def test_socket_addresses_are_written_as_anyio_writes_them(
    sockaddr: Any, expected: Address
) -> None:
    assert plain(sockaddr) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("example.com", 443), "example.com:443"),
        (("2001:db8::1", 443), "[2001:db8::1]:443"),
        ("/run/feed.sock", "/run/feed.sock"),
    ],
)
def test_an_authority_is_written_as_in_a_uri(address: Address, expected: str) -> None:
    assert authority(address) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ConnectionResetError("by peer"), "by peer"),
        (EOFError(), "EOFError"),
    ],
)
def test_an_error_is_told_in_words(error: Exception, expected: str) -> None:
    assert text_of(error) == expected


def test_unix_sockets_have_no_tcp_options() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        tune(left)
        assert not left.getblocking()


def test_a_socket_tells_its_attributes_also_when_it_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        here, there = near.getsockname(), near.getpeername()
        attributes = SocketAttributes(near)
        near.close()
    told = {attribute: attributes[attribute]() for attribute in attributes}
    assert told == {
        SocketAttribute.family: socket.AF_INET,
        SocketAttribute.local_address: here,
        SocketAttribute.local_port: here[1],
        SocketAttribute.raw_socket: near,
        SocketAttribute.remote_address: there,
        SocketAttribute.remote_port: there[1],
    }
    assert len(attributes) == 6
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert SocketAttribute.local_port not in SocketAttributes(left)
