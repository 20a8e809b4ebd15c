"""Reading behind the opening handshake, and what holds whatever a peer says there."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from wsclient.protocol import (
    CloseReceived,
    Delivery,
    Endpoint,
    Event,
    Failed,
    Part,
    Ping,
    Pong,
    Role,
    State,
)

from .naive import Naive, NaiveInflater, Parameters, agreed_parameters, unframe
from .shared import Setup, opened

TELLING = ("told", "kept", "dropped")
"""Stories in which the first message is told in parts, at least at first."""
REPLIES = 64 * 160 + 1024
"""Bytes that pongs take up at most while nobody fetches them, and all else."""
HOLDING = ("held", "spared")
"""Stories in which reading stops at a message that is too large."""


def deliver(
    us: Endpoint,
    chunks: Iterable[bytes | memoryview],
    decide: Callable[[list[Event]], None] | None = None,
) -> list[Event]:
    """Feed ``us``; behind events ask whether there are more before new bytes come."""
    events: list[Event] = []
    for chunk in chunks:
        told = us.receive_data(chunk)
        while told or us.held:
            events += told
            if decide is not None:
                decide(told)
            told = us.receive_data(b"")
    return events


def read_pieces(setup: Setup, data: bytes) -> tuple[list[Event], bool]:
    """Read in pieces as the story says; tell whether the first message was dropped."""
    us = opened(setup)
    closing = setup.story == "closing"
    if closing:
        us.close(1001)
    parts: list[Part] = []  # of the message on which is decided
    decided: list[Delivery] = []

    def decide(events: list[Event]) -> None:
        if setup.story == "spared" and us.held:
            us.decide(Delivery.IN_PARTS)
        if setup.story not in ("kept", "dropped") or decided:
            return
        parts.extend(event for event in events if isinstance(event, Part))
        if not parts or parts[-1].fin:
            return
        told = [part.data for part in parts]
        decided.append(Delivery.WHOLE if setup.story == "kept" else Delivery.DROPPED)
        us.decide(decided[0], type(told[0])().join(told))  # type: ignore[arg-type]
        if setup.story == "dropped":
            us.decide(Delivery.IN_PARTS)  # the next one: dropped is dropped

    if setup.story in TELLING:
        us.decide(Delivery.IN_PARTS)
    before = retained(us)
    events = deliver(us, setup.chunks(data), decide)
    kept = 1032 * len(data) if setup.size is None else setup.size
    fed = max(setup.first, setup.then)
    assert retained(us) <= before + kept * 9 // 8 + 2 * fed + REPLIES
    if decided:  # what had been told was given back, or is of no use
        events = [e for e in events if not any(e is part for part in parts)]
    events = joined(events)
    if Delivery.DROPPED in decided:
        told = sum(size_of(part.data) for part in parts)
        check_dropped(setup, us, data, told, events)
    check_state(us, events, closing=closing)
    check_replies(us, events, closing=closing)
    return events, Delivery.DROPPED in decided


def check_pieces(setup: Setup, data: bytes, whole: list[Event]) -> None:
    """In pieces, as the story says, the same is said as read whole."""
    pieces, dropped = read_pieces(setup, data)
    end = ended(whole)
    if dropped:
        messages = [i for i, e in enumerate(whole) if isinstance(e, str | bytes)]
        whole = [event for i, event in enumerate(whole) if i not in messages[:1]]
    exactly = None in (setup.deflate, setup.peers_deflate)
    bounded = setup.story not in (*TELLING, "spared")
    if bounded and exactly:
        assert pieces == whole
    elif not bounded and isinstance(end, Failed) and end.code > 1007:
        # What is not kept is not bounded: it may go on.
        assert pieces[: len(whole) - 1] == whole[:-1]
    else:
        assert blurred(pieces) == blurred(whole)
    if setup.story == "spared":
        naive = Naive(
            masked=setup.role is Role.SERVER,
            limits=setup.limits,
            compression=not exactly,
        )
        naive.read(data)
        naive.sure = naive.sure and naive.end != 1008  # told fragments are not counted
        check_said(naive, pieces)


def check_said(naive: Naive, events: Sequence[Event]) -> None:
    """It is what the second reader read, as far as that is sure."""
    end = ended(events)
    said = events[:-1] if isinstance(end, Failed) else events
    if naive.sure:
        assert said == naive.events
        assert isinstance(end, Failed) is bool(naive.end)
        assert not isinstance(end, Failed) or end.code == naive.end
    else:
        assert said[: len(naive.events)] == naive.events


def check_reading(
    setup: Setup, us: Endpoint, data: bytes, events: list[Event], *, closing: bool
) -> None:
    """What was read is what a second reader reads, and all the rest holds."""
    check_state(us, events, closing=closing)
    check_sizes(setup, events)
    naive = Naive(
        masked=us.role is Role.SERVER,
        size=setup.size,
        limits=setup.limits,
        compression=us.response is not None and us.response.compression,
    )
    naive.read(data)
    check_said(naive, events)
    if us.state is State.OPEN:
        assert us.response is not None
        check_speech(us, agreed_parameters(us.response.headers))
    check_replies(us, events, closing=closing)


def check_dropped(
    setup: Setup, us: Endpoint, data: bytes, told: int, events: list[Event]
) -> None:
    """No more of a message is dropped than the limit of one."""
    naive = Naive(
        masked=us.role is Role.SERVER,
        limits=setup.limits,
        compression=us.response is not None and us.response.compression,
    )
    naive.read(data)
    message = next((e for e in naive.events if isinstance(e, str | bytes)), b"")
    within = setup.size is None or size_of(message) - told <= setup.size
    assert within or isinstance(ended(events), Failed)


def joined(events: Iterable[Event]) -> list[Event]:
    """Put the parts of each message together; one that was not finished is left out."""
    whole: list[Event] = []
    data: list[Any] = []
    for event in events:
        if not isinstance(event, Part):
            whole.append(event)
            continue
        assert event.data or event.fin, "a part that is not the last is empty"
        data.append(event.data)
        if event.fin:
            whole.append(type(event.data)().join(data))
            data.clear()
    return whole


def ended(events: Sequence[Event]) -> CloseReceived | Failed | None:
    """Return what ended the connection: nothing comes behind it."""
    ends = [event for event in events if isinstance(event, CloseReceived | Failed)]
    assert ends in ([], [*events[-1:]]), "something came after the end"
    return ends[0] if ends else None


def blurred(events: Iterable[Event]) -> list[Event]:
    """Leave out how it failed: of two faults in one message either may be met first."""
    return [Failed(0, "") if isinstance(e, Failed) else e for e in events]


def size_of(message: str | bytes) -> int:
    """Return the size of a message in bytes."""
    return len(message.encode() if isinstance(message, str) else message)


def check_sizes(setup: Setup, events: Iterable[Event]) -> None:
    """No message is larger than the limit."""
    for event in events:
        if isinstance(event, str | bytes) and setup.size is not None:
            assert size_of(event) <= setup.size


def check_speech(us: Endpoint, agreed: Parameters | None) -> None:
    """What we say can be read by who knows what was agreed on, and nothing else."""
    inflater = NaiveInflater(agreed or (), us.role)
    for message in ("the same words " * 30, "", "", "the same words " * 30):
        said = unframe(us.encode(message))
        assert said.payload is not None
        assert said.whole
        assert not said.rest
        assert said.shortest
        assert said.masked is (us.role is Role.CLIENT)
        assert said.first in ((0x81,) if agreed is None else (0x81, 0xC1))
        payload = said.payload
        if said.first & 0x40:
            assert payload  # RFC 7692, 7.2.3.6: an empty one is none
            payload = inflater.inflate(payload)
        assert payload.decode() == message


def check_state(us: Endpoint, events: Sequence[Event], *, closing: bool) -> None:
    """What was told and what the endpoint is agree."""
    end = ended(events)
    if isinstance(end, Failed):
        assert us.state is State.CLOSED or (us.pending and not closing)
        assert end.detail.isprintable()
        assert end.code in (1002, 1007, 1008, 1009)
    elif end is not None:
        assert us.state is (State.CLOSED if closing else State.CLOSING_BY_PEER)
        assert us.close_received is not None
        assert (us.close_received.code, us.close_received.reason) == (
            end.code,
            end.reason,
        )
    else:
        assert us.state is (State.CLOSING_BY_US if closing else State.OPEN)
    if end is not None:
        assert not us.half_frame
        assert us.receive_data(b"\x81\x00" * 3) == []


def check_replies(us: Endpoint, events: Sequence[Event], *, closing: bool) -> None:
    """A peer understands what we answer: the latest pings, then the end."""
    end = ended(events)
    pings = [event.payload for event in events if isinstance(event, Ping)]
    assert us.pending is (not closing and (end is not None or bool(pings)))
    naive = Naive(masked=us.role is Role.CLIENT)
    naive.read(us.data_to_send())
    assert naive.sure
    said = naive.events
    if not closing:
        if end is not None:
            reason = end.detail if isinstance(end, Failed) else ""
            assert said.pop() == CloseReceived(end.code, reason)
        # 5.5.3: of several pings it is enough to answer the latest.
        assert said == [Pong(payload) for payload in pings[len(pings) - len(said) :]]
        assert bool(said) is bool(pings)
    assert not us.pending
    if end is not None:
        assert us.state is State.CLOSED
    assert us.receive_eof() == []
    assert us.state is State.CLOSED


# Code, and the pool of mask keys: of one size whatever a peer does.
_FIXED = (type, FunctionType, BuiltinFunctionType, MethodType, ModuleType, map)


def retained(us: Endpoint) -> int:
    """Return how many bytes of data an endpoint keeps, wherever it keeps them."""
    size = 0
    seen: set[int] = set()
    found: list[object] = [us]
    while found:
        item = found.pop()
        if id(item) in seen or isinstance(item, _FIXED):
            continue
        seen.add(id(item))
        if isinstance(item, str | bytes | bytearray):
            size += sys.getsizeof(item)
        elif type(item).__name__.endswith(
            "Decompress"
        ):  # no container to the collector
            found += [item.unconsumed_tail, item.unused_data]  # type: ignore[attr-defined]
        else:
            found += gc.get_referents(item)
    return size
