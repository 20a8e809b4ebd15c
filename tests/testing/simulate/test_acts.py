"""Every kind of step does something."""

from __future__ import annotations

import pytest

from wsclient.testing.simulate import KINDS, Settings, Step, Story, run
from wsclient.testing.simulate.acts import _ACTS


def test_every_kind_of_step_has_its_act() -> None:
    assert set(_ACTS) == {*KINDS, "calm"}


def lived(*steps: Step, backend: str = "asyncio", **settings: object) -> list[str]:
    """What happens in a story of these steps; nothing is broken in it."""
    story = Story(seed=1, settings=Settings(**settings), steps=steps)  # type: ignore[arg-type]
    report = run(story, backend)
    assert report.violation is None, report.violation
    return list(report.trace)


SUBSCRIBED = Step(0.0, "subscribe", ("a", "error"))


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((Step(9, "reset"),), "'RESET'"),
        ((Step(9, "eof", ("down",)),), "'EOF'"),
        ((Step(9, "silence", ("down",)), Step(90, "heal")), "'LIVENESS'"),
        ((Step(9, "partition"), Step(90, "mend")), "'LIVENESS'"),
        ((Step(9, "move"), Step(90, "heal")), "'LIVENESS'"),
        ((Step(9, "crash"), Step(30, "restart")), "'REFUSED'"),
        ((Step(9, "power off"), Step(90, "restart")), "'OPEN_TIMEOUT'"),
        ((Step(9, "pause"), Step(90, "resume")), "'LIVENESS'"),
        ((Step(9, "close", (4000,)),), "code=4000"),
        ((Step(9, "garbage"),), "'PROTOCOL_ERROR'"),
        ((Step(9, "half a frame"), Step(90, "heal")), "LifeEnded"),
        ((Step(8, "no DNS", (True,)), Step(9, "reset"), Step(30, "mend")), "'DNS'"),
        ((Step(8, "slow DNS", (14.0,)), Step(9, "reset")), "'OPEN_TIMEOUT'"),
        ((Step(8, "refuse", (True,)), Step(9, "reset")), "'REFUSED'"),
        ((Step(8, "stalls at", ("TCP",)), Step(9, "reset")), "phase=<Phase.TCP"),
        ((Step(8, "answer", ("status", 1, 503)), Step(9, "reset")), "status=503"),
        ((Step(8, "answer", ("retry after", 1, 5)), Step(9, "reset")), "retry_after=5"),
        ((Step(8, "answer", ("mute", 1)), Step(9, "reset")), "'OPEN_TIMEOUT'"),
        ((Step(8, "answer", ("drip", 1)), Step(9, "reset")), "'OPEN_TIMEOUT'"),
        ((Step(8, "answer", ("garbage", 1)), Step(9, "reset")), "'PROTOCOL_ERROR'"),
        ((Step(8, "answer", ("close", 1, 1012)), Step(9, "reset")), "code=1012"),
        ((Step(8, "answer", ("hang up", 1)), Step(9, "reset")), "'EOF'"),
        ((Step(8, "answer", ("no hello", 1)), Step(9, "reset")), "PREPARE_FAILED"),
        ((Step(9, "reconnect"),), "'LOCAL'"),
        ((Step(3, "mark_healthy"),), "Proven(time=3.0"),
        ((Step(9, "unsubscribe", (0,)),), "'unsubscribe', 'channel': 'a'"),
        ((Step(9, "send", ("wait", None, 0)),), "send 1: sent"),
        ((Step(9, "sends", ("queue", 3, 100)),), "send 3: sent"),
        ((Step(9, "send many", ("wait", None, 60, 2000)),), "send 1 to 60: 0"),
        (
            (Step(8, "reset"), Step(8.1, "send many", ("raise", None, 2))),
            "send 1 to 2: 2 not_sent",
        ),
        ((Step(9, "burst", (30,)),), "a 30 of life 1"),
        (
            (Step(9, "subscribe", ("b", "pause", True)), Step(20, "burst", (30,))),
            "b 30 of life 1",
        ),
        (
            (Step(5, "stop reading", (0,)), Step(9, "burst", (99,)), Step(20, "heal")),
            "a: overflow",
        ),
        ((Step(9, "suspend", (300.0,)),), "step suspend"),
        ((Step(1, "latency", (0.5,)), Step(9, "reset")), "life 2 is met"),
        ((Step(9, "stall", ("up",)), Step(10, "send", ("wait", None, 0))), "send 1"),
        ((Step(5, "stop reading", (0,)), Step(9, "read again", (0,))), "a 5 of life 1"),
    ],
)
def test_a_step_shows(steps: tuple[Step, ...], told: str) -> None:
    trace = lived(SUBSCRIBED, *steps, Step(100, "heal"))
    assert any(told in line for line in trace), "\n".join(trace)


def test_a_server_may_keep_its_acknowledgements() -> None:
    steps = (Step(8, "no acks", (True,)), Step(9, "reset"), Step(60, "heal"))
    trace = lived(SUBSCRIBED, *steps, acks=True)
    assert any("no acknowledgement" in line or "IDLE" in line for line in trace)
