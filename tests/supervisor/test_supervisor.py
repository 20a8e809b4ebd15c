"""The supervisor as its user sees it: coming, going, and whose exceptions leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import tenacity

from wsclient.errors import (
    ArgumentError,
    AttemptTimeout,
    Close,
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    GaveUp,
    GiveUp,
    LocalProtocolError,
    Phase,
    Reason,
)
from wsclient.subprotocols import Plain
from wsclient.supervisor import State, Supervisor

from .clients import Raw, Words, fixed, plain, read, settle, state_of, words
from .network import FakeLink, Network, refused, rejected


async def test_it_goes_on_across_drops(network: Network) -> None:
    async with plain(network) as client:
        for n in range(5):
            network.link.deliver(f"in {n}")
            assert await client.recv() == f"in {n}"
            await client.send(f"out {n}")
            network.link.lose()
            await anyio.sleep(1.5)
    assert [link.sent for link in network.links[:5]] == [[f"out {n}"] for n in range(5)]
    assert network.most_open == 1


async def test_iteration_goes_on_across_drops_and_ends_when_we_leave(
    network: Network,
) -> None:
    got: list[Any] = []
    client = plain(network)

    async def iterate() -> None:
        got.extend([message async for message in client])

    async with anyio.create_task_group() as group, client:
        group.start_soon(iterate)
        network.link.deliver("a")
        await settle()
        network.link.lose()
        await anyio.sleep(1.5)
        network.link.deliver("b")
        await settle()
    assert got == ["a", "b"]


async def test_all_ways_to_receive_are_there(network: Network) -> None:
    async with plain(network) as client:
        network.link.deliver(*"abcd")
        assert await client.recv() == "a"
        assert await client.receive() == "b"
        assert await anext(client) == "c"
        assert await anext(aiter(client)) == "d"


# Entering.


async def test_entering_waits_for_the_first_open(network: Network) -> None:
    network.answers.extend([refused(), rejected(503), None])
    async with plain(network) as client:
        assert state_of(client) is State.OPEN
        assert anyio.current_time() == pytest.approx(2, abs=0.01)


async def test_first_raise_raises_any_first_failure_itself(network: Network) -> None:
    error = refused()
    network.answers.append(error)
    client = plain(network, first="raise")
    with pytest.raises(ConnectError) as caught:
        await client.__aenter__()
    assert caught.value is error
    assert state_of(client) is State.FAILED
    net = Network()
    async with plain(net, first="raise") as client:
        net.answers.append(refused())
        net.link.lose()
        await anyio.sleep(3)
        assert state_of(client) is State.OPEN


async def test_first_background_returns_at_once(network: Network) -> None:
    network.answers.extend([refused()] * 3)
    async with plain(network, first="background") as client:
        assert state_of(client) is not State.OPEN
        assert anyio.current_time() == 0
        await client.wait_open()
        assert state_of(client) is State.OPEN


async def test_a_client_is_entered_once(network: Network) -> None:
    async with plain(network) as client:
        with pytest.raises(LocalProtocolError, match="make a new one"):
            await client.__aenter__()
    with pytest.raises(LocalProtocolError, match="make a new one"):
        await client.__aenter__()


async def test_cancelling_the_entry_leaves_nothing(network: Network) -> None:
    network.default = 100
    client = plain(network)
    with anyio.move_on_after(5) as scope:
        await client.__aenter__()
    assert scope.cancelled_caught
    assert state_of(client) is State.CLOSED
    assert anyio.current_time() == pytest.approx(5)


# Leaving, in every state.


STATES = [State.CONNECTING, State.PREPARING, State.OPEN, State.DOWN]


async def reached(state: State, network: Network) -> Raw:
    async def hook(connection: Any) -> None:
        if state is State.PREPARING:
            await anyio.sleep_forever()

    network.answers.append(1000 if state is State.CONNECTING else None)
    client = plain(
        network,
        on_connect=hook,
        first="background",
        wait=fixed(1000),
        prepare_timeout=1000,
    )
    await client.__aenter__()
    await settle()
    if state is State.DOWN:
        network.link.lose()
        await settle()
    assert client.state is state
    return client


async def leave(client: Raw, how: str) -> None:
    if how == "close":
        await client.close(3001, "bye")
        await client.aclose()
    error = ValueError("mine") if how == "raise" else None
    await client.__aexit__(type(error) if error else None, error, None)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("how", ["leave", "raise", "cancel", "close"])
async def test_leaving_is_immediate_in_every_state(
    network: Network, state: State, how: str
) -> None:
    code = {"leave": 1000, "raise": 1001, "cancel": 1001, "close": 3001}[how]
    with anyio.CancelScope() as scope:
        client = await reached(state, network)
        before = anyio.current_time()
        if how == "cancel":
            scope.cancel()
            try:
                await anyio.sleep(1)
            except BaseException as exc:
                await client.__aexit__(type(exc), exc, None)
                raise
        await leave(client, how)
    assert scope.cancelled_caught == (how == "cancel")
    assert state_of(client) is State.CLOSED
    assert anyio.current_time() - before < 0.01
    assert network.open == 0
    if state in {State.PREPARING, State.OPEN}:
        close = network.link.close_sent
        assert close is not None
        assert close.code == code
        assert network.link.ended_at == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize("state", STATES)
async def test_calls_that_wait_are_woken_by_leaving(
    network: Network, state: State
) -> None:
    client = await reached(state, network)
    woken: list[str] = []

    async def expect(name: str, call: Callable[[], Any]) -> None:
        try:
            await call()
        except ConnectionClosed:
            woken.append(name)
        except StopAsyncIteration:
            woken.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(expect, "recv", client.recv)
        if state is not State.OPEN:
            group.start_soon(expect, "open", client.wait_open)
        group.start_soon(expect, "events", client.events().__anext__)
        await settle()
        await client.close()
        await settle()
        group.cancel_scope.cancel()
    assert "recv" in woken
    assert ("open" in woken) == (state is not State.OPEN)
    await client.__aexit__(None, None, None)


async def test_a_close_that_takes_long_can_be_cancelled(network: Network) -> None:
    client = plain(network)
    with anyio.move_on_after(3) as scope:
        async with client:
            network.link.close_takes = 100
    assert scope.cancelled_caught
    assert anyio.current_time() == pytest.approx(3, abs=0.01)
    assert network.link.close_sent == Close(1001)
    assert state_of(client) is State.CLOSED
    assert network.open == 0


async def test_a_connection_that_breaks_while_closing_is_closed(
    network: Network,
) -> None:
    client = plain(network)
    async with client:
        network.link.close_takes = 5
        async with anyio.create_task_group() as group:
            group.start_soon(client.close)
            await anyio.sleep(2)
            network.link.lose()
            await settle()
            assert state_of(client) is State.CLOSED
    assert len(network.dials) == 1


async def test_entering_in_a_cancelled_scope_opens_nothing(network: Network) -> None:
    for first in "wait", "background":
        client = plain(network, first=first)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.__aenter__()
        assert scope.cancelled_caught
        assert state_of(client) is State.CLOSED
    assert network.open == 0
    assert all(link.ended_at is not None for link in network.links)


async def test_two_may_close_at_once(network: Network) -> None:
    async with plain(network) as client:
        network.link.close_takes = 2
        async with anyio.create_task_group() as group:
            group.start_soon(client.close)
            group.start_soon(client.close)
        assert state_of(client) is State.CLOSED
    assert network.link.close_sent == Close(1000)


async def test_closing_discards_what_still_comes_and_keeps_what_came(
    network: Network,
) -> None:
    async with plain(network, recv_timeout=1) as client:
        network.link.deliver("before")
        network.link.close_takes = 5
        async with anyio.create_task_group() as group:
            group.start_soon(client.close)
            await settle()
            network.link.deliver("late")
            await anyio.sleep(4)
        # Neither did recv_timeout cut the closing handshake short.
        assert network.link.close_sent == Close(1000)
        assert [message async for message in client] == ["before"]
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.reason is Reason.LOCAL


async def test_a_client_that_was_never_entered_can_be_closed(network: Network) -> None:
    client = plain(network)
    await client.close()
    assert state_of(client) is State.CLOSED
    with pytest.raises(LocalProtocolError):
        await client.__aenter__()


async def test_closing_from_inside_a_hook_ends_it(network: Network) -> None:
    async def hook(connection: Any) -> None:
        await client.close()

    client = plain(network, on_connect=hook, first="background")
    async with client:
        with pytest.raises(ConnectionClosed):
            await client.recv()
    assert state_of(client) is State.CLOSED


async def test_a_hook_that_ends_as_we_leave_does_not_open(network: Network) -> None:
    async def hook(connection: Any) -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            raise

    client = plain(network, on_connect=hook, first="background")
    async with client:
        await settle()
        network.link.close_takes = 3
    assert state_of(client) is State.CLOSED
    assert network.link.close_sent == Close(1000)


# Exceptions: whose, and how they leave.


@pytest.mark.parametrize("error", [ValueError("mine"), OSError("mine"), GiveUp("x")])
async def test_the_users_exceptions_leave_untouched(
    network: Network, error: Exception
) -> None:
    """S47: identity and context, no group around it."""
    context = KeyError("context")
    error.__context__ = context
    with pytest.raises(type(error)) as caught:
        async with plain(network):
            raise error
    assert caught.value is error
    assert error.__context__ is context
    assert network.link.close_sent == Close(1001)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_keyboard_interrupt_leaves_as_itself_at_once(
    network: Network, kind: type[BaseException]
) -> None:
    client = plain(network)
    await client.__aenter__()
    network.link.close_takes = 100
    error = kind()
    await client.__aexit__(kind, error, None)
    assert anyio.current_time() < 0.01
    assert network.link.close_sent == Close(1001)


async def test_a_body_that_raises_while_being_cancelled_does_not_wait(
    network: Network,
) -> None:
    network.answers.append(lambda link: setattr(link, "close_takes", 100))
    error = ValueError("mine")
    with anyio.CancelScope() as scope:
        client = plain(network)
        await client.__aenter__()
        scope.cancel()
        # It returns: what the user raised goes on, no cancellation in its place.
        await client.__aexit__(ValueError, error, None)
    assert not scope.cancelled_caught
    assert network.link.close_sent == Close(1001)
    assert anyio.current_time() < 0.01


@pytest.mark.parametrize("how", ["break", "return", "raise"])
async def test_leaving_a_loop_leaves_nothing_behind(network: Network, how: str) -> None:
    """S47: no generator holds a scope; whoever abandons an iteration is free."""

    async def body() -> None:
        async with plain(network) as client:
            network.link.deliver("a", "b")
            async for _ in client:
                if how == "break":
                    break
                if how == "return":
                    return
                raise KeyError("mine")
            assert await client.recv() == "b"

    if how == "raise":
        with pytest.raises(KeyError):
            await body()
    else:
        await body()
    assert network.open == 0


async def test_failing_raises_once_by_itself_at_the_end(network: Network) -> None:
    client = plain(network)
    await client.__aenter__()
    network.link.peer_closes(1008)
    await settle()
    assert state_of(client) is State.FAILED
    with pytest.raises(GaveUp):
        await client.__aexit__(None, None, None)


async def test_failing_is_not_raised_again_once_a_call_has(network: Network) -> None:
    async with plain(network) as client:
        network.link.peer_closes(1008)
        with pytest.raises(GaveUp):
            await client.recv()
        with pytest.raises(GaveUp):
            await client.wait_open()


async def test_failing_does_not_replace_the_users_exception(network: Network) -> None:
    client = plain(network)
    await client.__aenter__()
    network.link.peer_closes(1008)
    await settle()
    assert state_of(client) is State.FAILED
    await client.__aexit__(ValueError, ValueError("mine"), None)


async def test_failing_never_cancels_the_body(network: Network) -> None:
    client = plain(network)
    await client.__aenter__()
    network.link.peer_closes(1008)
    await anyio.sleep(100)
    assert anyio.current_time() == pytest.approx(100, abs=0.01)
    with pytest.raises(GaveUp):
        await client.__aexit__(None, None, None)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("state", STATES)
async def test_a_native_cancel_works(network: Network, state: State) -> None:
    import asyncio

    async def body() -> None:
        client = await reached(state, network)
        try:
            await asyncio.sleep(1000)
        except BaseException as exc:
            await client.__aexit__(type(exc), exc, None)
            raise

    task = asyncio.create_task(body())
    await anyio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert network.open == 0
    assert anyio.current_time() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_native_timeout_works_in_the_body_and_while_leaving(
    network: Network,
) -> None:
    import asyncio

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2), plain(network):
            await asyncio.sleep(1000)
    network.default = lambda link: setattr(link, "close_takes", 100)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2), plain(network):
            pass
    assert anyio.current_time() == pytest.approx(4, abs=0.01)
    assert network.open == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_cancelling_a_task_of_the_client_never_cancels_the_body(
    network: Network,
) -> None:
    import asyncio

    client = plain(network)
    others = asyncio.all_tasks()
    await client.__aenter__()
    await settle()
    tasks = asyncio.all_tasks() - others
    loop = next(task for task in tasks if "OwnedTasks" in task.get_name())
    for task in tasks - {loop}:
        task.cancel()
        await anyio.sleep(2)
        assert state_of(client) is State.OPEN
    assert client.generation > 1
    loop.cancel()
    with pytest.raises(GaveUp, match="cancelled from outside"):
        await client.recv()
    await anyio.sleep(10)
    assert state_of(client) is State.FAILED
    assert network.open == 0
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_an_interrupt_in_a_hook_leaves_as_itself(network: Network) -> None:
    """asyncio lets an interrupt in any task out of its loop, past everybody."""

    async def hook(connection: Any) -> None:
        raise SystemExit(3)

    client = plain(network, on_connect=hook)
    with pytest.raises(SystemExit):
        await client.__aenter__()
    assert network.open == 0


# run().


async def test_run_starts_where_entering_would_return(network: Network) -> None:
    network.answers.extend([refused(), None])
    client = plain(network)
    async with anyio.create_task_group() as group:
        await group.start(client.run)
        assert state_of(client) is State.OPEN
        network.link.deliver("x")
        assert await client.recv() == "x"
        await client.close()
    assert state_of(client) is State.CLOSED


async def test_run_always_raises_why_it_failed(network: Network) -> None:
    client = plain(network)

    async def fail() -> None:
        await client.wait_open()
        network.link.peer_closes(1008)
        with pytest.raises(GaveUp):
            await client.recv()

    async with anyio.create_task_group() as group:
        group.start_soon(fail)
        with pytest.raises(GaveUp):
            await client.run()


async def test_run_fails_to_start_as_entering_would(network: Network) -> None:
    network.default = rejected(404)
    with pytest.raises(GaveUp, match="404"):
        await plain(network).run()


async def test_cancelling_run_is_leaving(network: Network) -> None:
    client = plain(network)
    async with anyio.create_task_group() as group:
        await group.start(client.run)
        network.link.close_takes = 100
        group.cancel_scope.cancel()
    assert state_of(client) is State.CLOSED
    assert network.link.close_sent == Close(1001)
    assert anyio.current_time() < 0.01


# wait_open(), stats, and what is refused.


async def test_wait_open_waits_and_its_timeout_tells_the_story(
    network: Network,
) -> None:
    network.default = refused("nobody there")
    async with plain(network, first="background") as client:
        with pytest.raises(AttemptTimeout, match="nobody there") as caught:
            await client.wait_open(timeout=4.5)
        assert caught.value.reason is Reason.OPEN_TIMEOUT
        assert caught.value.phase is Phase.TCP
        assert len(caught.value.attempts) == 5
        assert isinstance(caught.value.__cause__, ConnectError)
        network.default = None
        await client.wait_open(timeout=10)
        await client.wait_open(timeout=0)
        with pytest.raises(ArgumentError, match="timeout"):
            await client.wait_open(timeout=-1)


async def test_wait_open_says_that_it_is_preparing_or_has_not_begun(
    network: Network,
) -> None:
    async def hook(connection: Any) -> None:
        await anyio.sleep(5)

    async with plain(network, on_connect=hook, first="background") as client:
        with pytest.raises(AttemptTimeout, match="not connected yet") as caught:
            await client.wait_open(timeout=1)
        assert caught.value.phase is Phase.PREPARING


async def test_stats_are_a_snapshot(network: Network) -> None:
    async with words(network) as client:
        await client.subscribe("a")
        before = client.stats
        network.link.deliver("a:1")
        network.link.lose()
        await settle()
        after = client.stats
        assert (before.state, before.received, before.latency) == (State.OPEN, 0, 0.05)
        assert (after.state, after.received, after.latency) == (State.DOWN, 1, None)
        assert (after.generation, after.attempts) == (1, 1)
        assert after.subscriptions == 1
        await anyio.sleep(1.5)
        network.link.deliver("a:2")
        assert client.stats.received == 2


async def test_calls_from_another_thread_are_refused_by_name(
    network: Network,
) -> None:
    async with plain(network) as client:
        caught: list[str] = []

        def elsewhere() -> None:
            async def call(name: str, *args: Any) -> None:
                try:
                    result = getattr(client, name)(*args)
                    if hasattr(result, "__await__"):
                        await result
                except ConcurrencyError as exc:
                    caught.append(f"{name}: {exc}")

            for name, *args in (
                ("send", "x"),
                ("recv",),
                ("close",),
                ("reconnect",),
                ("mark_healthy",),
                ("wait_open",),
                ("subscribe", "a"),
            ):
                anyio.run(call, name, *args)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(caught) == 7
        assert all("from another thread" in text for text in caught)
        await client.send("mine")
    assert network.link.sent == ["mine"]


async def test_receiving_before_entering_is_refused(network: Network) -> None:
    client = plain(network)
    for call in client.recv, client.wait_open, lambda: anext(client):
        with pytest.raises(LocalProtocolError, match="before the client was entered"):
            await call()
    client.reconnect()
    client.mark_healthy()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("first", "later"),
        ("connect", None),
        ("subprotocol", "json"),
        ("on_connect", "login"),
        ("classify", {}),
        ("wait", 3),
        ("stop", None),
        ("open_timeout", float("nan")),
        ("prepare_timeout", -1),
        ("stable_after", "10"),
        ("recv_timeout", float("nan")),
        ("recv_timeout", -5),
        ("ack_timeout", None),
        ("slow_timeout", float("inf")),
        ("max_retry_after", -1),
        ("max_messages", 0),
        ("max_bytes", 0),
        ("max_total_bytes", None),
        ("max_queued", -1),
        ("max_queued_bytes", 1.5),
    ],
)
def test_bad_arguments_fail_at_the_call_by_name(
    network: Network, name: str, value: Any
) -> None:
    arguments: dict[str, Any] = {
        "connect": network,
        "subprotocol": Plain(),
        name: value,
    }
    with pytest.raises(ArgumentError, match=name):
        Supervisor(**arguments)


async def test_the_defaults_are_those_of_a_fleet(network: Network) -> None:
    """The dice of the system, full jitter up to a second after a first drop."""
    async with Supervisor(network, Plain()) as client:
        network.link.lose()
        await anyio.sleep(1.1)
        assert state_of(client) is State.OPEN
        assert 0 <= network.dials[1] <= 1


async def test_a_failing_client_gives_all_it_has_received(network: Network) -> None:
    client = plain(network, stop=tenacity.stop_after_attempt(1))
    await client.__aenter__()
    network.link.deliver(*"abc")
    network.link.lose()
    await settle()
    assert state_of(client) is State.FAILED
    assert [await client.recv() for _ in "abc"] == list("abc")
    for _ in range(2):
        with pytest.raises(GaveUp):
            await anext(client)
    await client.__aexit__(None, None, None)


async def test_nested_clients_do_not_mistake_each_others_hooks(
    network: Network,
) -> None:
    """A hook may use another client, which has hooks of its own."""
    net = Network()

    async def inner_hook(connection: Any) -> None:
        await connection.send("inner login")

    async def hook(connection: Any) -> None:
        async with plain(net, on_connect=inner_hook) as inner:
            net.link.deliver("token")
            await connection.send(await inner.recv())

    async with plain(network, on_connect=hook) as client:
        assert network.link.sent == ["token"]
        assert net.link.sent == ["inner login"]
        await client.send("x")


async def test_a_queue_that_is_read_slowly_is_read_in_order(network: Network) -> None:
    async with plain(network, max_messages=10) as client:
        for n in range(100):
            network.link.deliver(str(n))
        network.link.deliver(*(str(n) for n in range(100, 1000)))
        for n in range(1000):
            assert await client.recv(timeout=5) == str(n)


async def test_words_in_one_queue_and_gaps_between(network: Network) -> None:
    def server(link: FakeLink) -> None:
        link.deliver("x|y")

    network.default = server
    async with words(network, subprotocol=Words) as client:
        network.link.lose(Reason.EOF)
        await anyio.sleep(1.5)
        x, y, gap, *rest = await read(client)
        assert [x, y, *rest] == ["x", "y", "x", "y"]
        assert gap.reason is Reason.EOF
