"""Compression: any stream in any fragments inflates as zlib says, within bounds."""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wsclient.protocol import (
    Deflate,
    Delivery,
    Endpoint,
    Event,
    Failed,
    Limits,
    Part,
    Role,
)
from wsclient.protocol.backends import maybe_load

from ..naive import NaiveInflater, agreed_parameters, may_be_utf8
from ..reading import (
    HOLDING,
    TELLING,
    check_pieces,
    check_replies,
    check_sizes,
    check_state,
    deliver,
)
from ..shared import Setup, frame, opened, opposite, read_setup

# What inflating takes besides a message: zlib's window and state, and the blocks in
# which Python collects its output.
WORKSPACE = 256 * 1024


BACKENDS = [name for name in ("zlib", "isal", "zlib-ng") if maybe_load(name)]


@dataclass(frozen=True, slots=True)
class Message:
    """A compressed message as its fragments; the last one may be missing."""

    text: bool
    fragments: list[bytes]
    whole: bool

    def frames(self, to: Role) -> bytes:
        """Write it as the peer would."""
        last = len(self.fragments) - 1
        return b"".join(
            frame(
                0 if i else 1 if self.text else 2,
                fragment,
                to=to,
                fin=self.whole and i == last,
                rsv1=not i,
            )
            for i, fragment in enumerate(self.fragments)
        )


def target(data: bytes) -> None:
    """Hostile messages are refused, good ones read; ours are read too."""
    setup, data = read_setup(data)
    for backend in BACKENDS:
        check(
            replace(
                setup,
                deflate=replace(setup.deflate or Deflate(), backend=backend),
                peers_deflate=setup.peers_deflate or Deflate(),
                story=setup.story if setup.story in (*TELLING, *HOLDING) else "",
            ),
            data,
        )


def check(setup: Setup, data: bytes) -> None:
    """Check all that with one backend, against zlib."""
    messages = list(read_messages(data))
    wire = b"".join(message.frames(setup.role) for message in messages)

    us = opened(setup)
    whole = measured(setup, us, wire, WORKSPACE)
    check_sizes(setup, whole)
    check_inflated(setup, us, messages, whole)
    check_state(us, whole, closing=False)
    check_replies(us, whole, closing=False)

    us = opened(setup)
    us.decide(Delivery.IN_PARTS)
    measured(setup, us, wire, WORKSPACE + 4 * 65536)  # the size of a part
    check_pieces(setup, wire, whole)
    check_conversation(setup, messages)


def measured(setup: Setup, us: Endpoint, wire: bytes, room: int) -> list[Event]:
    """Read all at once; it takes little more than the largest message."""
    tracemalloc.start()
    events = deliver(us, [wire])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if setup.size is not None:
        told = sum(
            sys.getsizeof(event.data if isinstance(event, Part) else event)
            for event in events
        )
        assert peak - told <= 4 * setup.size + 4 * len(wire) + room
    return events


def read_messages(data: bytes) -> Iterator[Message]:
    """Cut an input into fragments: a byte of flags, two of length, the payload."""
    fragments: list[bytes] = []
    text = False
    while data:
        flags, size = data[0], int.from_bytes(data[1:3], "big")
        text = text if fragments else bool(flags & 2)
        fragments.append(data[3 : 3 + size])
        data = data[3 + size :]
        if flags & 1:
            yield Message(text, fragments, True)
            fragments = []
    if fragments:
        yield Message(text, fragments, False)


def faults(setup: Setup, message: Message, inflated: bytes, streams: int) -> set[int]:
    """Return the close codes a message deserves."""
    found = set()
    if setup.size is not None and len(inflated) > setup.size:
        found.add(1009)
    if len(message.fragments) > setup.limits.max_fragments or streams > 64:
        found.add(1008)
    if message.text and not may_be_utf8(inflated, fin=message.whole):
        found.add(1007)
    return found


def check_inflated(
    setup: Setup, us: Endpoint, messages: list[Message], events: list[Event]
) -> None:
    """Each message is what zlib says, up to the first that deserves to fail."""
    assert us.response is not None
    agreed = agreed_parameters(us.response.headers)
    assert agreed is not None
    naive = NaiveInflater(agreed, opposite(us.role))
    told = iter(events)
    for message in messages:
        payload = b"".join(message.fragments)
        try:
            inflated = naive.inflate(payload, fin=message.whole)
        except zlib.error:
            inflated = b""
            allowed = {1007, 1008, 1009}  # it may have been too much before it broke
        else:
            allowed = faults(setup, message, inflated, naive.streams)
        if allowed:
            failed = next(told)
            assert isinstance(failed, Failed)
            assert failed.code in allowed
            break
        if message.whole:
            assert next(told) == (inflated.decode() if message.text else inflated)
    assert list(told) == []


def check_conversation(setup: Setup, messages: list[Message]) -> None:
    """What either end says, whole or in fragments, the other one understands."""
    us = opened(setup)
    peer = opened(
        replace(
            setup,
            role=opposite(setup.role),
            size=None,
            limits=Limits(),
            deflate=setup.peers_deflate,
            peers_deflate=setup.deflate,
        )
    )
    for message in messages:
        whole = b"".join(message.fragments)
        text = whole.decode("latin-1")
        assert peer.receive_data(us.encode(text)) == [text]
        if not message.whole:
            continue
        last = len(message.fragments) - 1
        said = [
            us.encode_fragment(fragment, fin=i == last)
            for i, fragment in enumerate(message.fragments)
        ]
        assert peer.receive_data(b"".join(said)) == [whole]
        if setup.size is None or len(whole) <= setup.size:
            assert us.receive_data(peer.encode(whole)) == [whole]
