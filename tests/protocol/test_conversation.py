"""Two endpoints under any script, delivered in any chunks, agree on what was said."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from wsclient.errors import Close, LocalProtocolError, MessageTypeError
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Delivery,
    Endpoint,
    Event,
    Part,
    Ping,
    Pong,
    Role,
    State,
)

Pair = Callable[..., tuple[Endpoint, Endpoint]]

EVERYTHING = 2**30
ENDS = st.integers(0, 1)
BITS = st.none() | st.integers(8, 15)
SETTINGS = st.none() | st.builds(
    Deflate,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=BITS,
    client_max_window_bits=BITS,
    mem_level=st.integers(1, 9),
    threshold=st.sampled_from([0, 8]),
)
TEXTS = st.text(max_size=20) | st.text("ab€𝄞", min_size=60, max_size=300)
MESSAGES = TEXTS | st.binary(max_size=300)
CLOSES = st.just((None, "")) | st.tuples(
    st.sampled_from([1000, 1001, 1008, 1011, 3000, 4999]),
    st.text(max_size=20) | st.just("€" * 41),
)
PAYLOADS = st.binary(max_size=20) | st.just(bytes(125))


@dataclass
class Side:
    """What an end should be, and what it has sent and the other one has not yet got."""

    endpoint: Endpoint
    state: State = State.OPEN
    lost: bool = False
    fragments: list[Any] = field(default_factory=list)
    pongs_due: deque[bytes] = field(default_factory=lambda: deque(maxlen=64))
    answer_due: Close | None = None
    close_sent: Close | None = None
    close_received: Close | None = None
    # Of a message that it is told in parts: what it was told.
    told: list[Any] = field(default_factory=list)
    # On the way: bytes, and what the other will hear at which byte.
    pipe: bytearray = field(default_factory=bytearray)
    sent: int = 0
    said: deque[tuple[int, Event]] = field(default_factory=deque)

    def say(self, data: bytes, event: Event | None) -> None:
        self.pipe += data
        self.sent += len(data)
        if event is not None:
            self.said.append((self.sent, event))

    def hear(self, event: Event) -> None:
        """Do what RFC 6455 says an end does (5.5)."""
        if isinstance(event, Ping) and self.state is State.OPEN:
            self.pongs_due.append(event.payload)
        elif isinstance(event, CloseReceived):
            self.close_received = Close(event.code, event.reason)
            if self.state is State.CLOSING_BY_US:
                self.state = State.CLOSED
            else:
                self.state = State.CLOSING_BY_PEER
                self.answer_due = self.close_sent = Close(event.code)

    def size(self, payload: int) -> int:
        """How long a control frame of this end is."""
        return 2 + payload + (4 if self.endpoint.role is Role.CLIENT else 0)


class Conversation(RuleBasedStateMachine):
    """Each rule does a thing, and says what this must have changed."""

    make_pair: Pair

    @initialize(client=SETTINGS, server=SETTINGS)
    def open(self, client: Deflate | None, server: Deflate | None) -> None:
        ends = type(self).make_pair(client, server)
        self.sides = [Side(end) for end in ends]

    # Sending

    @rule(who=ENDS, message=MESSAGES, compress=st.sampled_from([None, True, False]))
    def send(self, who: int, message: str | bytes, compress: bool | None) -> None:
        us = self.sides[who]
        if us.state is not State.OPEN or us.fragments:
            with pytest.raises(LocalProtocolError):
                us.endpoint.encode(message, compress=compress)
        else:
            us.say(us.endpoint.encode(message, compress=compress), message)

    @rule(who=ENDS, part=MESSAGES, fin=st.booleans())
    def fragment(self, who: int, part: str | bytes, fin: bool) -> None:
        us = self.sides[who]
        if us.state is not State.OPEN:
            with pytest.raises(LocalProtocolError):
                us.endpoint.encode_fragment(part, fin=fin)
            return
        if us.fragments and type(us.fragments[0]) is not type(part):
            with pytest.raises(MessageTypeError):
                us.endpoint.encode_fragment(part, fin=fin)
            part = type(us.fragments[0])()
        data = us.endpoint.encode_fragment(part, fin=fin)
        us.fragments.append(part)
        us.say(data, type(part)().join(us.fragments) if fin else None)
        if fin:
            us.fragments.clear()

    @rule(who=ENDS, payload=PAYLOADS, kind=st.sampled_from([Ping, Pong]))
    def control(self, who: int, payload: bytes, kind: type[Ping] | type[Pong]) -> None:
        us = self.sides[who]
        send = us.endpoint.ping if kind is Ping else us.endpoint.pong
        if us.state is not State.OPEN:
            with pytest.raises(LocalProtocolError):
                send(payload)
        else:
            us.say(send(payload), kind(payload))

    @precondition(lambda self: self.said_much())
    @rule(who=ENDS, close=CLOSES)
    def close(self, who: int, close: tuple[int | None, str]) -> None:
        us = self.sides[who]
        code, reason = close
        if us.state is not State.OPEN:
            with pytest.raises(LocalProtocolError):
                us.endpoint.close(code, reason)
            return
        us.close_sent = Close(code or 1005, reason)
        us.say(us.endpoint.close(code, reason), CloseReceived(code or 1005, reason))
        us.state = State.CLOSING_BY_US
        us.pongs_due.clear()

    @rule(who=ENDS)
    def answer(self, who: int) -> None:
        us = self.sides[who]
        data = us.endpoint.data_to_send()
        while us.pongs_due:
            payload = us.pongs_due.popleft()
            size = us.size(len(payload))
            us.say(data[:size], Pong(payload))
            data = data[size:]
        if us.answer_due is not None:
            assert len(data) == us.size(0 if us.answer_due.code == 1005 else 2)
            us.say(data, CloseReceived(us.answer_due.code, ""))
            data = b""
            us.answer_due = None
            us.state = State.CLOSED
        assert data == b""

    # Receiving

    @rule(who=ENDS, size=st.integers(1, 60) | st.just(EVERYTHING))
    def deliver(self, who: int, size: int) -> None:
        us, peer = self.sides[who], self.sides[1 - who]
        chunk = bytes(us.pipe[:size])
        del us.pipe[:size]
        self.take(peer, chunk, us)

    def take(self, peer: Side, chunk: bytes, us: Side) -> None:
        """Everything is heard with its last byte, not before and not later."""
        heard = self.joined(peer, peer.endpoint.receive_data(chunk))
        while peer.endpoint.held:
            heard += self.joined(peer, peer.endpoint.receive_data(b""))
        arrived = us.sent - len(us.pipe)
        expected = []
        while us.said and us.said[0][0] <= arrived:
            expected.append(us.said.popleft()[1])
        if peer.lost:
            expected.clear()
        assert heard == expected
        for event in expected:
            peer.hear(event)

    def joined(self, side: Side, events: list[Event]) -> list[Event]:
        """Put the parts of a message together."""
        whole: list[Event] = []
        for event in events:
            if not isinstance(event, Part):
                whole.append(event)
                continue
            side.told.append(event.data)
            if event.fin:
                whole.append(type(event.data)().join(side.told))
                side.told.clear()
        return whole

    @rule(who=ENDS, told=st.booleans())
    def decide(self, who: int, told: bool) -> None:
        """Have the message in progress, or the next, told in parts or kept again."""
        peer = self.sides[who]
        if told:
            peer.endpoint.decide(Delivery.IN_PARTS)
        else:
            so_far = type(peer.told[0])().join(peer.told) if peer.told else b""
            peer.endpoint.decide(Delivery.WHOLE, so_far)
            peer.told.clear()
        self.take(peer, b"", self.sides[1 - who])

    @precondition(lambda self: self.said_much())
    @rule(who=ENDS)
    def lose(self, who: int) -> None:
        us = self.sides[who]
        assert us.endpoint.receive_eof() == []
        us.lost = True
        us.state = State.CLOSED
        us.told.clear()

    def said_much(self) -> bool:
        """Closing and losing end what can be tried, so they come late."""
        return any(side.sent > 100 for side in self.sides)

    # What holds at any time

    @invariant()
    def each_end_is_where_it_should_be(self) -> None:
        for us in getattr(self, "sides", ()):
            assert us.endpoint.state is us.state
            assert us.endpoint.fragmenting is bool(us.fragments)
            due = us.answer_due is not None or len(us.pongs_due) > 0
            assert us.endpoint.pending is due
            assert us.endpoint.close_sent == us.close_sent
            assert us.endpoint.close_received == us.close_received

    def teardown(self) -> None:
        if not hasattr(self, "sides"):
            return
        if not any(side.close_sent or side.lost for side in self.sides):
            self.close(0, (4000, "bye"))
        for _ in range(2):
            for who in (0, 1):
                self.answer(who)
                self.deliver(who, EVERYTHING)
        self.each_end_is_where_it_should_be()
        if any(side.lost for side in self.sides):
            return
        for us, peer in (self.sides, self.sides[::-1]):
            assert us.state is State.CLOSED
            assert us.close_sent == peer.close_received
            assert not us.said


def test_two_ends_agree_on_what_was_said(pair: Pair) -> None:
    Conversation.make_pair = staticmethod(pair)
    run_state_machine_as_test(Conversation, settings=settings(stateful_step_count=40))
