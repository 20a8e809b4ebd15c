"""One generation: the order of preparing, and every deadline while it lives."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest

from wsclient.errors import (
    AttemptTimeout,
    Close,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    GaveUp,
    GiveUp,
    HookError,
    MessageTypeError,
    Phase,
    Reason,
    ReceiveTimeout,
)
from wsclient.supervisor import (
    Conversation,
    Data,
    Fatal,
    Gap,
    Kind,
    Outcome,
    Proven,
    Retry,
    State,
)

from .clients import Json, Words, fixed, plain, read, settle, state_of, topics, words
from .network import FakeLink, Network


def at(seconds: float) -> Any:
    return pytest.approx(seconds, abs=0.01)


# PREPARING.


async def test_on_connect_then_hello_then_the_registry_then_the_queue(
    network: Network,
) -> None:
    class Polite(Words):
        async def hello(self, conversation: Conversation[str]) -> None:
            assert await conversation.recv() == "hello?"
            await conversation.send("hello")

    async def login(connection: Conversation[Data]) -> None:
        await connection.send("login")
        assert await connection.recv() == "welcome"

    client = words(network, subprotocol=Polite, on_connect=login, first="background")
    await client.subscribe("a")
    await client.subscribe("b")
    async with client:
        await client.send("queued", when_down="queue")
        await settle()
        link = network.link
        assert state_of(client) is State.PREPARING
        assert link.sent == ["login"]
        link.deliver("welcome")
        await settle()
        assert link.sent == ["login"]
        link.deliver("hello?")
        await settle()
        assert link.sent == ["login", "hello", "a", "b", "queued"]
        assert state_of(client) is State.OPEN


async def test_replay_starts_only_after_on_connect_returned(network: Network) -> None:
    """S40: a server that rejects any frame before it has said auth_ok."""

    async def login(connection: Conversation[Data]) -> None:
        await connection.send("auth")
        while await connection.recv() != "auth_ok":
            pass

    async def strict(link: FakeLink) -> None:
        async def server() -> None:
            while link.sent != ["auth"]:
                assert not link.sent
                await anyio.sleep(0.1)
            await anyio.sleep(3)
            assert link.sent == ["auth"]
            link.deliver("auth_ok")

        group.start_soon(server)

    async with anyio.create_task_group() as group:
        network.default = strict
        client = plain(network, on_connect=login)
        await client.subscribe("trades")
        async with client:
            assert network.link.sent == ["auth", "trades"]
            network.link.lose()
            await client.send("x")
            assert network.link.sent == ["auth", "trades", "x"]


async def test_what_the_hooks_did_not_take_is_routed_in_order_behind_the_gap(
    network: Network,
) -> None:
    class Polite(Words):
        async def hello(self, conversation: Conversation[str]) -> None:
            assert await conversation.recv() == "h1"

    async def login(connection: Conversation[Data]) -> None:
        assert await connection.recv() == "c1"

    def server(link: FakeLink) -> None:
        link.deliver("c1", "h1|a:1", "a:2", "rest")

    network.default = server
    client = words(network, subprotocol=Polite, on_connect=login)
    a = await client.subscribe("a")
    async with client:
        assert await read(a) == ["a:1", "a:2"]
        assert await read(client) == ["rest"]
        network.link.lose(Reason.EOF)
        await anyio.sleep(2)
        gap = Gap(generation=2, reason=Reason.EOF, offline_for=1.0)
        assert await read(a) == [gap, "a:1", "a:2"]
        assert await read(client) == [gap, "rest"]


async def test_no_bound_pauses_reading_until_routing_starts(network: Network) -> None:
    go_on = anyio.Event()

    async def slow(connection: Conversation[Data]) -> None:
        await go_on.wait()

    async with plain(
        network, on_connect=slow, first="background", max_messages=2
    ) as client:
        await settle()
        network.link.deliver(*"abcdef")
        assert not network.link.paused
        go_on.set()
        await client.wait_open()
        assert network.link.paused
        assert [await client.recv() for _ in range(6)] == list("abcdef")
        assert not network.link.paused


async def test_a_full_queue_pauses_the_next_connection_too(network: Network) -> None:
    async with plain(network, max_messages=2) as client:
        network.link.deliver("a", "b")
        network.link.lose()
        await anyio.sleep(2)
        assert network.links[1].paused
        assert await client.recv() == "a"
        assert not network.links[1].paused


async def test_reading_a_full_queue_helps_the_connection_that_is_there(
    network: Network,
) -> None:
    async def slow(connection: Conversation[Data]) -> None:
        if connection.generation > 1:
            await anyio.sleep(5)

    async with plain(network, on_connect=slow, max_messages=1) as client:
        network.link.deliver("a")
        network.link.lose()
        await settle()
        assert state_of(client) is State.DOWN
        assert await client.recv() == "a"
        assert client.stats.paused == ()
        await anyio.sleep(6.5)
        network.link.deliver("b")
        assert network.link.paused
        network.link.lose()
        await anyio.sleep(2)
        assert state_of(client) is State.PREPARING
        assert [type(item) for item in await read(client)] == [Gap, str]
        assert client.stats.paused == ()
        await client.wait_open()
        assert network.link.pauses == 0


async def test_what_is_sent_while_preparing_goes_behind_what_was_queued(
    network: Network,
) -> None:
    async def server(link: FakeLink) -> None:
        link.make_room(0)
        await anyio.sleep(1)

    client = plain(network, first="background")
    await client.subscribe("s")
    network.answers.append(server)
    async with client, anyio.create_task_group() as group:
        first = await client.send("first", when_down="queue")
        await anyio.sleep(1.1)
        assert state_of(client) is State.PREPARING
        late = await client.send("late", when_down="queue")
        group.start_soon(client.send, "waiting")
        await settle()
        network.link.make_room(1)
        await settle()
        assert network.link.sent == ["s"]
        assert state_of(client) is State.PREPARING
        network.link.make_room(1)
        await settle()
        assert network.link.sent == ["s", "first"]
        assert state_of(client) is State.OPEN
        assert (first.fate, late.fate) == ("sent", "queued")
        network.link.make_room()
        await settle()
        assert network.link.sent == ["s", "first", "late", "waiting"]


async def test_a_drop_in_the_middle_of_the_replay_says_all_to_the_next(
    network: Network,
) -> None:
    """S39: five times; what was unsubscribed while offline is never said again."""

    def falter(link: FakeLink) -> None:
        link.make_room(1)

    network.answers.extend([falter] * 5)
    client = words(network, first="background")
    keys = [await client.subscribe(key) for key in "abc"]
    async with client:
        for generation in range(1, 6):
            await settle()
            assert state_of(client) is State.PREPARING
            assert client.generation == generation
            assert network.link.sent == ["a"]
            network.link.lose()
            if generation == 3:
                await settle()
                await keys[1].unsubscribe()
            await anyio.sleep(1)
        await client.wait_open()
        assert network.link.sent == ["a", "c"]
        await client.send("x")
        assert network.link.sent == ["a", "c", "x"]


async def test_a_subscription_that_ends_in_the_replay_is_not_said_or_unsaid(
    network: Network,
) -> None:
    network.answers.append(lambda link: link.make_room(1))
    client = words(network, first="background")
    a, b, c = [await client.subscribe(key, unsubscribe=f"-{key}") for key in "abc"]
    async with client:
        await settle()
        assert network.link.sent == ["a"]
        await a.unsubscribe()
        await c.unsubscribe()
        await client.subscribe("d")
        network.link.make_room()
        await settle()
        assert network.link.sent == ["a", "b", "d", "-a"]
        assert not b._inbox.count()


async def test_subscribing_in_on_connect_edits_the_registry(network: Network) -> None:
    async def login(connection: Conversation[Data]) -> None:
        if connection.generation == 1:
            await client.subscribe("inside")

    client = words(network, on_connect=login)
    await client.subscribe("before")
    async with client:
        assert network.link.sent == ["before", "inside"]


@pytest.mark.parametrize("where", ["on_connect", "hello"])
@pytest.mark.parametrize("what", ["send", "recv", "wait_open", "anext", "sub"])
async def test_waiting_for_oneself_in_a_hook_is_refused(
    network: Network, where: str, what: str
) -> None:
    caught: list[ConcurrencyError] = []

    async def hook(connection: Any) -> None:
        calls: dict[str, Any] = {
            "send": lambda: client.send("x", when_down="drop"),
            "recv": client.recv,
            "wait_open": client.wait_open,
            "anext": lambda: anext(aiter(client)),
            "sub": lambda: sub.recv(),
        }
        with pytest.raises(ConcurrencyError, match="argument they are given") as info:
            await calls[what]()
        caught.append(info.value)

    class Calling(Words):
        async def hello(self, conversation: Conversation[str]) -> None:
            if where == "hello":
                await hook(conversation)

    client = words(
        network,
        subprotocol=Calling,
        on_connect=hook if where == "on_connect" else None,
    )
    sub = await client.subscribe("a")
    async with client:
        # Also where it would not have to wait.
        network.link.deliver("x", "a:1")
        network.link.lose()
        await anyio.sleep(2)
    assert len(caught) == 2


async def test_misuse_in_a_hook_is_fatal(network: Network) -> None:
    async def hook(connection: Conversation[Data]) -> None:
        await client.send("x")

    client = plain(network, on_connect=hook)
    with pytest.raises(GaveUp) as caught:
        await client.__aenter__()
    assert isinstance(caught.value.__cause__, ConcurrencyError)
    assert len(network.dials) == 1


async def test_prepare_timeout_names_the_phase_and_is_retried(network: Network) -> None:
    async def slow(connection: Conversation[Data]) -> None:
        if connection.generation == 1:
            await connection.recv()

    client = plain(network, on_connect=slow, prepare_timeout=3)
    observer = client.events()
    async with client:
        assert network.dials == [0, at(4)]
        assert network.links[0].close_sent == Close(1001)
    outcomes = [e.outcome async for e in observer if hasattr(e, "outcome")]
    assert outcomes[0].kind is Kind.PREPARE
    assert outcomes[0].phase is Phase.PREPARING
    assert isinstance(outcomes[0].error, AttemptTimeout)


async def test_prepare_timeout_is_open_timeout_by_default(network: Network) -> None:
    async def slow(connection: Conversation[Data]) -> None:
        if connection.generation == 1:
            await anyio.sleep_forever()

    async with plain(network, on_connect=slow, open_timeout=5):
        assert network.dials == [0, at(6)]


@pytest.mark.parametrize(
    "error", [OSError("database"), ReceiveTimeout("late"), TimeoutError()]
)
async def test_a_hook_may_fail_by_what_passes(
    network: Network, error: Exception
) -> None:
    async def hook(connection: Conversation[Data]) -> None:
        if connection.generation == 1:
            raise error

    async with plain(network, on_connect=hook) as client:
        assert client.generation == 2
        assert isinstance(network.links[0].ended, ConnectionLost)
        assert network.links[0].close_sent == Close(1001)


@pytest.mark.parametrize("where", ["on_connect", "hello", "subscribe"])
async def test_a_hook_that_raises_anything_else_is_told_as_hook_error(
    network: Network, where: str
) -> None:
    """S49: once, with its cause, and fatal as long as nothing has worked."""
    error = KeyError("token")

    async def hook(connection: Conversation[Data]) -> None:
        if where == "on_connect":
            raise error

    class Broken(Words):
        async def hello(self, conversation: Conversation[str]) -> None:
            if where == "hello":
                raise error

        def subscribe(self, topic: Any) -> list[str]:
            raise error

    client = words(network, subprotocol=Broken, on_connect=hook)
    await client.subscribe("a")
    with pytest.raises(GaveUp, match=where) as caught:
        await client.__aenter__()
    assert isinstance(caught.value.__cause__, HookError)
    assert caught.value.__cause__.__cause__ is error
    assert caught.value.reason is Reason.PREPARE_FAILED
    assert len(network.dials) == 1
    assert state_of(client) is State.FAILED


async def test_what_a_subprotocol_raises_of_ours_stays_what_it_is(
    network: Network,
) -> None:
    class Picky(Words):
        def subscribe(self, topic: Any) -> list[str]:
            raise MessageTypeError("not such a topic")

    client = words(network, subprotocol=Picky)
    await client.subscribe("a")
    with pytest.raises(GaveUp, match="not such a topic") as caught:
        await client.__aenter__()
    assert isinstance(caught.value.__cause__, MessageTypeError)


async def test_once_it_has_worked_a_raising_hook_is_retried_slowly(
    network: Network,
) -> None:
    async def hook(connection: Conversation[Data]) -> None:
        if connection.generation == 2:
            raise KeyError("token")

    async with plain(network, on_connect=hook) as client:
        client.mark_healthy()
        network.link.lose()
        await anyio.sleep(40)
        assert network.dials == [0, at(1), at(31)]
        assert state_of(client) is State.OPEN


async def test_give_up_in_a_hook_ends_the_client_whatever_classify_says(
    network: Network,
) -> None:
    async def hook(connection: Conversation[Data]) -> None:
        raise GiveUp("account closed")

    client = plain(network, on_connect=hook, classify=lambda outcome: Retry())
    with pytest.raises(GaveUp, match="account closed") as caught:
        await client.__aenter__()
    assert isinstance(caught.value.__cause__, GiveUp)


async def test_what_the_peer_said_with_its_close_counts_not_what_the_hook_saw(
    network: Network,
) -> None:
    """A login that is answered by a Close frame."""
    seen: list[Outcome] = []

    def classify(outcome: Outcome) -> Fatal:
        seen.append(outcome)
        return Fatal("wrong password")

    async def hook(connection: Conversation[Data]) -> None:
        assert await connection.recv() == "denied"
        await connection.recv()

    def server(link: FakeLink) -> None:
        link.deliver("denied")
        link.peer_closes(4001)

    network.default = server
    client = plain(network, on_connect=hook, classify=classify)
    with pytest.raises(GaveUp, match="wrong password") as caught:
        await client.__aenter__()
    assert isinstance(caught.value.__cause__, ConnectionClosed)
    assert caught.value.received == Close(4001)
    assert (seen[0].kind, seen[0].code) == (Kind.LIFE, 4001)


async def test_a_connection_that_ended_in_its_hooks_still_delivers(
    network: Network,
) -> None:
    async def hook(connection: Conversation[Data]) -> None:
        await anyio.sleep(1)

    def server(link: FakeLink) -> None:
        link.deliver("a", "b")
        link.peer_closes(1000)

    network.answers.append(server)
    async with plain(network, on_connect=hook) as client:
        assert client.generation == 2
        gap = Gap(generation=2, reason=Reason.PEER_CLOSED, offline_for=2.0)
        assert await read(client) == ["a", "b", gap]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_awaiting_what_asyncio_has_cancelled_is_a_failing_hook(
    network: Network,
) -> None:
    import asyncio

    async def hook(connection: Conversation[Data]) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(GaveUp, match="awaited what was cancelled") as caught:
        await plain(network, on_connect=hook).__aenter__()
    assert isinstance(caught.value.__cause__, HookError)


# Proof of life.


async def test_a_life_is_proven_by_time_and_an_inbound_byte(network: Network) -> None:
    client = plain(network, stable_after=10)
    events = client.events()
    async with client:
        await anyio.sleep(1)
        network.link.deliver("x")
        await anyio.sleep(8.9)
        assert not client.stats.proven
        await anyio.sleep(0.2)
        assert client.stats.proven
        assert network.link.pings == []
    proofs = [event async for event in events if isinstance(event, Proven)]
    assert proofs == [Proven(time=at(10), generation=1)]


async def test_a_byte_at_the_very_moment_of_opening_counts(network: Network) -> None:
    async with plain(network) as client:
        network.link.deliver("x")
        await anyio.sleep(10)
        await settle()
        assert client.stats.proven
        assert network.link.pings == []


async def test_a_silent_peer_is_asked_for_a_sign_of_life(network: Network) -> None:
    async with plain(network, stable_after=10) as client:
        await anyio.sleep(10.2)
        assert network.link.pings == [at(10)]
        assert client.stats.proven


async def test_without_any_sign_of_life_nothing_is_proven(network: Network) -> None:
    network.answers.append(lambda link: setattr(link, "answers_pings", False))
    async with plain(network, stable_after=10) as client:
        await anyio.sleep(3600)
        assert network.link.pings == [at(10)]
        assert not client.stats.proven
        network.link.deliver("at last")
        await anyio.sleep(1.1)
        assert client.stats.proven


async def test_the_opening_handshake_proves_nothing(network: Network) -> None:
    def server(link: FakeLink) -> None:
        link.peer_closes(1000)

    network.default = server
    async with plain(network, first="background") as client:
        await anyio.sleep(3600)
        assert len(client.attempts) > 50
        assert not client.stats.proven


async def test_the_users_word_is_proof(network: Network) -> None:
    async with plain(network) as client:
        client.mark_healthy()
        client.mark_healthy()
        assert client.stats.proven
        network.link.lose()
        await settle()
        client.mark_healthy()
        assert not client.stats.proven
        assert len(client.attempts) == 1


# recv_timeout.


async def test_a_silent_feed_is_replaced(network: Network) -> None:
    async with plain(network, recv_timeout=60) as client:
        await anyio.sleep(59)
        network.link.deliver("x")
        await anyio.sleep(59.9)
        assert client.generation == 1
        await anyio.sleep(2)
        assert client.generation == 2
        assert network.links[0].ended_at == at(119)
        assert getattr(network.links[0].ended, "reason", None) is Reason.IDLE
        assert network.links[0].close_sent == Close(1001)
        gap = Gap(generation=2, reason=Reason.IDLE, offline_for=at(1))
        assert await read(client) == ["x", gap]


async def test_pongs_do_not_keep_a_silent_feed_alive(network: Network) -> None:
    async with plain(network, recv_timeout=60) as client:
        for _ in range(6):
            await anyio.sleep(10)
            network.link.ping_nowait()
        await anyio.sleep(2)
        assert client.generation == 2


async def test_recv_timeout_counts_from_open(network: Network) -> None:
    async def slow(connection: Conversation[Data]) -> None:
        await anyio.sleep(9)

    async with plain(network, recv_timeout=5, on_connect=slow) as client:
        await anyio.sleep(4.9)
        assert client.generation == 1
        await anyio.sleep(0.2)
        assert network.links[0].ended_at == at(14)


@pytest.mark.parametrize("make", [plain, words])
async def test_recv_timeout_stands_still_while_we_pause(
    network: Network, make: Any
) -> None:
    async with make(network, recv_timeout=5, slow_timeout=None) as client:
        if make is words:
            queue = await client.subscribe("a", overflow="pause", max_messages=1)
        else:
            queue = client
            client._inbox._max_messages = client._inbox._limit = 1
        await anyio.sleep(2)
        network.link.deliver("a:1")
        assert network.link.paused
        await anyio.sleep(1000)
        assert client.generation == 1
        assert await queue.recv() == "a:1"
        await anyio.sleep(4.9)
        assert client.generation == 1
        await anyio.sleep(0.2)
        assert network.links[0].ended_at == at(1007)


# slow_timeout.


async def test_a_reader_that_holds_us_up_too_long_is_named(network: Network) -> None:
    async with words(network, slow_timeout=60) as client:
        sub = await client.subscribe("a", overflow="pause", max_messages=1)
        await anyio.sleep(5)
        network.link.deliver("a:1")
        await anyio.sleep(59.9)
        assert client.generation == 1
        await anyio.sleep(0.2)
        ended = network.links[0].ended
        assert isinstance(ended, ConnectionLost)
        assert ended.reason is Reason.SLOW_CONSUMER
        assert "subscription 1 to 'a': not read for 60.0 s" in str(ended)
        # The next connection gets the same time, although nobody has read yet.
        await anyio.sleep(59)
        assert client.generation == 2
        assert network.links[1].paused
        assert await sub.recv() == "a:1"
        await anyio.sleep(100)
        assert client.generation == 2


# Acknowledgements.


def acked(message: Any) -> Any:
    return message.get("ok")


async def test_a_missing_acknowledgement_means_the_next_generation(
    network: Network,
) -> None:
    async with topics(network, ack=acked, ack_timeout=10) as client:
        a = await client.subscribe({"channel": "a"})
        await client.subscribe({"channel": "b"})
        await anyio.sleep(1)
        network.link.deliver('{"ok":"a"}')
        await a.acknowledged()
        await anyio.sleep(9.1)
        assert network.links[0].ended_at == at(10)
        assert "no acknowledgement of subscription 2" in str(network.links[0].ended)
        with anyio.move_on_after(0.5) as scope:
            await a.acknowledged()
        assert scope.cancelled_caught
        await anyio.sleep(1)
        network.link.deliver('{"ok":"a"}', '{"ok":"b"}', '{"ok":"unknown"}')
        await a.acknowledged()
        await anyio.sleep(100)
        assert client.generation == 2


async def test_the_time_for_it_stands_still_while_we_pause(network: Network) -> None:
    client: Json
    async with topics(network, ack=acked, slow_timeout=None) as client:
        sub = await client.subscribe({"channel": "a"}, overflow="pause", max_messages=1)
        await anyio.sleep(4)
        network.link.deliver('{"channel":"a"}')
        await anyio.sleep(500)
        assert client.generation == 1
        await sub.recv()
        await anyio.sleep(5.9)
        assert client.generation == 1
        await anyio.sleep(0.2)
        assert network.links[0].ended_at == at(510)


async def test_its_time_begins_when_it_is_said(network: Network) -> None:
    async with topics(network, ack=acked, ack_timeout=10) as client:
        network.link.make_room(0)
        await client.subscribe({"channel": "a"})
        await anyio.sleep(100)
        network.link.make_room()
        await anyio.sleep(9.9)
        assert client.generation == 1
        await anyio.sleep(0.2)
        assert network.links[0].ended_at == at(110)


async def test_without_acknowledgements_nothing_is_waited_for(
    network: Network,
) -> None:
    async with words(network) as client:
        await client.subscribe("a")
        await anyio.sleep(1000)
        assert client.generation == 1


# What must be said while it lives.


async def test_a_subprotocol_that_cannot_say_goodbye_ends_the_life(
    network: Network,
) -> None:
    class Rude(Words):
        def unsubscribe(self, topic: Any) -> list[str]:
            raise KeyError("rude")

    async with words(network, subprotocol=Rude, wait=fixed(1)) as client:
        client.mark_healthy()
        await client.subscribe("a", max_messages=1)
        network.link.deliver("a:1", "a:2")
        await settle()
        assert isinstance(client.attempts[-1].text, str)
        assert "unsubscribe() raised KeyError" in client.attempts[-1].text
        await anyio.sleep(40)
        assert client.generation == 2
        assert network.link.sent == []


async def test_waiting_sends_are_written_as_room_comes(network: Network) -> None:
    async with plain(network) as client, anyio.create_task_group() as group:
        network.link.make_room(0)
        for n in range(5):
            group.start_soon(client.send, str(n))
            await settle()
        assert client.stats.waiting == 5
        for n in range(1, 6):
            network.link.make_room(1)
            await settle()
            assert network.link.sent == [str(m) for m in range(n)]


async def test_a_life_that_is_cancelled_from_outside_ends_like_any_other(
    network: Network,
) -> None:
    """As a native cancellation of one of its tasks does."""
    async with plain(network) as client:
        first = network.link
        life = client._loop.life
        assert life is not None
        life._scope.cancel()
        await anyio.sleep(2)
        assert client.generation == 2
        assert isinstance(first.ended, ConnectionLost)
        assert "cancelled from outside" in first.ended.facts.detail
        assert first.close_sent == Close(1001)


def writers() -> int:
    return sum("_write" in (task.name or "") for task in anyio.get_running_tasks())


async def test_what_waits_to_be_sent_has_a_task_and_nothing_has_none(
    network: Network,
) -> None:
    async with plain(network) as client:
        assert writers() == 0
        for number in range(2):
            network.link.make_room(0)
            receipt = await client.send(f"{number}", when_down="queue")
            assert writers() == 1
            network.link.make_room()
            assert await receipt.wait() == "sent"
            await settle()
            assert writers() == 0
    assert network.link.sent == ["0", "1"]


async def test_a_life_that_has_ended_is_not_left_to_the_garbage_collector(
    network: Network,
) -> None:
    async with plain(network, wait=fixed(0.1)) as client:
        life = weakref.ref(client._loop.life)
        gc.disable()
        try:
            network.link.lose()
            await settle()
            await client.wait_open()
            assert client.generation == 2
            assert life() is None
        finally:
            gc.enable()
