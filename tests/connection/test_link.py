"""A connection is a link: it keeps what the supervisor was promised."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any

import anyio
import pytest

from wsclient.connection import Connection
from wsclient.protocol import CloseReceived
from wsclient.supervisor.seam import Data

from ..link_contract import LINK_CHECKS, LinkCheck, LinkSide
from .peer import Peer, connected


class ConnectionSide(LinkSide):
    """A real connection on a simulated network."""

    def __init__(self, connection: Connection, peer: Peer) -> None:
        self.link = connection
        self._connection = connection
        self._peer = peer

    def deliver(self, *messages: Data) -> None:
        self._peer.send(*messages)

    def got(self) -> list[Data]:
        return self._peer.messages

    def told(self) -> int | None:
        codes = [e.code for e in self._peer.others if isinstance(e, CloseReceived)]
        return codes[0] if codes else None

    def fill(self) -> None:
        self._peer.into.stall()
        self._connection.commit("x" * 200_000)

    def drain(self) -> None:
        self._peer.into.heal()

    def lose(self) -> None:
        self._peer.reset()

    def peer_closes(self, code: int) -> None:
        self._peer.close(code)

    def answers_no_more(self) -> None:
        self._peer.polite = False


class Counted:
    """Awaits something, and counts how often that is woken."""

    def __init__(self, waiting: Coroutine[Any, Any, None]) -> None:
        self._waiting = waiting
        self.woken = 0

    def __await__(self) -> Generator[Any, Any, None]:
        answer = None
        while True:
            try:
                asked = self._waiting.send(answer)
            except StopIteration:
                return
            answer = yield asked
            self.woken += 1


async def waited_for(counted: Counted) -> None:
    await counted


@pytest.mark.parametrize("check", LINK_CHECKS, ids=lambda check: str(check.__name__))
async def test_a_connection_keeps_the_contract(pushed: bool, check: LinkCheck) -> None:
    async with connected(pushed, latency=0.001) as (connection, peer), connection:
        await check(ConnectionSide(connection, peer))


async def test_a_supervised_connection_reads_while_its_end_is_awaited(
    pushed: bool,
) -> None:
    async with (
        connected(pushed) as (connection, peer),
        connection,
        anyio.create_task_group() as group,
    ):
        heard = list[Data]()
        connection.deliver_to(heard.extend)
        group.start_soon(connection.wait_ended)
        for number in range(100):
            peer.send(f"{number}")
            await anyio.sleep(0.001)
            assert heard[-1] == f"{number}"  # at once: nobody stands in
        peer.close(1000)


async def test_what_is_fed_to_a_sink_does_not_wake_who_waits_for_the_end(
    pushed: bool,
) -> None:
    async with (
        connected(pushed) as (connection, peer),
        connection,
        anyio.create_task_group() as group,
    ):
        heard = list[Data]()
        connection.deliver_to(heard.extend)
        end = Counted(connection.wait_ended())
        group.start_soon(waited_for, end)
        for number in range(100):
            peer.send(f"{number}")
            await anyio.sleep(0.001)
        assert len(heard) == 100
        assert (end.woken == 0) is pushed  # a pulled wire is read by who waits
        peer.close(1000)
