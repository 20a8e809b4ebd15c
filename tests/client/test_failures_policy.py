"""What is tried again, when, and what becomes of messages meanwhile."""

from __future__ import annotations

import email.utils
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

import wsclient
from wsclient import ConnectError, Facts, Gap, Phase, Reason, State
from wsclient.protocol import Ping
from wsclient.supervisor import Fate

from .inv import anyio_backend, inv
from .world import Net, Peer, Script
from .worlds import NETS

__all__ = ("anyio_backend", "inv")


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


def gaps(times: list[float]) -> list[float]:
    """The seconds between one and the next."""
    return [after - before for before, after in pairwise(times)]


def answers(status: int, **headers: str) -> Script:
    """Refuse the upgrade with this."""

    async def script(peer: Peer) -> None:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await peer.reject(status, pairs)

    return script


async def is_told(peer: Peer) -> None:
    """Be there until told to drop."""
    await peer.accept()
    await peer.until(lambda: "drop" in peer.messages)
    peer.reset()


# S9: 101, and then the application's hello never comes.


@NETS
async def test_s09_a_hello_that_never_comes_is_retried_after_prepare_timeout(
    net_of: type[Net],
) -> None:
    async def silent(peer: Peer) -> None:
        await peer.accept()

    async def greets(peer: Peer) -> None:
        await peer.accept()
        peer.send("hello")

    async def login(conversation: wsclient.Conversation[str | bytes]) -> None:
        assert await conversation.recv() == "hello"

    async with net_of(silent, silent, greets) as net:
        made = net.client(on_connect=login, prepare_timeout=4, wait=waits(1))
        async with made as client:
            reasons = [attempt.text for attempt in client.attempts]
    assert gaps(net.dials) == pytest.approx([5, 5], abs=0.1)
    assert all("not prepared within 4" in text for text in reasons)


# S11, S12: the server says when to come back.


async def test_s11_retry_after_is_a_floor_with_jitter_above_it() -> None:
    storm = [answers(503, Retry_After="7") for _ in range(20)]
    async with Net(*storm) as net, net.client(wait=waits(0)) as client:
        numbers = [attempt.number for attempt in client.attempts]
    delays = gaps(net.dials)
    assert all(7 <= delay <= 7.8 for delay in delays)
    assert len({round(delay, 3) for delay in delays}) > 10
    assert numbers == list(range(1, 21)), "a refusal is no proof of life"


async def test_s11_the_backoff_wins_where_it_is_longer() -> None:
    async with Net(answers(503, Retry_After="7")) as net, net.client(wait=waits(20)):
        pass
    assert gaps(net.dials) == pytest.approx([20], abs=0.1)


async def test_s12_a_date_is_understood_too() -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    async with Net(answers(429, Retry_After=date)) as net, net.client(wait=waits(0)):
        pass
    assert 90 <= net.dials[1] - net.dials[0] <= 111


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("1000000000", 300, 331),
        ("9" * 400, 300, 331),
        ("-5", 1, 1.1),
        ("7.5", 1, 1.1),
        ("soon", 1, 1.1),
        ("", 1, 1.1),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 1, 1.1),
        ("Mon, 31 Feb 2045 25:61:00 GMT", 1, 1.1),
    ],
)
async def test_s12_what_is_huge_is_capped_and_what_is_malformed_ignored(
    value: str, low: float, high: float
) -> None:
    script = answers(429, Retry_After=value)
    async with Net(script) as net, net.client(wait=waits(1)):
        pass
    assert low <= net.dials[1] - net.dials[0] <= high


# S15: the name is not known at boot.


def unknown() -> ConnectError:
    """What a dial meets whose name nobody knows."""
    facts = Facts(reason=Reason.DNS, phase=Phase.DNS, detail="no such name")
    return ConnectError(facts)


async def test_s15_a_name_that_is_unknown_at_boot_is_tried_until_it_is_known() -> None:
    async with Net(*[unknown() for _ in range(3)]) as net, net.client(wait=waits(1)):
        assert len(net.dials) == 4


async def test_s15_with_first_raise_it_is_told_at_once() -> None:
    async with Net(unknown()) as net:
        with pytest.raises(ConnectError) as caught:
            async with net.client(first="raise"):
                raise AssertionError("it cannot be open")
    assert caught.value.reason == Reason.DNS
    assert len(net.dials) == 1


# S19: a restart drops everybody at once.


async def test_s19_many_clients_that_are_dropped_at_once_do_not_come_back_at_once() -> (
    None
):
    count = 200
    everybody_is_here = anyio.Event()

    async def restarts(peer: Peer) -> None:
        await peer.accept()
        if peer.number <= count:
            if peer.number == count:
                everybody_is_here.set()
            await everybody_is_here.wait()
            await anyio.sleep(1)
            peer.close(1012, "restart")

    async def stay(client: wsclient.Client[Any]) -> None:
        async with client:
            await anyio.sleep(60)
            assert client.state == State.OPEN

    async with Net(default=restarts, most=2 * count) as net:
        async with anyio.create_task_group() as group:
            for number in range(count):
                client = net.client(
                    random=Random(number), compression=None, ping_interval=None
                )
                group.start_soon(stay, client)
        redials = net.dials[count:]
        dropped = net.dials[count - 1] + 1
    assert len(redials) == count
    assert all(1 <= at - dropped <= 6.2 for at in redials)
    buckets = Counter(int(at * 10) for at in redials)
    assert max(buckets.values()) <= count * 0.08


# S20: something between cuts what is idle.


