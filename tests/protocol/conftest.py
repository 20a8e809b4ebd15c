"""What the protocol's tests share: frames made naively, pairs, feeding three ways."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

from wsclient.errors import ArgumentError
from wsclient.protocol import Deflate, Endpoint, Event, Limits, Role, parse_uri

# The same examples on every run, and no judgement by the clock of a busy machine.
settings.register_profile(
    "wsclient",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wsclient")
# WSCLIENT_EXAMPLES=20000: so many for each property instead, new ones on every run.
if examples := os.environ.get("WSCLIENT_EXAMPLES"):
    settings.register_profile(
        "wsclient-long",
        settings.get_profile("wsclient"),
        derandomize=False,
        max_examples=int(examples),
        print_blob=True,
    )
    settings.load_profile("wsclient-long")

KEY = b"\x01\x20\x03\x40"


class Frames:
    """Makes frames the slow way, byte by byte as RFC 6455, section 5.2 draws them."""

    def __init__(self, key: bytes | None) -> None:
        self.key = key

    def __call__(
        self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0
    ) -> bytes:
        head = bytes([fin << 7 | rsv << 4 | opcode])
        mask = 0 if self.key is None else 0x80
        size = len(payload)
        if size < 126:
            head += bytes([mask | size])
        elif size < 1 << 16:
            head += bytes([mask | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([mask | 127]) + size.to_bytes(8, "big")
        if self.key is None:
            return head + payload
        masked = bytes(byte ^ self.key[i % 4] for i, byte in enumerate(payload))
        return head + self.key + masked


class MakePair(Protocol):
    def __call__(
        self,
        client_deflate: Deflate | None = None,
        server_deflate: Deflate | None = None,
        *,
        max_message_size: int | None = 2**20,
        limits: Limits | None = None,
    ) -> tuple[Endpoint, Endpoint]: ...


def make_pair(
    client_deflate: Deflate | None = None,
    server_deflate: Deflate | None = None,
    *,
    max_message_size: int | None = 2**20,
    limits: Limits | None = None,
) -> tuple[Endpoint, Endpoint]:
    """Return a client and a server that have done the opening handshake."""
    client = Endpoint(
        Role.CLIENT,
        deflate=client_deflate,
        max_message_size=max_message_size,
        limits=limits,
        random=lambda size: KEY * (size // 4),
    )
    server = Endpoint(
        Role.SERVER,
        deflate=server_deflate,
        max_message_size=max_message_size,
        limits=limits,
    )
    server.receive_data(client.connect(parse_uri("ws://example.com/")))
    client.receive_data(server.accept())
    return client, server


def read_three_ways(
    make: Callable[[], Endpoint], data: bytes, trailing: bytes = b"\x81"
) -> list[Event]:
    """Feed ``data`` whole, byte by byte, and with the start of something after it."""
    whole = make().receive_data(data)
    endpoint = make()
    single = [
        event
        for i in range(len(data))
        for event in endpoint.receive_data(memoryview(data)[i : i + 1])
    ]
    assert single == whole
    assert make().receive_data(memoryview(bytearray(data + trailing))) == whole
    return whole


@pytest.fixture(scope="session")
def pair() -> MakePair:
    return make_pair


@pytest.fixture(scope="session")
def read() -> Callable[[Callable[[], Endpoint], bytes], list[Event]]:
    return read_three_ways


@pytest.fixture(scope="session")
def from_server() -> Frames:
    return Frames(None)


@pytest.fixture(scope="session")
def from_client() -> Frames:
    return Frames(KEY)


@pytest.fixture(scope="session", params=["zlib", "isal", "zlib-ng"])
def backend(request: pytest.FixtureRequest) -> str:
    """What compresses; all but isal inflate too."""
    name = str(request.param)
    try:
        Deflate(backend=name)
    except ArgumentError as error:  # there is no wheel of it for every machine
        pytest.skip(str(error))
    return name
