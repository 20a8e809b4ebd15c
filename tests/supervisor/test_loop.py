"""When it dials, what follows from each end, and what observers and logs are told."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import tenacity

from wsclient.errors import (
    CertificateError,
    Close,
    ConnectError,
    ConnectionLost,
    Facts,
    GaveUp,
    GiveUp,
    HookError,
    Initiator,
    Phase,
    Reason,
)
from wsclient.supervisor import (
    AttemptFailed,
    Attempting,
    Fatal,
    FullJitter,
    Gap,
    LifeEnded,
    Refused,
    Retry,
    State,
    StateChanged,
)

from .clients import Dice, Log, Raw, Words, fixed, highest, plain, read, settle, words
from .network import FakeLink, Network, refused, rejected


def at(*times: float) -> Any:
    return pytest.approx(list(times), abs=0.01)


def about(seconds: float) -> Any:
    return pytest.approx(seconds, abs=0.01)


def prove(client: Raw) -> None:
    client.mark_healthy()


# When it dials.


async def test_the_first_dial_is_not_delayed_the_others_back_off(
    network: Network,
) -> None:
    network.answers.extend([refused()] * 7)
    async with plain(network, wait=FullJitter(random=Dice())) as client:
        assert network.dials == at(0, 1, 3, 7, 15, 31, 61, 91)
        assert [a.number for a in network.attempts] == list(range(1, 9))
        assert {a.generation for a in network.attempts} == {1}
        assert client.generation == 1


async def test_after_a_proof_of_life_it_begins_anew(network: Network) -> None:
    network.answers.extend([refused()] * 3)
    async with plain(network, wait=FullJitter(random=Dice())) as client:
        assert network.dials == at(0, 1, 3, 7)
        network.answers.append(refused())
        prove(client)
        network.link.lose()
        await anyio.sleep(5)
        assert network.dials == at(0, 1, 3, 7, 8, 10)
        assert [a.number for a in network.attempts] == [1, 2, 3, 4, 2, 3]
        assert [a.generation for a in network.attempts] == [1, 1, 1, 1, 2, 2]


async def test_accepting_and_closing_at_once_is_no_success(network: Network) -> None:
    """S10: the backoff grows, and there are at most six lives in any minute."""
    network.default = lambda link: link.peer_closes(1008)
    async with plain(
        network,
        wait=FullJitter(random=Dice()),
        classify=lambda outcome: Retry(),
        first="background",
    ):
        await anyio.sleep(600)
        gaps = [b - a for a, b in zip(network.dials, network.dials[1:], strict=False)]
        assert gaps[:5] == at(1, 2, 4, 8, 16)
        assert all(gap >= 29.9 for gap in gaps[5:])
    net = Network()
    net.default = lambda link: link.peer_closes(1008)
    async with plain(
        net,
        wait=fixed(0),
        classify=lambda outcome: Retry(),
        first="background",
    ):
        await anyio.sleep(600)
        for first, seventh in zip(net.dials, net.dials[6:], strict=False):
            assert seventh - first >= 60 - 1e-6
        assert len(net.dials) >= 54
    with pytest.raises(GaveUp, match="violate its policy") as caught:
        # By default it is fatal.
        async with plain(net):
            await anyio.sleep(600)
    assert caught.value.received == Close(1008)


async def test_the_servers_wish_is_kept(network: Network) -> None:
    network.answers.extend([rejected(503, Retry_After="7"), rejected(429), None])
    async with plain(network, uniform=highest, wait=fixed(0.5)):
        assert network.dials == at(0, 7.7, 8.2)
        network.link.peer_closes(1012)
        await anyio.sleep(6)
        assert network.dials[3] == pytest.approx(13.2, abs=0.01)
        network.link.peer_closes(1013)
        await anyio.sleep(61)
        assert network.dials[4] == pytest.approx(6 + 8.2 + 60, abs=0.01)


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1011, 4000])
async def test_an_orderly_close_is_followed_by_a_reconnect(
    network: Network, code: int
) -> None:
    """S50: orderly or abrupt, it comes back, and the subscriptions survive."""
    client = words(network)
    await client.subscribe("a")
    async with client:
        network.link.peer_closes(code)
        await anyio.sleep(1.5)
        network.link.lose()
        await anyio.sleep(1.5)
        assert [link.sent for link in network.links] == [["a"]] * 3
        assert network.most_open == 1


# Giving up.


async def test_stop_after_attempt_gives_up_with_the_history(network: Network) -> None:
    network.default = refused("nobody there")
    client = plain(network, stop=tenacity.stop_after_attempt(3))
    with pytest.raises(GaveUp) as caught:
        await client.__aenter__()
    error = caught.value
    assert network.dials == at(0, 1, 2)
    assert [a.number for a in error.attempts] == [1, 2, 3]
    assert [a.time for a in error.attempts] == at(0, 1, 2)
    assert all("nobody there" in a.text for a in error.attempts)
    assert "gave up after 3 attempts: stop says so: nobody there" in str(error)
    assert isinstance(error.__cause__, ConnectError)
    assert (error.reason, error.phase) == (Reason.REFUSED, Phase.TCP)
    assert error.host == "example.com"
    assert client.state is State.FAILED


async def test_stop_after_delay_is_told_the_time_of_the_loop(network: Network) -> None:
    network.default = refused()
    stop = tenacity.stop_after_delay(60)
    with pytest.raises(GaveUp):
        await plain(network, stop=stop, wait=fixed(25)).__aenter__()
    assert network.dials == at(0, 25, 50, 75)


async def test_an_outage_that_stop_ends_begins_with_the_drop(network: Network) -> None:
    async with plain(network, stop=tenacity.stop_before_delay(60)) as client:
        prove(client)
        await anyio.sleep(1000)
        network.default = refused()
        network.link.lose()
        with pytest.raises(GaveUp):
            await client.recv()
        assert network.dials[-1] - 1000 == pytest.approx(59, abs=0.01)


async def test_what_never_worked_is_fatal(network: Network) -> None:
    error = CertificateError(Facts(reason=Reason.TLS, phase=Phase.TLS))
    network.default = error
    with pytest.raises(GaveUp, match="certificate was not accepted") as caught:
        await plain(network).__aenter__()
    assert caught.value.__cause__ is error
    assert len(network.dials) == 1


async def test_what_has_worked_is_retried_slowly_and_said_loudly(
    network: Network,
) -> None:
    log = Log("test")
    client = plain(network, logger=log.logger)
    events = client.events()
    async with client:
        prove(client)
        network.answers.extend([rejected(403), rejected(403)])
        network.link.lose()
        await anyio.sleep(70)
        assert network.dials == at(0, 1, 31, 61)
    told = [event async for event in events if isinstance(event, Refused)]
    assert [event.outcome.status for event in told] == [403, 403]
    assert "403" in told[0].why
    assert len(log.texts(logging.WARNING)) == 2
    assert "it has worked before" in log.texts(logging.WARNING)[0]


async def test_two_401_in_a_row_are_fatal_where_a_provider_is_asked(
    network: Network,
) -> None:
    """S13: the provider is told why it is asked again."""
    network.answers.extend([rejected(401), None])
    async with plain(network, has_provider=True):
        last = network.attempts[1].last_outcome
        assert last is not None
        assert last.status == 401
        network.answers.extend([rejected(401), refused(), None])
        network.link.lose()
        await anyio.sleep(4)
        assert len(network.links) == 2
    net = Network()
    net.answers.extend([rejected(401), refused(), rejected(401)])
    with pytest.raises(GaveUp, match="401"):
        await plain(net, has_provider=True).__aenter__()
    assert len(net.dials) == 3
    net = Network()
    net.answers.extend([rejected(401)])
    with pytest.raises(GaveUp, match="401"):
        await plain(net).__aenter__()


async def test_a_provider_that_fails_is_a_failed_attempt(network: Network) -> None:
    """S14: whatever it raises, but GiveUp."""
    network.answers.extend([HookError("raised"), HookError("raised"), None])
    async with plain(network):
        assert len(network.dials) == 3
        assert network.attempts[0].deadline == 10.0
        assert network.attempts[2].deadline == pytest.approx(12, abs=0.01)
    net = Network()
    net.answers.append(GiveUp("no account"))
    with pytest.raises(GaveUp, match="no account"):
        await plain(net).__aenter__()
    assert len(net.dials) == 1


async def test_an_exception_that_no_attempt_may_raise_is_fatal(
    network: Network,
) -> None:
    network.answers.append(ZeroDivisionError("a bug"))
    with pytest.raises(GaveUp, match="a bug"):
        await plain(network).__aenter__()


async def test_leaving_a_connection_that_raises_is_told(network: Network) -> None:
    @asynccontextmanager
    async def connect(attempt: Any) -> Any:
        async with network(attempt) as link:
            yield link
        raise ZeroDivisionError("a bug")

    client = plain(connect)  # type: ignore[arg-type]
    await client.__aenter__()
    network.link.lose()
    await settle()
    assert client.state is State.FAILED
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await client.__aexit__(None, None, None)


@pytest.mark.parametrize("who", ["classify", "wait", "stop", "nonsense", "subprotocol"])
async def test_a_judge_that_raises_is_fatal_and_told_as_hook_error(
    network: Network, who: str
) -> None:
    """S49."""
    boom = ZeroDivisionError("boom")

    def broken(_: Any) -> Any:
        raise boom

    class Broken(Words):
        def classify(self, outcome: Any) -> Any:
            raise boom

    network.default = refused()
    options: dict[str, Any] = {who: broken}
    if who == "nonsense":
        options = {"classify": lambda outcome: "retry"}
    elif who == "subprotocol":
        options = {"subprotocol": Broken}
    client = words(network, **options)
    with pytest.raises(GaveUp) as caught:
        await client.__aenter__()
    assert isinstance(caught.value.__cause__, HookError)
    if who != "nonsense":
        assert caught.value.__cause__.__cause__ is boom
    assert len(network.dials) == 1


async def test_classifiers_are_asked_in_order(network: Network) -> None:
    asked: list[str] = []

    def mine(outcome: Any) -> Any:
        asked.append("mine")
        return Retry(5) if outcome.status == 404 else None

    class Theirs(Words):
        def classify(self, outcome: Any) -> Any:
            asked.append("theirs")
            return Fatal("enough") if outcome.status == 500 else None

    network.answers.extend([rejected(404), rejected(503), rejected(500)])
    with pytest.raises(GaveUp, match="enough"):
        await words(network, classify=mine, subprotocol=Theirs).__aenter__()
    assert asked == ["mine", "mine", "theirs", "mine", "theirs"]
    assert network.dials == at(0, 5, 6)


async def test_a_fatal_verdict_needs_no_words(network: Network) -> None:
    network.answers.append(refused())
    with pytest.raises(GaveUp, match="it is fatal"):
        await plain(network, classify=lambda outcome: Fatal()).__aenter__()


async def test_a_failing_factory_is_a_failing_hook(network: Network) -> None:
    made: list[Words] = []

    def factory() -> Words:
        if len(made) == 1:
            raise KeyError("no more")
        made.append(Words())
        return made[-1]

    async with words(network, subprotocol=factory, first="background") as client:
        await client.wait_open()
        network.link.lose()
        with pytest.raises(GaveUp, match="factory raised") as caught:
            await client.recv()
        assert isinstance(caught.value.__cause__, HookError)
    assert len(network.dials) == 1


async def test_a_subprotocol_is_made_once_for_each_generation(
    network: Network,
) -> None:
    made: list[Words] = []

    def factory() -> Words:
        made.append(Words())
        return made[-1]

    async with words(network, subprotocol=factory) as client:
        assert client.subprotocol is made[0]
        network.answers.extend([refused(), refused()])
        network.link.lose()
        await anyio.sleep(4)
        assert client.generation == 2
        assert len(made) == 2
        assert client.subprotocol is made[1]


# reconnect().


async def test_reconnect_ends_a_life_and_dials_at_once(network: Network) -> None:
    """S45: however many ask, there is one dial."""
    async with plain(network, wait=fixed(30)) as client:
        network.link.deliver("before")
        client.reconnect()
        client.reconnect()
        assert network.links[0].close_sent == Close(1001)
        await anyio.sleep(5)
        assert network.dials == at(0, 0)
        assert client.state is State.OPEN
        gap = Gap(generation=2, reason=Reason.LOCAL, offline_for=0.0)
        assert await read(client) == ["before", gap]
        assert network.most_open == 1


async def test_reconnect_dials_now_when_down(network: Network) -> None:
    async with plain(network, wait=fixed(30)) as client:
        network.link.lose()
        await anyio.sleep(5)
        assert client.state is State.DOWN
        client.reconnect()
        client.reconnect()
        await anyio.sleep(5)
        assert network.dials == at(0, 5)


async def test_reconnect_does_nothing_while_an_attempt_is_made(
    network: Network,
) -> None:
    network.answers.extend([5, None])
    async with plain(network, first="background") as client:
        await anyio.sleep(1)
        client.reconnect()
        await client.wait_open()
        assert network.dials == at(0)
    client.reconnect()
    assert client.state is State.CLOSED


async def test_reconnect_may_exceed_the_flap_window_and_is_never_fatal(
    network: Network,
) -> None:
    stop = tenacity.stop_after_attempt(1)
    async with plain(network, stop=stop) as client:
        for _ in range(20):
            client.reconnect()
            await settle()
        await client.wait_open()
        assert client.generation == 21
        assert network.dials == at(*[0] * 21)


# What is told.


async def test_observers_see_what_happens_in_order(network: Network) -> None:
    network.answers.extend([refused(), None])
    client = plain(network)
    events = client.events()
    async with client:
        network.link.lose(Reason.EOF)
        await anyio.sleep(1.5)
    seen = [event async for event in events]
    assert [
        event.after
        if isinstance(event, StateChanged)
        else (type(event).__name__, event.generation, getattr(event, "number", 0))
        for event in seen
    ] == [
        State.CONNECTING,
        ("Attempting", 1, 1),
        State.DOWN,
        ("AttemptFailed", 1, 1),
        State.CONNECTING,
        ("Attempting", 1, 2),
        State.PREPARING,
        State.OPEN,
        State.DOWN,
        ("LifeEnded", 1, 2),
        State.CONNECTING,
        ("Attempting", 2, 3),
        State.PREPARING,
        State.OPEN,
        State.CLOSING,
        State.CLOSED,
    ]
    failed = next(e for e in seen if isinstance(e, AttemptFailed))
    assert (failed.delay, failed.outcome.reason) == (1.0, Reason.REFUSED)
    ended = next(e for e in seen if isinstance(e, LifeEnded))
    assert (ended.delay, ended.outcome.reason) == (1.0, Reason.EOF)
    assert [e.time for e in seen if isinstance(e, Attempting)] == at(0, 1, 2)


async def test_an_observer_of_a_client_that_is_over_sees_nothing(
    network: Network,
) -> None:
    async with plain(network) as client:
        pass
    assert [event async for event in client.events()] == []


async def test_a_slow_observer_loses_the_oldest_and_holds_up_nobody(
    network: Network,
) -> None:
    client = plain(network, wait=fixed(0.1), first="background")
    events = client.events()
    network.default = refused()
    async with client:
        await anyio.sleep(60)
    seen = [event async for event in events]
    assert len(seen) == 256
    assert isinstance(seen[-1], StateChanged)
    assert seen[-1].after is State.CLOSED
    assert events.lost > 1000


async def test_the_log_tells_each_reason_once_and_each_drop_once(
    network: Network,
) -> None:
    log = Log("test")
    network.answers.extend([refused(), refused(), rejected(503), refused(), None])
    async with plain(network, logger=log.logger) as client:
        warned = log.texts(logging.WARNING)
        assert len(warned) == 2
        assert "refused" in warned[0]
        assert 'first="raise" would raise this' in warned[0]
        network.link.lose(Reason.EOF)
        await anyio.sleep(1.5)
        assert len(log.texts(logging.INFO)) == 1
        assert "generation 1 ended" in log.texts(logging.INFO)[0]
        prove(client)
        network.answers.extend([refused(), None])
        network.link.lose()
        await anyio.sleep(3)
        assert len(log.texts(logging.WARNING)) == 3
        assert "first=" not in log.texts(logging.WARNING)[2]
    assert any(text.startswith("= OPEN") for text in log.texts(logging.DEBUG))


async def test_gaps_tell_how_long_and_why(network: Network) -> None:
    """S41: an ordered gap between generations, on every queue that was there."""
    client = words(network)
    early = await client.subscribe("early")
    async with client:
        network.link.deliver("early:1", "x")
        network.answers.extend([refused(), refused(), None])
        network.link.lose(Reason.EOF)
        await anyio.sleep(0.5)
        late = await client.subscribe("late")
        await anyio.sleep(3)
        network.link.deliver("early:2", "late:1", "y")
        gap = Gap(generation=2, reason=Reason.EOF, offline_for=about(3))
        assert await read(early) == ["early:1", gap, "early:2"]
        assert await read(client) == ["x", gap, "y"]
        assert await read(late) == ["late:1"]
        live = await client.subscribe("live")
        network.link.lose(Reason.RESET)
        await anyio.sleep(2)
        for queue in early, late, live, client:
            found = await read(queue)
            assert [(g.generation, g.reason) for g in found] == [(3, Reason.RESET)]


async def test_a_connection_that_was_never_routed_makes_no_gap_of_its_own(
    network: Network,
) -> None:
    async def hook(connection: Any) -> None:
        if connection.generation == 2:
            raise OSError("database")

    async with plain(network, on_connect=hook) as client:
        network.link.lose(Reason.EOF)
        await anyio.sleep(3)
        assert client.generation == 3
        assert await read(client) == [
            Gap(generation=3, reason=Reason.EOF, offline_for=about(2))
        ]


async def test_the_last_gap_says_that_nothing_follows(network: Network) -> None:
    client = plain(network, stop=tenacity.stop_after_attempt(1))
    async with client:
        network.link.deliver("x")
        network.link.lose(Reason.EOF)
        gaps = client.with_gaps()
        assert await anext(gaps) == "x"
        last = Gap(generation=1, reason=Reason.EOF, recovered=False)
        assert await anext(gaps) == last
        with pytest.raises(GaveUp):
            await anext(gaps)
    net = Network()
    async with plain(net) as client:
        net.link.deliver("x")
    last = Gap(generation=1, reason=Reason.LOCAL, recovered=False)
    assert [item async for item in client.with_gaps()] == ["x", last]


async def test_a_thousand_cycles_leave_nothing_behind(network: Network) -> None:
    async with plain(network, wait=fixed(0), stable_after=0) as client:
        for _ in range(500):
            network.link.deliver("x")
            await settle()
            await anyio.sleep(0.01)
            network.link.lose()
            await settle()
            await client.wait_open()
        assert client.generation == 501
        assert network.open == 1
        assert network.most_open == 1
        assert len(await read(client)) == 1000


async def test_the_phase_of_a_failure_survives_into_the_error(
    network: Network,
) -> None:
    def server(link: FakeLink) -> None:
        link.fail(1002)

    network.default = server
    stop = tenacity.stop_after_attempt(2)
    with pytest.raises(GaveUp) as caught:
        async with plain(network, stop=stop, first="background") as client:
            await client.recv()
    error = caught.value
    assert isinstance(error.__cause__, ConnectionLost)
    assert error.sent == Close(1002)
    assert error.initiator is Initiator.US
    assert len(error.attempts) == 2
