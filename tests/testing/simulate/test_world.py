"""One run of a story, judged by the records of the network and of the server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from wsclient.testing.simulate import Settings, Step, Story, World, run
from wsclient.testing.simulate.world import LIVES


def story(*steps: Step, **settings: Any) -> Story:
    return Story(seed=3, settings=Settings(**settings), steps=steps)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("ending", ["close", "leave", "cancel"])
@pytest.mark.parametrize("first", ["background", "wait", "raise"])
@pytest.mark.parametrize("calm", [False, True])
def test_a_quiet_story_holds_however_it_is_begun_and_left(
    backend: str, ending: str, first: str, calm: bool
) -> None:
    quiet = story(
        Step(1, "subscribe", ("a", "error")),
        Step(2, "send", ("wait", None, 0)),
        Step(3, "heal"),
        ending=ending,
        first=first,
        calm=calm,
    )
    report = run(quiet, backend)
    assert report.violation is None
    assert any("send 1: sent" in line for line in report.trace)


def test_a_client_that_never_worked_may_give_up() -> None:
    refused = Step(0, "answer", ("status", 4, 403))
    slow = story(refused, Step(5, "heal"), latency=(0.5, 0.5))
    report = run(slow, "asyncio")
    assert report.violation is None
    assert any("FAILED" in line for line in report.trace)


FLAPPING = "attempts stay under the flap window"


class Recorded:
    """A world whose records a test writes."""

    def __init__(
        self,
        *begun: float,
        forced: tuple[float, ...] = (),
        answer: bytes = b"HTTP/1.1 101 OK\r\n\r\n",
    ) -> None:
        self.world = World(story())
        response = SimpleNamespace(response=object())
        down = SimpleNamespace(received=answer)
        lives: Any = [
            SimpleNamespace(
                link=SimpleNamespace(opened_at=at, down=down),
                peer=SimpleNamespace(endpoint=response, gone_at=at + 1),
            )
            for at in begun
        ]
        self.world.feed.lives.extend(lives)
        self.user: Any = SimpleNamespace(forced=list(forced))

    @property
    def broken(self) -> str | None:
        self.world.judge_records(self.user)
        violation = self.world.judge.violation
        return None if violation is None else violation.check


@pytest.mark.parametrize(
    ("begun", "forced", "broken"),
    [
        ([5.0 * n for n in range(LIVES)], (), None),
        (
            [5.0 * n for n in range(LIVES + 1)],
            (),
            "attempts stay under the flap window",
        ),
        ([5.0 * n for n in range(LIVES + 1)], (11.0,), None),
        ([11.0 * n for n in range(LIVES + 4)], (), None),
    ],
)
async def test_too_many_lives_without_proof_are_found_but_those_asked_for(
    virtual_clock: object,
    begun: list[float],
    forced: tuple[float, ...],
    broken: str | None,
) -> None:
    await anyio.lowlevel.checkpoint()
    assert Recorded(*begun, forced=forced).broken == broken


async def test_an_opening_whose_answer_never_came_is_no_life(
    virtual_clock: object,
) -> None:
    await anyio.lowlevel.checkpoint()
    begun = [5.0 * number for number in range(LIVES + 1)]
    assert Recorded(*begun, answer=b"HTTP/1.1 101").broken is None


async def test_two_connections_at_once_are_found(virtual_clock: object) -> None:
    await anyio.lowlevel.checkpoint()
    recorded = Recorded()
    recorded.world.network.most_live = 2
    assert recorded.broken == "at most one connection is live"


def test_the_bound_follows_from_the_settings() -> None:
    patient = World(story(cap=300.0)).bound
    assert patient - World(story(cap=30.0)).bound == 270.0


def test_what_only_the_event_loop_is_told_of_breaks_a_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(self: World, client: object) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: [][0])

    monkeypatch.setattr(World, "_watch", fails)
    report = run(story(Step(1, "heal")), "asyncio")
    assert report.violation is not None
    assert report.violation.check == "nothing fails unseen"
    assert "IndexError" in str(report.violation)
