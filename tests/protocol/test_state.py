"""The transition table, whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from wsclient.errors import Close, LocalProtocolError
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Endpoint,
    Event,
    Failed,
    HandshakeFailed,
    Rejection,
    Request,
    Response,
    Role,
    parse_uri,
)
from wsclient.protocol.state import TRANSITIONS, Input, State, next_state

Frame = Callable[..., bytes]

TABLE = """
                  CONNECTING  OPEN             CLOSING_BY_US  CLOSING_BY_PEER  CLOSED
OPENED            OPEN        -                -              -                -
REFUSED           CLOSED      -                -              -                -
SEND_MESSAGE      -           OPEN             -              -                -
SEND_CONTROL      -           OPEN             -              -                -
SEND_CLOSE        -           CLOSING_BY_US    -              -                -
ECHO_CLOSE        -           -                -              CLOSED           -
RECEIVE_CLOSE     -           CLOSING_BY_PEER  CLOSED         -                -
FAIL              -           CLOSED           CLOSED         -                -
EOF               CLOSED      CLOSED           CLOSED         CLOSED           CLOSED
"""
_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
EXPECTED = {
    (State[state], Input[row[0]]): None if cell == "-" else State[cell]
    for row in _ROWS
    for state, cell in zip(_HEAD, row[1:], strict=True)
}


@pytest.mark.parametrize(("state", "move"), list(product(State, Input)))
def test_each_move_goes_where_the_table_says_or_raises(
    state: State, move: Input
) -> None:
    expected = EXPECTED[state, move]
    if expected is None:
        with pytest.raises(LocalProtocolError, match=f"cannot {move.value} while"):
            next_state(state, move)
    else:
        assert next_state(state, move) is expected


@pytest.mark.parametrize("state", list(State))
def test_closed_is_reached_from_every_state_and_never_left(state: State) -> None:
    assert next_state(state, Input.EOF) is State.CLOSED
    assert set(TRANSITIONS[State.CLOSED].values()) == {State.CLOSED}


def test_every_state_is_reached() -> None:
    reached = {to for moves in TRANSITIONS.values() for to in moves.values()}
    assert reached | {State.CONNECTING} == set(State)


# The same table, of an endpoint: each thing that can happen to it, in every state


class Lab:
    """Brings an endpoint to a state, with a peer that can answer; always the same."""

    def __init__(self, role: Role, state: State, frame: Frame) -> None:
        self.role = role
        self.frame = frame
        make = {
            end: Endpoint(end, deflate=Deflate(), random=lambda size: b"k" * size)
            for end in Role
        }
        self.us = make.pop(role)
        [self.peer] = make.values()
        if role is Role.CLIENT:
            self.peer.receive_data(self.us.connect(URI))
        else:
            self.us.receive_data(self.peer.connect(URI))
        if state is State.CONNECTING:
            return
        if role is Role.CLIENT:
            self.us.receive_data(self.peer.accept())
        else:
            self.peer.receive_data(self.us.accept())
        match state:
            case State.CLOSING_BY_US:
                self.us.close(3001, "ours")
            case State.CLOSING_BY_PEER:
                self.us.receive_data(frame(8, b"\x0b\xbatheirs"))
            case State.CLOSED:
                self.us.receive_eof()

    def facts(self) -> tuple[object, ...]:
        us = self.us
        return (
            *(us.state, us.pending, us.close_sent, us.close_received, us.half_frame),
            *(us.fragmenting, us.held, us.request, us.response, us.subprotocol),
        )


URI = parse_uri("ws://example.com/")
Call = Callable[[Endpoint], bytes]
SENDS: list[tuple[Input, Call]] = [
    (Input.SEND_MESSAGE, lambda us: us.encode("x")),
    (Input.SEND_MESSAGE, lambda us: us.encode(b"x", compress=True)),
    (Input.SEND_MESSAGE, lambda us: us.encode_fragment("x", fin=False)),
    (Input.SEND_MESSAGE, lambda us: us.encode_fragment("x", fin=True)),
    (Input.SEND_CONTROL, lambda us: us.ping(b"x")),
    (Input.SEND_CONTROL, lambda us: us.pong()),
    (Input.SEND_CLOSE, lambda us: us.close()),
    (Input.SEND_CLOSE, lambda us: us.close(None)),
]
ANSWERS: list[tuple[Input, Call]] = [
    (Input.OPENED, lambda us: us.accept()),
    (Input.REFUSED, lambda us: us.reject(404)),
]


@pytest.fixture(params=Role, ids=lambda role: role.value)
def role(request: pytest.FixtureRequest) -> Role:
    result = request.param
    assert isinstance(result, Role)
    return result


@pytest.fixture
def lab(role: Role, from_client: Frame, from_server: Frame) -> Callable[[State], Lab]:
    frame = from_server if role is Role.CLIENT else from_client
    return lambda state: Lab(role, state, frame)


@pytest.mark.parametrize(("move", "call"), SENDS + ANSWERS)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_each_call_moves_as_the_table_says_or_changes_nothing(
    lab: Callable[[State], Lab], role: Role, state: State, move: Input, call: Call
) -> None:
    one, twin = lab(state), lab(state)
    expected = EXPECTED[state, move]
    if role is Role.CLIENT and (move, call) in ANSWERS:
        expected = None  # a client is opened or refused by its peer
    if expected is not None:
        assert call(one.us)
        assert one.us.state is expected
        return
    with pytest.raises(LocalProtocolError):
        call(one.us)
    # Nothing changed, also of what does not show: both go on alike.
    assert one.facts() == twin.facts()
    for _, send in SENDS if state is State.OPEN else ():
        assert send(one.us) == send(twin.us)
        if one.us.state is not State.OPEN:
            break
    data = one.frame(9, b"?") + one.frame(8, b"\x03\xe8")
    assert one.us.receive_data(data) == twin.us.receive_data(data)
    assert one.us.data_to_send() == twin.us.data_to_send()
    assert one.facts() == twin.facts()


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_a_client_connects_in_one_state_only(
    lab: Callable[[State], Lab], role: Role, state: State
) -> None:
    one = lab(state)
    before = one.facts()
    with pytest.raises(LocalProtocolError):
        one.us.connect(URI)  # it has connected, or it is a server
    assert one.facts() == before


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_the_end_of_the_stream_closes_in_every_state(
    lab: Callable[[State], Lab], state: State
) -> None:
    one = lab(state)
    pending = one.us.pending
    assert one.us.receive_eof() == []
    assert one.us.state is EXPECTED[state, Input.EOF]
    assert one.us.pending is pending


BYTES: dict[Input, Callable[[Frame], bytes]] = {
    Input.RECEIVE_CLOSE: lambda frame: frame(8, b"\x0b\xbbbye"),
    Input.FAIL: lambda frame: frame(3),
}


@pytest.mark.parametrize("move", BYTES)
@pytest.mark.parametrize("state", list(State)[1:], ids=lambda state: state.name)
def test_what_the_peer_sends_moves_as_the_table_says_or_is_not_read(
    lab: Callable[[State], Lab], state: State, move: Input
) -> None:
    one = lab(state)
    before = one.facts()
    events = one.us.receive_data(BYTES[move](one.frame))
    expected = EXPECTED[state, move]
    if expected is None:
        assert events == []
        assert one.facts() == before
    elif move is Input.RECEIVE_CLOSE:
        assert events == [CloseReceived(3003, "bye")]
        assert one.us.state is expected
        assert one.us.close_received == Close(3003, "bye")
    else:
        assert [type(event) for event in events] == [Failed]
        one.us.data_to_send()  # until it is fetched, what came before may be answered
        assert one.us.state is expected
        assert one.us.close_received is None


def test_a_close_frame_is_answered_in_one_state_only(
    lab: Callable[[State], Lab],
) -> None:
    for state in State:
        one = lab(state)
        data = one.us.data_to_send()
        expected = EXPECTED[state, Input.ECHO_CLOSE]
        assert bool(data) is (expected is not None)
        assert one.us.state is (expected or state)
        assert one.us.data_to_send() == b""


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        (lambda peer: peer.accept(), Response, State.OPEN),
        (lambda peer: peer.reject(503), Rejection, State.CLOSED),
        (lambda peer: b"\x81\x00\r\n\r\n", HandshakeFailed, State.CLOSED),
    ],
)
def test_the_answer_opens_or_closes_a_client(
    from_server: Frame,
    answer: Callable[[Endpoint], bytes],
    kind: type[Event],
    expected: State,
) -> None:
    one = Lab(Role.CLIENT, State.CONNECTING, from_server)
    assert expected in (
        EXPECTED[State.CONNECTING, Input.OPENED],
        EXPECTED[State.CONNECTING, Input.REFUSED],
    )
    [event] = one.us.receive_data(answer(one.peer))
    assert type(event) is kind
    assert one.us.state is expected


def test_nothing_can_be_done_before_the_request() -> None:
    client, server = Endpoint(Role.CLIENT), Endpoint(Role.SERVER)
    with pytest.raises(LocalProtocolError, match="call connect"):
        client.receive_data(b"HTTP/1.1 101\r\n\r\n")
    for _, call in ANSWERS:
        with pytest.raises(LocalProtocolError, match="no request has come"):
            call(server)
    assert client.state is server.state is State.CONNECTING
    [event] = server.receive_data(client.connect(URI))
    assert isinstance(event, Request)
    [event] = client.receive_data(server.accept())
    assert isinstance(event, Response)
