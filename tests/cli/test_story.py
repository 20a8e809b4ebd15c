"""What the views and the conductor of a demo know."""

from __future__ import annotations

import logging

import anyio
import pytest

from wsclient import Gap, Phase, Reason, State, Stats
from wsclient.cli.ledger import Message
from wsclient.cli.schedule import TROUBLES, Trouble
from wsclient.cli.story import Incident, LogLines, Story, again, said
from wsclient.supervisor import AttemptFailed, Kind, LifeEnded, Outcome, StateChanged

CHANNELS = ("a", "b")
STALL = next(each for each in TROUBLES if each.drop == "stall")
REFUSE = next(each for each in TROUBLES if each.then == "refuse")


def story() -> Story:
    return Story(CHANNELS, lambda: 0.0, 3)


def stats(state: State, *, proven: bool) -> Stats:
    return Stats(
        state=state,
        generation=1,
        proven=proven,
        attempts=1,
        received=0,
        sent=0,
        waiting=0,
        queued=0,
        unrouted=0,
        skipped=0,
        subscriptions=2,
        paused=(),
        latency=None,
    )


def opened(told: Story) -> None:
    told.observe(
        StateChanged(time=0, generation=1, before=State.PREPARING, after=State.OPEN)
    )


def outcome(
    reason: Reason, *, status: int | None = None, code: int | None = None
) -> Outcome:
    return Outcome(
        kind=Kind.LIFE, reason=reason, phase=Phase.OPEN, status=status, code=code
    )


def ended(told: Story, reason: Reason) -> None:
    told.observe(
        LifeEnded(time=0, generation=1, number=1, outcome=outcome(reason), delay=0.25)
    )


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: each.drop)
def test_a_trouble_that_was_noticed_as_it_should_is_no_fault(trouble: Trouble) -> None:
    for reason in trouble.reasons:
        refusals = [] if trouble.refusal is None else [trouble.refusal]
        assert Incident(trouble, 1, reason, refusals).fault() is None


def test_a_stall_that_was_not_noticed_by_liveness_is_a_fault() -> None:
    fault = Incident(STALL, 4, Reason.EOF).fault()
    assert fault is not None
    assert "seen as EOF (generation 4)" in fault


def test_a_refusal_that_was_not_noticed_is_a_fault() -> None:
    fault = Incident(REFUSE, 1, Reason.EOF, [Reason.REFUSED]).fault()
    assert fault is not None
    assert "REJECTED was expected, REFUSED was seen" in fault
    fault = Incident(REFUSE, 1, Reason.EOF).fault()
    assert fault is not None
    assert "nothing was seen" in fault


def test_an_incident_collects_its_end_and_what_met_the_next_attempts() -> None:
    told = story()
    incident = told.begin(REFUSE, 1)
    ended(told, Reason.EOF)
    rejected = outcome(Reason.REJECTED, status=503)
    told.observe(
        AttemptFailed(time=0, generation=2, number=2, outcome=rejected, delay=None)
    )
    assert incident == Incident(REFUSE, 1, Reason.EOF, [Reason.REJECTED])
    assert told.ended == {1: Reason.EOF}
    assert any("attempt 2: REJECTED, HTTP 503" in line for line in told.lines)


def test_a_withdrawn_trouble_was_none() -> None:
    told = story()
    told.withdraw(told.begin(STALL, 1))
    assert not told.incidents


def test_a_connection_is_settled_only_when_all_is_well_with_it() -> None:
    told = story()
    told.stats = lambda: stats(State.OPEN, proven=True)
    first = Message("1.1", 0, "a", "")
    assert told.settled() is None  # not open
    opened(told)
    assert told.settled() is None  # the server has not heard the subscriptions
    told.subscribed("1.1", 1)
    told.take("a", first)
    assert told.settled() is None  # nothing came for the other
    told.take("b", Message("1.1", 1, "b", ""))
    told.stats = lambda: stats(State.OPEN, proven=False)
    assert told.settled() is None
    told.stats = lambda: stats(State.OPEN, proven=True)
    assert told.settled() == "1.1"
    told.take("b", Gap(generation=2, reason=Reason.EOF))
    assert told.settled() is None


async def test_who_waits_is_woken_when_it_is_so() -> None:
    told = story()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await told.until(lambda: told.messages["a"] == 2)

            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            told.take("a", Message("1.1", 0, "a", ""))
            await anyio.wait_all_tasks_blocked()
            told.take("a", Message("1.1", 1, "a", ""))
    assert told.messages == {"a": 2, "b": 0}


def test_an_outcome_is_said_in_a_few_words() -> None:
    assert said(outcome(Reason.REJECTED, status=503)) == "REJECTED, HTTP 503"
    assert (
        said(outcome(Reason.PEER_CLOSED, code=1012)) == "PEER_CLOSED, close code 1012"
    )
    assert said(outcome(Reason.EOF)) == "EOF in phase OPEN"
    assert again(0.25) == "; next attempt in 0.25 s"
    assert again(None) == ""


def test_what_the_library_logs_becomes_lines() -> None:
    told: list[str] = []
    handler = LogLines(told.append)
    log = logging.getLogger("tests.cli.story")
    log.addHandler(handler)
    try:
        log.warning("! no connection: %s", "refused")
        log.info("not this")
    finally:
        log.removeHandler(handler)
    assert told == ["log: ! no connection: refused"]
