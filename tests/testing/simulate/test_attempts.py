"""Dials and pauses that break a promise are found."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest
import tenacity

from wsclient import FullJitter
from wsclient.testing import Network, ScriptedServer
from wsclient.testing.simulate import Judge
from wsclient.testing.simulate.attempts import Attempts


class Rig:
    """A network with a server, and attempts that are judged."""

    def __init__(self) -> None:
        self.network = Network(latency=(0.1, 0.1))
        self.judge = Judge()
        jitter = FullJitter(base=8, cap=8, random=Random(1))
        self.attempts = Attempts(self.network, jitter, 10.0, self.judge)

    def server(self) -> ScriptedServer:
        host = self.network.host("feed.test")
        return ScriptedServer(host="feed.test", port=80, listen=host.listen)

    async def dial(self) -> Any:
        return await self.attempts.dial(
            "feed.test", 80, tls=None, reached=lambda phase: None
        )

    def wait(self, number: int) -> float:
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = number
        return self.attempts.wait(state)

    @property
    def broken(self) -> str | None:
        return None if self.judge.violation is None else self.judge.violation.check


@pytest.fixture
def rig(virtual_clock: object) -> Rig:
    return Rig()


async def test_dials_one_after_the_other_and_pauses_are_fine(rig: Rig) -> None:
    async with rig.server():
        for number in (1, 2, 3):
            wire = await rig.dial()
            await anyio.sleep(1)
            wire.abort()
            await anyio.sleep(rig.wait(number))
    assert rig.broken is None


async def test_a_dial_beside_another_is_found(rig: Rig) -> None:
    async with rig.server():
        wires = []

        async def dial() -> None:
            wires.append(await rig.dial())

        async with anyio.create_task_group() as group:
            group.start_soon(dial)
            group.start_soon(dial)
        for wire in wires:
            wire.abort()
    assert rig.broken == "dials one connection at a time"


async def test_a_dial_beside_a_live_connection_is_found(rig: Rig) -> None:
    async with rig.server():
        first = await rig.dial()
        second = await rig.dial()
        first.abort()
        second.abort()
    assert rig.broken == "dials one connection at a time"


@pytest.mark.parametrize("asked", [False, True])
async def test_a_dial_before_the_pause_is_over_is_found_unless_asked_for(
    rig: Rig, asked: bool
) -> None:
    async with rig.server():
        pause = rig.wait(1)
        assert pause > 0.1
        await anyio.sleep(pause / 2)
        if asked:
            rig.attempts.reconnect()
        (await rig.dial()).abort()
    assert rig.broken == (None if asked else "waits as long as it should")


@pytest.mark.parametrize(
    ("lasting", "marked", "broken"),
    [
        (1, False, "counts attempts since the last proof of life"),
        (11, False, None),
        (1, True, None),
    ],
)
async def test_counting_from_one_again_needs_a_proof_of_life(
    rig: Rig, lasting: float, marked: bool, broken: str | None
) -> None:
    async with rig.server():
        await anyio.sleep(rig.wait(1))
        wire = await rig.dial()
        await anyio.sleep(lasting)
        if marked:
            rig.attempts.mark_healthy()
        wire.abort()
        rig.wait(1)
    assert rig.broken == broken
