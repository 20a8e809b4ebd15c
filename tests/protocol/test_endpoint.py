"""Two endpoints that talk to each other, and one that meets a rude peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wsclient.errors import ArgumentError, Close, LocalProtocolError, MessageTypeError
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Delivery,
    Endpoint,
    Event,
    Failed,
    Limits,
    Part,
    Ping,
    Pong,
    Role,
    State,
    parse_uri,
)
from wsclient.protocol.endpoint import PONGS

Frame = Callable[..., bytes]
Pair = Callable[..., tuple[Endpoint, Endpoint]]
Read = Callable[..., list[Event]]

# RFC 6455, section 5.7, and RFC 7692, section 7.2.3.
HELLO = bytes.fromhex("8105 48656c6c6f")
HELLO_MASKED = bytes.fromhex("8185 37fa213d 7f9f4d5158")
HELLO_COMPRESSED = bytes.fromhex("c107 f248cdc9c90700")


@pytest.fixture(params=["client", "server"])
def ends(request: pytest.FixtureRequest, pair: Pair) -> tuple[Endpoint, Endpoint]:
    """The endpoint under test and its peer, in both roles."""
    client, server = pair()
    return (client, server) if request.param == "client" else (server, client)


@pytest.fixture
def us(ends: tuple[Endpoint, Endpoint]) -> Endpoint:
    return ends[0]


@pytest.fixture
def peer(ends: tuple[Endpoint, Endpoint]) -> Endpoint:
    return ends[1]


@pytest.fixture
def frame(us: Endpoint, from_client: Frame, from_server: Frame) -> Frame:
    """Make a frame as the peer would."""
    return from_server if us.role is Role.CLIENT else from_client


# Messages


def test_the_examples_of_the_rfc_are_read(pair: Pair, read: Read) -> None:
    assert read(lambda: pair()[0], HELLO) == ["Hello"]
    assert read(lambda: pair()[1], HELLO_MASKED, b"\x81\x85\x01") == ["Hello"]
    deflate = Deflate()
    assert read(lambda: pair(deflate, deflate)[0], HELLO_COMPRESSED) == ["Hello"]


def test_messages_arrive_as_they_were_sent(us: Endpoint, peer: Endpoint) -> None:
    for message in ("", "Hällo", b"", b"\x00\xff", "x" * 70_000, b"y" * 70_000):
        assert peer.receive_data(us.encode(message)) == [message]
    assert peer.receive_data(us.encode(bytearray(b"a"))) == [b"a"]
    assert peer.receive_data(us.encode(memoryview(b"a"))) == [b"a"]


def test_a_memoryview_is_not_kept(us: Endpoint, peer: Endpoint) -> None:
    buffer = bytearray(peer.encode("Hello"))
    half = len(buffer) // 2
    events: list[Event] = []
    for part in (buffer[:half], buffer[half:]):
        view = memoryview(part)
        events += us.receive_data(view)
        view.release()
        part[:] = bytes(len(part))
        part.append(0)  # a view still held would forbid this
    assert events == ["Hello"]


def test_a_fragmented_message_is_one_message(us: Endpoint, peer: Endpoint) -> None:
    data = us.encode_fragment("Hel", fin=False)
    assert us.fragmenting
    data += us.ping(b"?")
    with pytest.raises(LocalProtocolError, match="finish it first"):
        us.encode("no")
    with pytest.raises(MessageTypeError, match="must be str"):
        us.encode_fragment(b"lo", fin=True)
    data += us.encode_fragment("lo", fin=True)
    assert not us.fragmenting
    assert peer.receive_data(data) == [Ping(b"?"), "Hello"]


@pytest.mark.parametrize(
    ("message", "error"),
    [({"op": "subscribe"}, MessageTypeError), ("\udfff", ArgumentError)],
)
def test_what_cannot_be_sent_is_refused_and_changes_nothing(
    us: Endpoint, peer: Endpoint, message: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        us.encode(message)
    assert peer.receive_data(us.encode("x")) == ["x"]


@pytest.mark.parametrize("takeover", [True, False])
def test_compressed_messages_arrive_and_are_small(pair: Pair, takeover: bool) -> None:
    deflate = Deflate(
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
    )
    for us, peer in (pair(deflate, deflate), pair(deflate, deflate)[::-1]):
        text = "the same words " * 20
        for message in (text, text.encode(), "", text):
            data = us.encode(message)
            assert len(data) < 60
            assert peer.receive_data(data) == [message]
        plain = us.encode(text, compress=False)
        assert len(plain) > 300
        assert peer.receive_data(plain) == [text]
        data = us.encode_fragment(text, fin=False) + us.encode_fragment("", fin=True)
        assert peer.receive_data(data) == [text]


def test_the_size_limit_is_exact_compressed_or_not(pair: Pair) -> None:
    for deflate in (None, Deflate()):
        for size in (1, 100, 70_000):
            client, server = pair(deflate, deflate, max_message_size=size)
            assert server.receive_data(client.encode("x" * size)) == ["x" * size]
            [event] = server.receive_data(client.encode("x" * (size + 1)))
            assert isinstance(event, Failed)
            assert event.code == 1009


def test_without_a_limit_any_size_is_taken(pair: Pair) -> None:
    client, server = pair(Deflate(), Deflate(), max_message_size=None)
    data = bytes(3 * 2**20)
    assert server.receive_data(client.encode(data)) == [data]
    assert server.receive_data(client.encode(data, compress=False)) == [data]


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "1"])
def test_a_size_limit_is_an_integer_of_at_least_one(size: Any) -> None:
    with pytest.raises(ArgumentError, match="max_message_size must be at least 1"):
        Endpoint(Role.CLIENT, max_message_size=size)


def test_many_messages_are_a_frame_each(us: Endpoint, peer: Endpoint) -> None:
    many: list[str | bytes] = ["one", b"two", "three"]
    data = us.encode_many(many)
    assert peer.receive_data(data) == many
    with pytest.raises(MessageTypeError):
        us.encode_many(["good", 3])  # type: ignore[list-item]
    assert us.encode_many([]) == b""


def test_what_is_half_received_shows(us: Endpoint, peer: Endpoint) -> None:
    data = peer.encode("Hello")
    assert not us.half_frame
    us.receive_data(data[:3])
    assert us.half_frame
    us.receive_data(data[3:])
    assert not us.half_frame
    us.receive_data(peer.close())
    assert not us.half_frame


# Pings


def test_a_ping_is_answered_with_its_payload(us: Endpoint, peer: Endpoint) -> None:
    assert us.receive_data(peer.ping(b"abc")) == [Ping(b"abc")]
    assert us.pending
    assert peer.receive_data(us.data_to_send()) == [Pong(b"abc")]
    assert not us.pending
    assert us.data_to_send() == b""


def test_of_very_many_pings_only_the_latest_are_answered(
    us: Endpoint, peer: Endpoint
) -> None:
    data = b"".join(peer.ping(bytes([i])) for i in range(200))
    assert us.receive_data(data) == [Ping(bytes([i])) for i in range(200)]
    us.receive_data(peer.ping(b"last"))
    latest = [*range(200)][1 - PONGS :]
    assert peer.receive_data(us.data_to_send()) == [
        *(Pong(bytes([i])) for i in latest),
        Pong(b"last"),
    ]


def test_several_pings_are_answered_each_in_order(us: Endpoint, peer: Endpoint) -> None:
    us.receive_data(b"".join(peer.ping(bytes([i])) for i in range(10)))
    assert peer.receive_data(us.data_to_send()) == [Pong(bytes([i])) for i in range(10)]
    assert us.data_to_send() == b""


def test_an_empty_ping_is_answered_too(us: Endpoint, peer: Endpoint) -> None:
    us.receive_data(peer.ping(b""))
    assert us.pending
    assert peer.receive_data(us.data_to_send()) == [Pong(b"")]


def test_a_pong_may_be_sent_unasked(us: Endpoint, peer: Endpoint) -> None:
    assert peer.receive_data(us.pong(b"hi") + us.pong()) == [Pong(b"hi"), Pong(b"")]


def test_pings_are_at_most_125_bytes(us: Endpoint, peer: Endpoint) -> None:
    assert peer.receive_data(us.ping(b"x" * 125)) == [Ping(b"x" * 125)]
    view: Any = memoryview(b"view")
    assert peer.receive_data(us.ping(view)) == [Ping(b"view")]
    text: Any = "text"
    for send in (us.ping, us.pong):
        with pytest.raises(ArgumentError, match="at most 125 bytes, not 126"):
            send(b"x" * 126)
        with pytest.raises(ArgumentError, match="is bytes, not str"):
            send(text)


# The closing handshake


def test_we_close_and_the_peer_answers(us: Endpoint, peer: Endpoint) -> None:
    states = [us.state]
    data = us.close(4000, "done")
    states.append(us.state)
    assert us.close_sent == Close(4000, "done")
    assert peer.receive_data(data) == [CloseReceived(4000, "done")]
    states.append(peer.state)
    assert peer.close_received == Close(4000, "done")
    assert peer.close_sent == Close(4000)
    assert peer.pending
    assert us.receive_data(peer.data_to_send()) == [CloseReceived(4000, "")]
    states += [us.state, peer.state]
    assert states == [
        State.OPEN,
        State.CLOSING_BY_US,
        State.CLOSING_BY_PEER,
        State.CLOSED,
        State.CLOSED,
    ]
    assert us.close_received == Close(4000)
    assert not us.pending
    assert not peer.pending


def test_an_empty_close_is_1005_and_answered_by_an_empty_one(
    us: Endpoint, peer: Endpoint
) -> None:
    assert peer.receive_data(us.close(None)) == [CloseReceived(1005, "")]
    assert us.close_sent == peer.close_received == Close(1005)
    assert us.receive_data(peer.data_to_send()) == [CloseReceived(1005, "")]


def test_both_may_close_at_once(us: Endpoint, peer: Endpoint) -> None:
    ours, theirs = us.close(1000), peer.close(1001)
    assert us.receive_data(theirs) == [CloseReceived(1001, "")]
    assert peer.receive_data(ours) == [CloseReceived(1000, "")]
    assert us.state is peer.state is State.CLOSED
    assert not us.pending
    assert not peer.pending


def test_messages_go_on_arriving_after_our_close(us: Endpoint, peer: Endpoint) -> None:
    us.close()
    data = peer.encode("late") + peer.ping(b"?") + peer.close(1000, "bye")
    assert us.receive_data(data) == ["late", Ping(b"?"), CloseReceived(1000, "bye")]
    assert not us.pending  # nothing follows our Close frame, no pong either
    assert us.state is State.CLOSED


def test_nothing_is_read_after_the_peers_close(us: Endpoint, peer: Endpoint) -> None:
    rest = peer.encode("never")
    assert us.receive_data(peer.close() + rest) == [CloseReceived(1000, "")]
    assert us.receive_data(rest) == []
    us.data_to_send()
    assert us.receive_data(rest) == []


def test_a_pong_due_goes_before_the_answer_to_a_close(
    us: Endpoint, peer: Endpoint
) -> None:
    us.receive_data(peer.ping(b"?") + peer.close())
    assert peer.receive_data(us.data_to_send()) == [Pong(b"?"), CloseReceived(1000, "")]


def test_a_pong_due_is_dropped_by_our_close(us: Endpoint, peer: Endpoint) -> None:
    us.receive_data(peer.ping(b"?"))
    us.close()
    assert not us.pending


def test_a_bad_close_is_refused_and_changes_nothing(us: Endpoint) -> None:
    for code, reason in [(1005, ""), (999, ""), (1000, "x" * 124), (None, "why")]:
        with pytest.raises(ArgumentError):
            us.close(code, reason)
    assert us.state is State.OPEN
    assert us.close_sent is None


# The end of the stream


def test_the_end_of_the_stream_closes(us: Endpoint, peer: Endpoint) -> None:
    assert us.receive_eof() == []
    assert us.state is State.CLOSED
    assert us.close_received is None
    assert us.receive_data(peer.encode("x")) == []
    assert us.receive_eof() == []


def test_an_answer_due_can_still_be_sent_after_the_end(
    us: Endpoint, peer: Endpoint
) -> None:
    us.receive_data(peer.close())
    us.receive_eof()
    assert us.state is State.CLOSED
    assert peer.receive_data(us.data_to_send()) == [CloseReceived(1000, "")]
    assert us.state is State.CLOSED


# Rude peers


@pytest.mark.parametrize(
    ("opcode", "body", "code"),
    [(3, b"", 1002), (1, b"\xff", 1007), (8, b"\x00\x00", 1002), (9, b"x" * 126, 1002)],
)
def test_a_violation_fails_the_connection(
    us: Endpoint, peer: Endpoint, frame: Frame, opcode: int, body: bytes, code: int
) -> None:
    good = frame(1, b"good")
    events = us.receive_data(good + frame(9, b"?") + frame(opcode, body) + good)
    assert events[:2] == ["good", Ping(b"?")]
    [failed] = events[2:]
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert us.close_sent == Close(code, failed.detail)
    assert us.close_received is None
    assert us.receive_data(good) == []
    assert us.pending
    assert peer.receive_data(us.data_to_send()) == [
        Pong(b"?"),
        CloseReceived(code, failed.detail),
    ]
    assert us.state is State.CLOSED
    assert us.data_to_send() == b""


def test_what_came_before_a_violation_can_be_answered_until_close_is_fetched(
    us: Endpoint, peer: Endpoint, frame: Frame
) -> None:
    us.receive_data(frame(1, b"good") + frame(3))
    answers = us.encode("good") + us.ping(b"still there")
    assert peer.receive_data(answers) == ["good", Ping(b"still there")]
    peer.data_to_send()
    assert us.receive_data(peer.pong(b"too late")) == []
    [close] = peer.receive_data(us.data_to_send())
    assert isinstance(close, CloseReceived)
    assert close.code == 1002
    with pytest.raises(LocalProtocolError):
        us.encode("after it")


def test_closing_after_a_violation_says_the_violation(
    us: Endpoint, peer: Endpoint, frame: Frame
) -> None:
    us.receive_data(frame(9, b"?") + frame(3))
    pong, close = peer.receive_data(us.close(1000))
    assert pong == Pong(b"?")
    assert isinstance(close, CloseReceived)
    assert close.code == 1002
    assert us.state is State.CLOSED
    assert not us.pending


def test_a_violation_that_was_not_said_yet_ends_with_the_stream(
    us: Endpoint, peer: Endpoint, frame: Frame
) -> None:
    us.receive_data(frame(3))
    us.receive_eof()
    assert us.state is State.CLOSED
    [close] = peer.receive_data(us.data_to_send())  # if there is still a way to say it
    assert isinstance(close, CloseReceived)


def test_a_violation_after_our_close_sends_no_second_one(
    us: Endpoint, frame: Frame
) -> None:
    us.close(1001)
    [event] = us.receive_data(frame(3))
    assert isinstance(event, Failed)
    assert us.state is State.CLOSED
    assert not us.pending
    assert us.close_sent == Close(1001)


def test_fragments_and_control_frames_have_bounds(pair: Pair) -> None:
    limits = Limits(max_fragments=2, max_control_backlog=2)
    client, server = pair(limits=limits)
    data = client.encode_fragment("", fin=False) * 3
    assert [type(event) for event in server.receive_data(data)] == [Failed]
    client, server = pair(limits=limits)
    data = client.encode_fragment("", fin=False) + client.ping(b"") * 3
    assert server.receive_data(data)[-1] == Failed(
        1008, "too many control frames in a message"
    )


# The whole


def test_an_endpoint_shows_its_state(us: Endpoint) -> None:
    assert repr(us) == f"<Endpoint {us.role.value} OPEN>"


def test_endpoints_have_no_dict(us: Endpoint) -> None:
    assert not hasattr(us, "__dict__")
    assert not hasattr(us._reader, "__dict__")
    assert not hasattr(us._writer, "__dict__")


def test_a_client_masks_with_keys_of_its_own_source(pair: Pair) -> None:
    client, server = pair()
    assert client.encode(b"")[2:] == b"\x01\x20\x03\x40"
    assert server.encode(b"")[2:] == b""


def test_endpoints_share_their_keys_unless_they_have_a_source(pair: Pair) -> None:
    one, other = (Endpoint(Role.CLIENT) for _ in range(2))
    for client in (one, other):
        from_us = client.connect(parse_uri("ws://h/"))
        server = Endpoint(Role.SERVER)
        server.receive_data(from_us)
        client.receive_data(server.accept())
    keys = [end.encode(b"")[2:] for end in (one, other) for _ in range(50)]
    assert len(set(keys)) == 100
    assert one._writer is not None
    assert other._writer is not None
    assert one._writer._pool is other._writer._pool


# Messages in parts


@pytest.mark.parametrize(
    ("compressed", "cut"), [(False, 0), (True, 0), (True, 8)], ids=str
)
def test_an_endpoint_stops_at_what_is_too_large_if_asked(
    pair: Pair, compressed: bool, cut: int
) -> None:
    client, _ = pair(Deflate(), Deflate())  # any server of these settings
    data = client.encode("x" * 11, compress=compressed) + client.encode("next")
    for wanted in (False, True):
        server = Endpoint(
            Role.SERVER, deflate=Deflate(), max_message_size=10, hold_oversized=True
        )
        server.receive_data(
            Endpoint(Role.CLIENT, deflate=Deflate()).connect(parse_uri("ws://a/"))
        )
        server.accept()
        assert server.receive_data(data[:cut]) == []
        assert server.receive_data(data[cut:]) == []
        assert server.held
        if wanted:
            server.decide(Delivery.IN_PARTS)
            assert server.receive_data(b"") == [Part("x" * 11, True), "next"]
            assert not server.held
        else:
            assert server.receive_data(b"") == [
                Failed(1009, "a message is larger than max_message_size")
            ]