@NETS
async def test_s20_pings_keep_a_connection_that_idleness_would_cut(
    net_of: type[Net],
) -> None:
    """A middlebox that forgets flows after 30 s without a byte from us."""

    async def forgets(peer: Peer) -> None:
        await peer.accept()
        while not peer.ended:
            last = max([peer.came_at, *peer.times(Ping)])
            if anyio.current_time() - last > 30:
                peer.vanish()
                return
            await anyio.sleep(1)

    async with net_of(forgets) as net, net.client():
        await anyio.sleep(600)
        assert len(net.peers) == 1
        assert not net.peer.ended


# S41, S43: what is missing, and what may be.


@NETS
async def test_s41_the_gap_stands_between_what_came_before_and_after_it(
    net_of: type[Net],
) -> None:
    async def publishes(peer: Peer) -> None:
        await peer.accept()
        peer.send(*(f"{peer.number}.{n}" for n in range(3)))
        await peer.recv()
        peer.reset()

    async with net_of(default=publishes) as net, net.client(wait=waits(1)) as client:
        items = client.with_gaps()
        for life in range(1, 4):
            assert [await anext(items) for _ in range(3)] == [
                f"{life}.{n}" for n in range(3)
            ]
            await client.send("drop")
            gap = await anext(items)
            assert isinstance(gap, Gap)
            assert (gap.generation, gap.recovered) == (life + 1, True)


@NETS
async def test_s43_what_the_kernel_has_taken_was_sent_whatever_comes_later(
    net_of: type[Net],
) -> None:
    async with net_of(is_told) as net, net.client(wait=waits(1)) as client:
        receipt = await client.send("drop")
        assert receipt.fate == Fate.SENT
        await net.until_accepted(2)
        await client.wait_open()
        assert receipt.fate == Fate.SENT
        assert not net.peer.messages, "and it is not sent again"


# S42: send in every state, with each policy.

POLICIES: tuple[Any, ...] = ("wait", "raise", "queue", "drop")


async def outcome(client: wsclient.Client[Any], policy: Any) -> str:
    """What a send comes to: its fate, the name of its error, or that it waits."""
    with anyio.move_on_after(0.001):
        try:
            return str((await client.send(policy, when_down=policy)).fate)
        except wsclient.WebSocketError as exc:
            return type(exc).__name__
    return "waits"


TABLE = {
    State.NEW: ("LocalProtocolError",) * 4,
    State.CONNECTING: ("waits", "NotSent", "queued", "dropped"),
    State.PREPARING: ("waits", "NotSent", "queued", "dropped"),
    State.OPEN: ("sent", "sent", "sent", "sent"),
    State.DOWN: ("waits", "NotSent", "queued", "dropped"),
    State.CLOSING: ("NotSent", "NotSent", "NotSent", "NotSent"),
    State.CLOSED: ("NotSent", "NotSent", "NotSent", "NotSent"),
    State.FAILED: ("NotSent", "NotSent", "NotSent", "NotSent"),
}


async def test_s42_a_send_in_every_state_does_what_its_policy_says() -> None:
    found: dict[State, tuple[str, ...]] = {}

    async def probe(client: wsclient.Client[Any]) -> None:
        found[client.state] = tuple([await outcome(client, p) for p in POLICIES])

    async def slow(peer: Peer) -> None:
        await anyio.sleep(5)
        await peer.accept()
        peer.polite = False

    async def login(conversation: wsclient.Conversation[str | bytes]) -> None:
        await anyio.sleep(5)

    async with Net(ConnectionRefusedError(), slow, default=answers(403)) as net:
        client = net.client(wait=waits(5), first="background", on_connect=login)
        await probe(client)
        async with client, anyio.create_task_group() as group:
            for at in (0.005, 2, 7, 12, 20):
                await anyio.sleep_until(at + net.dials[0] if net.dials else at)
                await probe(client)
            group.start_soon(client.close)
            await anyio.sleep(1)
            await probe(client)
        await probe(client)
        failing = net.client(first="background")
        async with failing:
            await anyio.sleep(1)
            await probe(failing)
            with pytest.raises(wsclient.GaveUp):
                await failing.recv()
    assert found == TABLE


# S49: what the user's own functions raise.


@pytest.mark.parametrize("which", ["on_connect", "classify", "wait", "stop"])
async def test_s49_a_function_that_raises_is_told_once_as_hook_error(
    which: str,
) -> None:
    async def hook(conversation: object) -> None:
        raise ZeroDivisionError("mine")

    def judge(state: object) -> Any:
        raise ZeroDivisionError("mine")

    options: dict[str, Any] = {which: hook if which == "on_connect" else judge}
    script = is_told if which == "on_connect" else answers(503)
    async with Net(default=script) as net:
        with pytest.raises(wsclient.GaveUp, match="mine") as caught:
            async with net.client(**options):
                raise AssertionError("it cannot be open")
        assert len(net.dials) == 1
    cause = caught.value.__cause__
    assert isinstance(cause, wsclient.HookError)
    assert isinstance(cause.__cause__, ZeroDivisionError)


# S54: the server keeps the registration of a connection that is only half open.


@NETS
async def test_s54_the_old_connection_is_told_to_end_before_the_new_is_dialled(
    net_of: type[Net],
) -> None:
    registered: set[int] = set()
    most = 0

    async def registers(peer: Peer) -> None:
        nonlocal most
        await peer.accept()
        registered.add(peer.number)
        most = max(most, len(registered))
        await peer.until_gone()
        registered.discard(peer.number)

    async with net_of(default=registers) as net:
        made = net.client(recv_timeout=30, wait=waits(1))
        async with made as client:
            client.mark_healthy()
            await net.until_accepted(5)
            await client.wait_open()
            assert registered == {5}
    assert most == 1
    assert [peer.close_code for peer in net.peers] == [1001] * 4 + [1000]
