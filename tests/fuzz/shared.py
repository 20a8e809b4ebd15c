"""What the targets share: options drawn from the input, endpoints, heads, frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import h11

from wsclient.protocol import (
    URI,
    Deflate,
    Endpoint,
    Headers,
    Limits,
    Role,
    State,
    parse_uri,
)

# The example of RFC 6455, section 1.3: its answer stands in seeds and dictionaries.
NONCE = b"the sample nonce"
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DIALLED: URI = parse_uri("ws://example.com/chat")

_NARROW = Limits(
    max_fragments=3,
    max_control_backlog=2,
    max_headers=8,
    max_header_size=250,
    max_head_size=600,
    max_body_size=16,
)
_BARE = Deflate(server_max_window_bits=None, client_max_window_bits=None)
_TIGHT = Deflate(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=9,
    client_max_window_bits=8,
    fallback=False,
)
_DEFLATES = (None, Deflate(), _BARE, _TIGHT, Deflate(client_max_window_bits=15))

STORIES = (
    "",
    "closing",  # we have sent our Close frame
    "told",  # the first message is told in parts,
    "kept",  # and after the first of them kept again,
    "dropped",  # or dropped
    "rejected",  # a server does not want the client
    "eof",  # the peer hangs up in the end
    "plain",  # a server takes plain HTTP too
    "held",  # reading stops at what is too large, and then goes on,
    "spared",  # or what is too large is told in parts
)

CHOICES: Mapping[str, Sequence[Any]] = {
    "role": (Role.CLIENT, Role.SERVER),
    "size": (2**20, 1, 16, 125, 1000, 70_000, None),
    "limits": (Limits(), _NARROW),
    "deflate": _DEFLATES,
    "peers_deflate": _DEFLATES,
    "subprotocols": ((), ("chat",), ("superchat", "chat")),
    "story": STORIES,
    "first": range(1, 257),
    "then": range(1, 257),
}
"""What each of the first bytes of an input chooses from: the byte is the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The options of one run; a target uses those that mean something to it."""

    role: Role = Role.CLIENT
    size: int | None = 2**20
    limits: Limits = CHOICES["limits"][0]
    deflate: Deflate | None = None
    peers_deflate: Deflate | None = None
    subprotocols: tuple[str, ...] = ()
    story: str = ""
    first: int = 1
    then: int = 1

    def pack(self) -> bytes:
        """Return the bytes that choose this."""
        return bytes(
            CHOICES[field.name].index(getattr(self, field.name))
            for field in fields(self)
        )

    def chunks(self, data: bytes) -> Iterator[memoryview]:
        """Cut ``data`` into a first chunk and equal ones, each gone after its use."""
        start, size = 0, self.first
        while start < len(data):
            with memoryview(bytearray(data[start : start + size])) as view:
                yield view
            start, size = start + size, self.then


def read_setup(data: bytes) -> tuple[Setup, bytes]:
    """Take the options off an input; where it is too short they are the first ones."""
    chosen = {
        name: choices[byte % len(choices)]
        for (name, choices), byte in zip(CHOICES.items(), data, strict=False)
    }
    return Setup(**chosen), data[len(CHOICES) :]


def endpoint(setup: Setup, role: Role, deflate: Deflate | None) -> Endpoint:
    """Return a new endpoint, its dice known."""
    return Endpoint(
        role,
        max_message_size=setup.size,
        limits=setup.limits,
        deflate=deflate,
        subprotocols=setup.subprotocols,
        random=lambda size: (NONCE * 256)[:size],
        plain_http=setup.story == "plain",
        hold_oversized=setup.story in ("held", "spared"),
    )


def opened(setup: Setup) -> Endpoint:
    """Return the endpoint under test behind the opening handshake."""
    us = _opened(replace(setup, subprotocols=(), first=1, then=1))
    # A copy is had sooner than another handshake; what cannot change is shared.
    constant = (setup.limits, setup.deflate, us.request, us.response)
    return deepcopy(us, {id(item): item for item in constant})


@cache
def _opened(setup: Setup) -> Endpoint:
    us = endpoint(setup, setup.role, setup.deflate)
    if setup.role is Role.CLIENT:
        us.connect(DIALLED)
        us.receive_data(_answer(setup.deflate, setup.peers_deflate))
    else:
        us.receive_data(_request(setup.peers_deflate))
        us.accept()
    assert us.state is State.OPEN
    return us


def _request(deflate: Deflate | None) -> bytes:
    return endpoint(Setup(), Role.CLIENT, deflate).connect(DIALLED)


def _answer(clients: Deflate | None, servers: Deflate | None) -> bytes:
    server = endpoint(Setup(), Role.SERVER, servers)
    server.receive_data(_request(clients))
    return server.accept()


def opposite(role: Role) -> Role:
    """Return the role of the peer."""
    return Role.SERVER if role is Role.CLIENT else Role.CLIENT


def frame(
    opcode: int, payload: bytes, *, to: Role, fin: bool = True, rsv1: bool = False
) -> bytes:
    """Make a frame as RFC 6455, section 5.2, draws it; a mask of zeros masks not."""
    masked = 0x80 if to is Role.SERVER else 0
    head = bytes([fin << 7 | rsv1 << 6 | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + size.to_bytes(8, "big")
    return head + bytes(4 if masked else 0) + payload


def check_head(headers: Headers, limits: Limits) -> None:
    """No header could break a head, and there are not too many of them."""
    assert len(headers) <= limits.max_headers
    for name, value in headers:
        assert name == name.lower()
        assert name.isascii()
        assert not set(name) & set(" \t:")
        assert not set(name + value) & set("\r\n\0")
        assert len(name + value) <= limits.max_header_size
    assert sum(len(name + value) for name, value in headers) <= limits.max_head_size


def read_answer(said: bytes, method: str) -> tuple[int, Headers, bytes]:
    """Read what a server answers as any client would: status, headers, body."""
    http = h11.Connection(h11.CLIENT)
    asked = [("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
    http.send(h11.Request(method=method, target="/", headers=asked))
    http.send(h11.EndOfMessage())
    http.receive_data(said)
    head = http.next_event()
    assert isinstance(head, h11.InformationalResponse | h11.Response)
    headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in head.headers)
    body = b""
    if head.status_code == 101:
        assert http.trailing_data == (b"", False)
        return 101, headers, body
    while isinstance(event := http.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert http.trailing_data == (b"", False)
    return head.status_code, headers, body


def refuses(error: type[Exception], call: Callable[[], object]) -> bool:
    """Whether a call raises the error that is documented."""
    try:
        call()
    except error:
        return True
    return False
