"""What hooks speak through, and whom they must not wait for."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wsclient.errors import (
    ArgumentError,
    ConcurrencyError,
    ConnectionLost,
    LocalProtocolError,
    ReceiveTimeout,
)
from wsclient.supervisor.conversation import (
    HandOver,
    ItemTalk,
    RawTalk,
    hook_of,
    inside_hook_of,
)
from wsclient.supervisor.seam import Attempt

from .clients import Words, settle
from .network import FakeLink


def raw() -> tuple[FakeLink, RawTalk, HandOver]:
    link = FakeLink(Attempt(generation=3, number=1, last_outcome=None, deadline=10.0))
    hand_over = HandOver(link)
    link.deliver_to(hand_over.sink)
    return link, RawTalk(hand_over, 3), hand_over


def items() -> tuple[FakeLink, ItemTalk[str]]:
    link, _, hand_over = raw()
    words = Words()
    return link, ItemTalk(hand_over, 3, words.encode, words.decode)


async def test_on_connect_speaks_messages() -> None:
    link, talk, _ = raw()
    await talk.send("login")
    link.deliver(b"welcome")
    assert await talk.recv() == b"welcome"
    assert link.sent == ["login"]
    assert talk.generation == 3
    assert talk.subprotocol == "fake"
    assert talk.response_headers == (("server", "fake"),)


async def test_hello_speaks_items_and_leaves_the_rest_in_order() -> None:
    link, talk = items()
    link.deliver("a|b|c")
    assert await talk.recv() == "a"
    await talk.send("d")
    assert link.sent == ["d"]
    assert list(talk.items) == ["b", "c"]


async def test_receiving_waits_and_a_timeout_loses_nothing() -> None:
    link, talk, _ = raw()
    with pytest.raises(ReceiveTimeout):
        await talk.recv(timeout=2)
    assert anyio.current_time() == pytest.approx(2)
    with pytest.raises(ArgumentError, match="timeout"):
        await talk.recv(timeout=-1)
    got: list[Any] = []

    async def receive() -> None:
        got.append(await talk.recv())

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await settle()
        with pytest.raises(ConcurrencyError, match="another task"):
            await talk.recv()
        link.deliver("x")
    assert got == ["x"]


async def test_sending_waits_for_room_and_for_the_kernel() -> None:
    link, talk, _ = raw()
    link.make_room(0)
    link.kernel = False
    async with anyio.create_task_group() as group:
        group.start_soon(talk.send, "x")
        await settle()
        assert link.sent == []
        link.make_room()
        await settle()
        assert link.sent == ["x"]
        link.flush_kernel()


async def test_the_end_comes_behind_what_was_received() -> None:
    link, talk, hand_over = raw()
    link.deliver("last words")
    link.lose()
    assert await talk.recv() == "last words"
    with pytest.raises(ConnectionLost):
        await talk.recv()
    with pytest.raises(ConnectionLost):
        await talk.send("x")
    hand_over.ring()


async def test_when_the_hook_has_returned_it_is_over() -> None:
    _, talk, _ = raw()
    talk.finish()
    with pytest.raises(LocalProtocolError, match="use the client itself"):
        await talk.send("x")
    with pytest.raises(LocalProtocolError, match="use the client itself"):
        await talk.recv()


async def test_a_hook_is_known_by_its_task_and_those_it_starts() -> None:
    mine, other = object(), object()
    seen: list[bool] = []
    go_on = anyio.Event()

    async def left_behind() -> None:
        seen.append(inside_hook_of(mine))
        await go_on.wait()
        seen.append(inside_hook_of(mine))

    assert not inside_hook_of(mine)
    async with anyio.create_task_group() as group:
        with hook_of(mine):
            assert inside_hook_of(mine)
            assert not inside_hook_of(other)
            with hook_of(other):
                assert inside_hook_of(mine)
                assert inside_hook_of(other)
            assert not inside_hook_of(other)
            group.start_soon(left_behind)
            await settle()
        go_on.set()
    assert seen == [True, False]
