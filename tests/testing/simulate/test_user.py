"""What the user of a story is told, by hand and wrong, is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from wsclient import Gap, MaybeSent, NotSent, Reason
from wsclient.testing import Network
from wsclient.testing.simulate import Judge
from wsclient.testing.simulate.user import Handle, Sent, User


class Rig:
    """A user without a client, told what a test wants."""

    def __init__(self, group: Any) -> None:
        self.judge = Judge()
        feed: Any = SimpleNamespace(
            came=lambda life, channel, number: 0.0, receivers=dict
        )
        attempts: Any = SimpleNamespace()
        client: Any = SimpleNamespace(state="OPEN")
        self.user = User(
            client, self.judge, group, attempts, feed, ends=(), max_messages=2
        )

    def handle(self, policy: str = "error", lost: int = 0) -> Handle:
        subscription = SimpleNamespace(lost=lost)
        handle = Handle("a", policy, subscription, anyio.current_time())
        self.user.handles.append(handle)
        return handle

    @property
    def broken(self) -> str | None:
        return None if self.judge.violation is None else self.judge.violation.check


@pytest.fixture
async def rig(virtual_clock: object) -> AsyncIterator[Rig]:
    async with anyio.create_task_group() as group:
        yield Rig(group)


def item(number: int, life: int = 1, channel: str = "a") -> dict[str, Any]:
    return {"channel": channel, "n": number, "life": life}


def gap(lost: int | None = None) -> Gap:
    return Gap(generation=2, reason=Reason.EOF, lost=lost)


@pytest.mark.parametrize(
    "items",
    [
        [item(1), item(2), gap(), item(1, 2), item(2, 2)],
        [item(5), item(6)],  # who joins a shared subscription
        [item(1), gap(lost=3), item(5)],
        [item(1), gap(lost=7), gap(), gap(lost=2), item(3, 2)],
        [gap(), item(1, 2)],
    ],
)
async def test_a_prefix_in_order_with_gaps_is_fine(rig: Rig, items: list[Any]) -> None:
    handle = rig.handle()
    for one in items:
        rig.user.heard(handle, one)
    assert rig.broken is None


ORDER = "what comes is a prefix in order, the rest under a gap"


@pytest.mark.parametrize(
    ("items", "broken"),
    [
        ([item(1), item(3)], ORDER),
        ([item(1), item(1)], ORDER),
        ([item(2), item(1)], ORDER),
        ([item(1), gap(lost=1), item(2)], ORDER),
        ([item(1), gap(), item(2, 2)], ORDER),
        ([item(1), item(1, 2)], "a new life is told as a gap"),
        ([item(1, 2), gap(), item(2, 1)], "nothing comes of a former life"),
        ([item(1, channel="b")], "routes to who asked"),
    ],
)
async def test_what_comes_wrong_is_found(
    rig: Rig, items: list[Any], broken: str
) -> None:
    handle = rig.handle()
    for one in items:
        rig.user.heard(handle, one)
    assert rig.broken == broken


@pytest.mark.parametrize(
    ("policy", "lost", "batches", "broken"),
    [
        ("error", 0, [[item(1), item(2)], [item(3)], [item(1, 2)]], None),
        ("error", 0, [[item(5), item(6)]], None),  # who joins a shared subscription
        ("error", 0, [[item(1)], [item(3)]], ORDER),
        ("error", 0, [[item(1)], [item(2, 2)]], ORDER),
        ("error", 0, [[item(2, 2)], [item(3)]], "nothing comes of a former life"),
        ("error", 0, [[item(1), item(1, 2)]], "many come of one connection"),
        ("drop_oldest", 3, [[item(1)], [item(3)], [item(3, 2)]], None),
        ("drop_newest", 1, [[item(1)], [item(2), item(4)]], ORDER),
        ("drop_newest", 1, [[item(1)], [item(4)]], "what many leave out is counted"),
    ],
)
async def test_what_comes_many_at_a_time_is_compared_too(
    rig: Rig, policy: str, lost: int, batches: list[list[Any]], broken: str | None
) -> None:
    handle = rig.handle(policy, lost)
    for items in batches:
        rig.user.heard_many(handle, items)
    assert rig.broken == broken


class Sender:
    """A client whose send_many() raises what a test wants."""

    state = "OPEN"

    def __init__(self, error: type[NotSent | MaybeSent], rest: Any) -> None:
        self.error = error
        self.rest = rest

    async def send_many(self, messages: list[Any], when_down: str) -> None:
        rest = self.rest
        raise self.error("", messages[rest:] if isinstance(rest, int) else rest)


@pytest.mark.parametrize(
    ("error", "when_down", "rest", "fates", "broken"),
    [
        (NotSent, "raise", 1, ["sent", "not_sent", "not_sent"], None),
        (MaybeSent, "wait", 2, ["sent", "sent", "maybe_sent"], None),
        (
            NotSent,
            "wait",
            0,
            ["not_sent"] * 3,
            "what may wait is given up only with the client",
        ),
        (MaybeSent, "wait", 3, ["sent"] * 3, "send_many() tells which were not sent"),
        (
            MaybeSent,
            "wait",
            ["another"],
            ["sent", "sent", "maybe_sent"],
            "send_many() tells which were not sent",
        ),
    ],
)
async def test_what_send_many_did_not_send_is_known_of_each(
    rig: Rig, error: Any, when_down: str, rest: Any, fates: list[str], broken: str
) -> None:
    rig.user.client = Sender(error, rest)  # type: ignore[assignment]
    rig.user.send_many(when_down, None, 3, 0)
    await anyio.sleep(1)
    assert [sent.fate for sent in rig.user.sends] == fates
    assert rig.broken == broken


@pytest.mark.parametrize("policy", ["error", "pause"])
async def test_more_at_once_than_a_queue_holds_is_found(rig: Rig, policy: str) -> None:
    handle = rig.handle(policy)
    rig.user.stop_reading(0)
    await anyio.sleep(10)
    rig.user.read_again(0)
    for number in (1, 2, 3):
        assert rig.broken is None
        rig.user.heard(handle, item(number))
    assert rig.broken == ("queues are bounded" if policy == "error" else None)


async def test_what_comes_to_a_waiting_reader_at_once_may_be_more(rig: Rig) -> None:
    handle = rig.handle()
    rig.user.stop_reading(0)
    rig.user.heard(handle, item(1))  # it had been waiting
    await anyio.sleep(10)
    rig.user.read_again(0)
    for number in (2, 3, 4):
        rig.user.heard(handle, item(number))
    assert rig.broken is None


async def test_what_is_heard_after_leaving_is_found(rig: Rig) -> None:
    handle = rig.handle()
    rig.user.left_at = -1.0
    rig.user.heard(handle, item(1))
    assert rig.broken == "nothing is heard that came after leaving"


async def test_it_knows_what_it_wants(rig: Rig) -> None:
    began = anyio.current_time()
    await anyio.sleep(1)
    handle = rig.handle()
    assert rig.user.wanted() == {"a"}
    assert rig.user.wanted_before(began) == set()
    await anyio.sleep(1)
    assert rig.user.wanted_before(anyio.current_time()) == {"a"}
    rig.user.stop_reading(0)  # now it may have overflowed
    assert rig.user.wanted_before(anyio.current_time()) == set()
    handle.wanted = False
    assert rig.user.wanted() == set()


async def test_a_message_of_which_nothing_is_known_is_found(rig: Rig) -> None:
    rig.user.sends.append(Sent(1, 0.0, 0, "wait"))
    assert rig.user.waiting() == [1]
    rig.user.judge_fates(Network(), cut_short=False)
    assert rig.broken == "no send is forgotten"


@pytest.mark.parametrize(
    ("fate", "broken"),
    [
        ("sent", "what is told as sent has left"),
        ("not_sent", None),
        ("dropped", None),
        ("maybe_sent", None),
        ("cancelled", None),
    ],
)
async def test_a_fate_is_compared_with_what_left(
    rig: Rig, fate: str, broken: str | None
) -> None:
    """Here nothing has left."""
    rig.user.sends.append(Sent(1, 0.0, 0, "wait", fate, 1.0))
    rig.user.judge_fates(Network(), cut_short=False)
    assert rig.broken == broken
