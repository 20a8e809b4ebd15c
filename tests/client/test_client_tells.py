"""What a client tells: gaps, events, stats, receipts, its history, its log."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import tenacity

import wsclient
from wsclient import Gap, JsonTopics, Limits, Reason, State
from wsclient.supervisor import (
    AttemptFailed,
    Attempting,
    Fate,
    LifeEnded,
    Proven,
    Refused,
    StateChanged,
)

from .inv import anyio_backend, inv
from .world import Net, Peer, Script

__all__ = ("anyio_backend", "inv")


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


async def refuses(peer: Peer) -> None:
    await peer.reject(503, body=b"not now")


async def counts_to_three(peer: Peer) -> None:
    """Say three numbers, then go."""
    await peer.accept()
    peer.send(*(f"{peer.number}.{n}" for n in range(3)))
    peer.close(1012)


# Gaps.


async def test_gaps_stand_between_the_messages_of_two_generations() -> None:
    got: list[Any] = []
    async with Net(counts_to_three, refuses, counts_to_three) as net:
        made = net.client(wait=waits(10), first="background")
        async with made as client:
            async for item in client.with_gaps():
                got.append(item)
                if len(got) == 8:
                    break
    first, second = got[3], got[7]
    assert got[:3] == ["1.0", "1.1", "1.2"]
    assert got[4:7] == ["3.0", "3.1", "3.2"]
    assert (first.generation, first.reason) == (2, Reason.PEER_CLOSED)
    assert first.recovered
    assert first.offline_for == pytest.approx(20, abs=0.5)
    assert first.lost is None
    assert second.generation == 3


async def test_iteration_alone_gives_messages_only() -> None:
    async with (
        Net(counts_to_three, counts_to_three) as net,
        net.client(wait=waits(10), first="background") as client,
    ):
        got = [await client.recv() for _ in range(6)]
    assert got == ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2"]


async def test_the_last_gap_says_that_nothing_was_recovered() -> None:
    async with Net(counts_to_three, default=refuses) as net:
        client = net.client(
            wait=waits(10), first="background", stop=tenacity.stop_after_attempt(3)
        )
        async with client:
            items = client.with_gaps()
            got = [await anext(items) for _ in range(4)]
            gap = got[3]
            assert isinstance(gap, Gap)
            assert not gap.recovered
            with pytest.raises(wsclient.GaveUp):
                await anext(items)


async def test_a_message_that_cannot_be_decoded_is_told_as_lost() -> None:
    async def mumbles(peer: Peer) -> None:
        await peer.accept()
        peer.send('{"n":1}', "{mumble", '{"n":2}')

    async with Net(mumbles) as net, net.client(subprotocol=JsonTopics()) as client:
        items = client.with_gaps()
        got = [await anext(items) for _ in range(3)]
        assert client.stats.skipped == 1
    assert got[0] == {"n": 1}
    assert (got[1].lost, got[1].offline_for) == (1, 0.0)
    assert got[2] == {"n": 2}


# The slow one pays.


async def test_a_subscription_read_too_slowly_ends_alone_and_is_unsubscribed() -> None:
    async def floods(peer: Peer) -> None:
        await peer.accept()
        await peer.until(lambda: len(peer.messages) == 2)
        peer.send(*(f'{{"channel":"{c}","n":{n}}}' for n in range(20) for c in "ab"))

    topics = JsonTopics(unsubscribe=lambda topic: {"bye": topic["channel"]})
    async with Net(floods) as net, net.client(subprotocol=topics) as client:
        slow = await client.subscribe({"channel": "a"}, max_messages=8)
        fast = await client.subscribe({"channel": "b"})
        assert [(await fast.recv())["n"] for _ in range(20)] == list(range(20))
        assert [(await slow.recv())["n"] for _ in range(8)] == list(range(8))
        with pytest.raises(wsclient.SubscriptionOverflow, match="'a'"):
            await slow.recv()
        await net.peer.until(lambda: len(net.peer.messages) == 3)
        assert net.peer.messages[2] == '{"bye":"a"}'
        assert len(net.peers) == 1


async def test_a_silent_feed_is_replaced_after_recv_timeout() -> None:
    async def falls_silent(peer: Peer) -> None:
        await peer.accept()
        for _ in range(5):
            await anyio.sleep(20)
            peer.send("tick")

    async with Net(default=falls_silent) as net:
        events = (client := net.client(recv_timeout=30, wait=waits(1))).events()
        async with client:
            opened = anyio.current_time()
            await net.until_accepted(2)
        ends = [event async for event in events if isinstance(event, LifeEnded)]
        assert ends[0].outcome.reason == Reason.IDLE
        assert ends[0].time - opened == pytest.approx(100 + 30, abs=0.5)
    assert net.peers[0].close_code == 1001


# Sending while there is no connection.


async def test_each_policy_of_a_send_while_down_does_what_it_says() -> None:
    async with Net(refuses) as net:
        made = net.client(wait=waits(10), first="background")
        async with made as client:
            await anyio.sleep(1)
            assert client.state == State.DOWN
            with pytest.raises(wsclient.NotSent) as caught:
                await client.send("raise", when_down="raise")
            assert caught.value.message == "raise"
            assert isinstance(caught.value.__cause__, wsclient.HandshakeRejected)
            dropped = await client.send("drop", when_down="drop")
            assert dropped.fate == Fate.DROPPED
            queued = await client.send("queue", when_down="queue")
            assert queued.fate == Fate.QUEUED
            waited = await client.send("wait", when_down="wait")
            assert (client.state, waited.fate) == (State.OPEN, Fate.SENT)
            assert await queued.wait() == Fate.SENT
            for policy in ("raise", "drop", "queue", "wait"):
                await client.send(f"open {policy}", when_down=policy)
    assert net.peer.messages[:2] == ["queue", "wait"]
    assert net.peer.messages[2:] == [
        f"open {policy}" for policy in ("raise", "drop", "queue", "wait")
    ]


async def test_a_full_queue_is_told_at_the_call_and_takes_nothing() -> None:
    limits = Limits(max_queued_sends=3)
    async with Net(refuses) as net:
        made = net.client(wait=waits(10), first="background", limits=limits)
        async with made as client:
            for n in range(3):
                await client.send(f"{n}", when_down="queue")
            with pytest.raises(wsclient.QueueFull) as caught:
                await client.send("3", when_down="queue")
            assert caught.value.message == "3"
            await client.wait_open()
    assert net.peer.messages == ["0", "1", "2"]


async def test_leaving_tells_what_waits_and_what_is_queued_that_it_was_not_sent() -> (
    None
):
    told: list[wsclient.NotSent] = []

    async def waits_to_send(client: wsclient.Client[Any]) -> None:
        try:
            await client.send("waits")
        except wsclient.NotSent as exc:
            told.append(exc)

    async with Net(default=refuses) as net:
        made = net.client(wait=waits(100), first="background")
        async with anyio.create_task_group() as group, made as client:
            receipt = await client.send("queued", when_down="queue")
            group.start_soon(waits_to_send, client)
            await anyio.sleep(1)
        assert [error.message for error in told] == ["waits"]
        with pytest.raises(wsclient.NotSent):
            await receipt.wait()
        assert receipt.fate == Fate.NOT_SENT


async def test_a_message_that_was_leaving_when_the_connection_broke_is_maybe_sent() -> (
    None
):
    async def breaks(peer: Peer) -> None:
        await peer.accept()
        peer.wire.pause()
        await anyio.sleep(5)
        peer.reset()

    async with Net(breaks) as net:
        made = net.client(wait=waits(1), compression=None)
        async with made as client:
            message = bytes(1_000_000)
            with pytest.raises(wsclient.MaybeSent) as caught:
                await client.send(message)
            assert caught.value.message is message
            await net.until_accepted(2)
            await client.wait_open()
    assert not net.peer.messages, "it is never sent again by itself"


# Events, stats, waiting.


async def test_events_tell_each_attempt_life_and_state() -> None:
    async def hangs_up(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(60)
        peer.close(1008, "who are you?")

    async with Net(refuses, hangs_up) as net:
        client = net.client(wait=waits(2))
        events = client.events()
        async with client:
            await net.until_accepted(3)
            await client.wait_open()
        got = [event async for event in events]
    states = [event.after for event in got if isinstance(event, StateChanged)]
    connecting, preparing = State.CONNECTING, State.PREPARING
    assert states == [
        *(connecting, State.DOWN),
        *(connecting, preparing, State.OPEN, State.DOWN),
        *(connecting, preparing, State.OPEN, State.CLOSING, State.CLOSED),
    ]
    others = [event for event in got if not isinstance(event, StateChanged)]
    assert [type(event) for event in others] == [
        *(Attempting, AttemptFailed, Attempting, Proven),
        *(Refused, LifeEnded, Attempting),
    ]
    failed, refused, ended = others[1], others[4], others[5]
    assert isinstance(failed, AttemptFailed)
    assert (failed.outcome.status, failed.delay) == (503, 2)
    assert isinstance(refused, Refused)
    assert "policy" in refused.why
    assert isinstance(ended, LifeEnded)
    assert (ended.outcome.code, ended.outcome.proven) == (1008, True)
    assert ended.delay is not None
    assert 30 <= ended.delay <= 33


async def test_an_observer_that_nobody_holds_any_more_is_let_go() -> None:
    async with Net() as net, net.client() as client:
        observer = weakref.ref(client.events())
        gc.collect()
        assert observer() is None
        assert client.state == State.OPEN


async def test_stats_count_what_went_and_what_waits() -> None:
    async def answers_twice(peer: Peer) -> None:
        await peer.accept()
        while True:
            message = await peer.recv()
            peer.send(message, message)

    async with Net(answers_twice) as net:
        client = net.client()
        assert client.stats.state == State.NEW
        async with client:
            for _ in range(3):
                await client.send("x")
            await anyio.sleep(30)
            stats = client.stats
            assert (stats.state, stats.generation) == (State.OPEN, 1)
            assert (stats.sent, stats.received) == (3, 6)
            assert stats.proven
            assert stats.latency == pytest.approx(0.02, abs=0.005)
            assert (stats.waiting, stats.queued, stats.paused) == (0, 0, ())


async def test_wait_open_waits_and_tells_what_keeps_it() -> None:
    async with Net(refuses, refuses) as net:
        async with net.client(wait=waits(10), first="background") as client:
            with pytest.raises(wsclient.AttemptTimeout) as caught:
                await client.wait_open(timeout=5)
            assert isinstance(caught.value, TimeoutError)
            assert isinstance(caught.value.__cause__, wsclient.HandshakeRejected)
            assert len(caught.value.attempts) == 1
            await client.wait_open(timeout=20)
        with pytest.raises(wsclient.ConnectionClosed):
            await client.wait_open()


# Giving up.


@pytest.mark.parametrize(
    ("stop", "dials"),
    [
        (tenacity.stop_after_attempt(3), 3),
        (tenacity.stop_after_delay(60), 7),
        (tenacity.stop_before_delay(60), 6),
        (tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(5), 2),
        (lambda state: state.attempt_number == 4, 4),
    ],
)
async def test_stop_ends_it_and_every_call_is_told_the_history(
    stop: Any, dials: int
) -> None:
    async with Net(default=refuses) as net:
        async with net.client(first="background", wait=waits(10), stop=stop) as client:
            with pytest.raises(wsclient.GaveUp) as caught:
                await client.wait_open()
            with pytest.raises(wsclient.GaveUp) as again:
                await client.recv()
            with pytest.raises(wsclient.NotSent) as not_sent:
                await client.send("x")
        assert len(net.dials) == dials
        assert client.state == State.FAILED
    gave_up = caught.value
    assert again.value is not gave_up
    assert isinstance(not_sent.value.__cause__, wsclient.GaveUp)
    assert isinstance(gave_up.__cause__, wsclient.HandshakeRejected)
    assert gave_up.__cause__.body == b"not now"
    assert [a.number for a in gave_up.attempts] == list(range(1, dials + 1))
    times = [attempt.time for attempt in gave_up.attempts]
    assert times[-1] - times[0] == pytest.approx(10 * (dials - 1), abs=1)


# The log.

SECRETS = ("hunter2", "t0ken", "s3cret")


async def test_the_log_tells_each_thing_once_and_nothing_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def talks(peer: Peer) -> None:
        await peer.accept()
        peer.send("s3cret of the server")
        await peer.recv()
        peer.reset()

    def credentials(attempt: wsclient.Attempt) -> dict[str, str]:
        return {"X-Token": "t0ken"}

    caplog.set_level(logging.DEBUG)
    forbids = ConnectionRefusedError("no route")
    script: list[Script | Exception] = [
        refuses,
        refuses,
        forbids,
        refuses,
        forbids,
        talks,
        refuses,
        refuses,
    ]
    async with (
        Net(*script) as net,
        net.client(
            "ws://user:hunter2@server.test/?key=t0ken",
            headers=credentials,
            wait=waits(1),
            compression=None,
        ) as client,
    ):
        await client.recv()
        client.mark_healthy()
        await client.send("s3cret of ours")
        await net.until_accepted(7)
        await client.wait_open()
    records = [
        record for record in caplog.records if record.name.startswith("wsclient")
    ]
    assert records
    by_level: dict[int, list[str]] = {}
    for record in records:
        by_level.setdefault(record.levelno, []).append(record.getMessage())
    warnings, infos = by_level[logging.WARNING], by_level[logging.INFO]
    # Two distinct reasons before it worked; one anew after that.
    assert ["503" in text for text in warnings] == [True, False, True]
    assert "no route" in warnings[1]
    assert [text for text in infos if "ended" in text] == infos
    assert len(infos) == 1
    assert not {level for level in by_level if level > logging.WARNING}
    assert all("client #" in text for text in warnings + infos)
    for record in records:
        text = record.getMessage()
        assert "hunter2" not in text
        assert "t0ken" not in text
        assert "s3cret" not in text or record.levelno == logging.DEBUG
        assert record.exc_info is None
