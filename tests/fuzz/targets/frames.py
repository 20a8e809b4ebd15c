"""Frames: any bytes behind the opening handshake, in both roles, kept or told."""

from __future__ import annotations

from wsclient.protocol import Delivery, Event, Failed, Part, Role, State

from ..naive import Naive, agreed_parameters
from ..shared import (
    Setup,
    blurred,
    check_replies,
    check_sizes,
    check_speech,
    check_state,
    deliver,
    ended,
    joined,
    opened,
    read_setup,
    retained,
    size_of,
)

TELLING = ("told", "kept", "dropped")
"""Stories in which the first message is told in parts, at least at first."""


def target(data: bytes) -> None:
    """Whole and in pieces, kept and told, the same bytes say the same."""
    setup, data = read_setup(data)
    whole, compression = read_whole(setup, data)
    pieces, dropped = read_pieces(setup, data)
    end = ended(whole)
    if dropped:
        first = next((e for e in whole if isinstance(e, str | bytes)), None)
        whole = [event for event in whole if event is not first]
    if setup.story not in TELLING and not compression:
        assert pieces == whole
    elif setup.story in TELLING and isinstance(end, Failed) and end.code > 1007:
        # What is not kept is not bounded: it may go on.
        assert pieces[: len(whole) - 1] == whole[:-1]
    else:
        assert blurred(pieces) == blurred(whole)


def read_whole(setup: Setup, data: bytes) -> tuple[list[Event], bool]:
    """Read all at once; tell whether compression was agreed on."""
    us = opened(setup)
    assert us.response is not None
    agreed = agreed_parameters(us.response.headers)
    closing = setup.story == "closing"
    if closing:
        us.close(1001)
    events = deliver(us, [data])
    check_state(us, events, closing=closing)
    check_sizes(setup, events)
    naive = naive_of(setup, setup.size, compression=agreed is not None)
    naive.read(data)
    end = ended(events)
    said = events[:-1] if isinstance(end, Failed) else events
    if naive.sure:
        assert said == naive.events
        assert isinstance(end, Failed) is bool(naive.end)
        assert not isinstance(end, Failed) or end.code == naive.end
    else:
        assert said[: len(naive.events)] == naive.events
    if us.state is State.OPEN:
        check_speech(us, agreed)
    check_replies(us, events, closing=closing)
    return events, agreed is not None


def naive_of(setup: Setup, size: int | None, *, compression: bool) -> Naive:
    """Return a second reader of the same frames."""
    return Naive(
        masked=setup.role is Role.SERVER,
        size=size,
        limits=setup.limits,
        compression=compression,
    )


def read_pieces(setup: Setup, data: bytes) -> tuple[list[Event], bool]:
    """Read in pieces as the story says; tell whether the first message was dropped."""
    us = opened(setup)
    closing = setup.story == "closing"
    if closing:
        us.close(1001)
    parts: list[Part] = []
    decided: list[Delivery] = []

    def decide(events: list[Event]) -> None:
        parts.extend(event for event in events if isinstance(event, Part))
        if setup.story == "told" or decided or not parts or parts[-1].fin:
            return
        told = [part.data for part in parts]
        decided.append(Delivery.WHOLE if setup.story == "kept" else Delivery.DROPPED)
        us.decide(decided[0], type(told[0])().join(told))  # type: ignore[arg-type]

    if setup.story in TELLING:
        us.decide(Delivery.IN_PARTS)
    before = retained(us)
    events = deliver(us, setup.chunks(data), decide)
    kept = 1032 * len(data) if setup.size is None else setup.size
    fed = max(setup.first, setup.then)
    assert retained(us) <= before + kept * 9 // 8 + 2 * fed + 1024
    if Delivery.WHOLE in decided:  # what had been told was given back
        events = [event for event in events if not isinstance(event, Part)]
    events = joined(events)
    check_state(us, events, closing=closing)
    if Delivery.DROPPED in decided and setup.size is not None:
        compression = us.response is not None and us.response.compression
        naive = naive_of(setup, None, compression=compression)
        naive.read(data)
        message = next((e for e in naive.events if isinstance(e, str | bytes)), b"")
        rest = size_of(message) - sum(size_of(part.data) for part in parts)
        assert rest <= setup.size or isinstance(ended(events), Failed)
    check_replies(us, events, closing=closing)
    return events, Delivery.DROPPED in decided
