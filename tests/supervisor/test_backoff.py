"""Delays and stops, to the millisecond, with dice that are not thrown."""

from __future__ import annotations

import random
from typing import Any

import pytest
import tenacity

from wsclient.errors import ArgumentError
from wsclient.supervisor.backoff import Backoff, FullJitter, Stop, Wait, stop_never
from wsclient.supervisor.seam import Retry

from .clients import Dice, highest, lowest

BOOM = OSError("boom")


def backoff(
    wait: Wait | None = None, stop: Stop = stop_never, uniform: Any = highest
) -> Backoff:
    return Backoff(wait or FullJitter(random=Dice()), stop, uniform, 0.0)


def test_full_jitter_doubles_up_to_the_cap() -> None:
    ladder = backoff()
    delays = [ladder.failed(BOOM, 0.0, Retry()) for _ in range(8)]
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_full_jitter_is_spread_evenly_from_zero() -> None:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = 4
    wait = FullJitter(base=2, cap=10, random=random.Random(1))
    delays = [wait(state) for _ in range(10_000)]
    assert 0 <= min(delays) < 0.01
    assert 9.99 < max(delays) <= 10
    assert sum(delays) / len(delays) == pytest.approx(5, abs=0.1)


def test_full_jitter_survives_a_million_attempts() -> None:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = 1_000_000
    assert FullJitter(random=Dice())(state) == 30


def test_full_jitter_throws_the_dice_of_the_system_by_default() -> None:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    assert 0 <= FullJitter()(state) <= 1
    assert repr(FullJitter()) == "FullJitter(base=1.0, cap=30.0)"


@pytest.mark.parametrize("name", ["base", "cap"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "1"])
def test_full_jitter_refuses_what_is_no_pause(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=name):
        FullJitter(**{name: value})


def test_full_jitter_combines_with_the_waits_of_tenacity() -> None:
    ladder = backoff(FullJitter(random=Dice()) + tenacity.wait_fixed(3))
    assert ladder.failed(BOOM, 0.0, Retry()) == 4


def test_a_proof_of_life_begins_a_new_outage_whose_first_attempt_it_was() -> None:
    ladder = backoff()
    for now in range(3):
        ladder.lives(now)
        ladder.failed(BOOM, now, Retry())
    assert ladder.number == 4
    ladder.lives(100.0)
    ladder.proof()
    ladder.proof()
    assert ladder.number == 1
    assert ladder.failed(BOOM, 200.0, Retry()) == 1
    assert ladder.number == 2
    assert ladder.failed(BOOM, 200.0, Retry()) == 2


def test_the_floor_wins_over_a_shorter_backoff_and_loses_to_a_longer() -> None:
    assert backoff().failed(BOOM, 0.0, Retry(7.0)) == 7.0
    assert backoff().failed(BOOM, 0.0, Retry(7.0, 7.7)) == 7.7
    assert backoff(uniform=lowest).failed(BOOM, 0.0, Retry(7.0, 7.7)) == 7.0
    assert backoff().failed(BOOM, 0.0, Retry(7.0, 3.0)) == 7.0
    assert backoff(tenacity.wait_fixed(9)).failed(BOOM, 0.0, Retry(7.0, 7.7)) == 9


@pytest.mark.parametrize("delay", [float("nan"), -1, float("inf"), None, "1"])
def test_a_wait_that_gives_no_seconds_is_an_error(delay: Any) -> None:
    with pytest.raises(ArgumentError, match="what wait gives"):
        backoff(lambda state: delay).failed(BOOM, 0.0, Retry())


@pytest.mark.parametrize(
    ("verdict", "name"),
    [(Retry(float("nan")), "at_least"), (Retry(1, float("inf")), "at_most")],
)
def test_a_verdict_without_seconds_is_an_error(verdict: Retry, name: str) -> None:
    with pytest.raises(ArgumentError, match=name):
        backoff().failed(BOOM, 0.0, verdict)


def test_stop_after_attempt_counts_since_the_proof() -> None:
    ladder = backoff(stop=tenacity.stop_after_attempt(3))
    assert ladder.failed(BOOM, 0.0, Retry()) is not None
    assert ladder.failed(BOOM, 0.0, Retry()) is not None
    ladder.lives(0.0)
    ladder.proof()
    assert ladder.failed(BOOM, 0.0, Retry()) is not None
    assert ladder.failed(BOOM, 0.0, Retry()) is not None
    assert ladder.failed(BOOM, 0.0, Retry()) is None


def test_stop_after_delay_is_right_in_virtual_time() -> None:
    ladder = backoff(stop=tenacity.stop_after_delay(60))
    assert ladder.failed(BOOM, 59.9, Retry()) is not None
    assert ladder.failed(BOOM, 60.0, Retry()) is None


def test_an_outage_begins_at_the_end_of_the_last_proven_life() -> None:
    ladder = backoff(stop=tenacity.stop_after_delay(60))
    ladder.lives(0.0)
    ladder.proof()
    assert ladder.failed(BOOM, 1000.0, Retry()) is not None
    ladder.lives(1010.0)  # unproven: the outage goes on
    assert ladder.failed(BOOM, 1059.0, Retry()) is not None
    assert ladder.failed(BOOM, 1060.0, Retry()) is None


def test_stop_before_delay_sees_the_delay_with_its_floor() -> None:
    ladder = backoff(stop=tenacity.stop_before_delay(60))
    assert ladder.failed(BOOM, 10.0, Retry(40.0)) == 40.0
    assert ladder.failed(BOOM, 10.0, Retry(50.0)) is None


def test_stop_sees_what_tenacity_promises() -> None:
    seen: list[tenacity.RetryCallState] = []

    def stop(state: tenacity.RetryCallState) -> bool:
        assert state.outcome is not None
        assert state.outcome.exception() is BOOM
        seen.append(state)
        return (state.attempt_number, state.idle_for, state.seconds_since_start) == (
            2,
            1.0,
            5.0,
        )

    ladder = backoff(stop=stop)
    assert ladder.failed(BOOM, 2.0, Retry()) == 1.0
    assert ladder.failed(BOOM, 5.0, Retry()) is None
    assert seen[0] is seen[1]


def test_at_most_six_unproven_lives_in_a_minute() -> None:
    ladder = backoff(tenacity.wait_none(), uniform=lowest)
    now, lives = 0.0, []
    for _ in range(20):
        ladder.lives(now)
        lives.append(now)
        delay = ladder.failed(BOOM, now + 0.1, Retry())
        assert delay is not None
        now += 0.1 + delay
    for first, seventh in zip(lives, lives[6:], strict=False):
        assert seventh - first >= 60 - 1e-9


def test_the_flap_window_is_jittered_upwards() -> None:
    ladder = backoff(tenacity.wait_none(), uniform=highest)
    for _ in range(6):
        ladder.lives(0.0)
    assert ladder.failed(BOOM, 10.0, Retry()) == pytest.approx(55.0)


def test_stop_before_delay_sees_the_flap_window() -> None:
    ladder = backoff(tenacity.wait_none(), tenacity.stop_before_delay(30))
    for _ in range(6):
        ladder.lives(0.0)
    assert ladder.failed(BOOM, 1.0, Retry()) is None


def test_proven_lives_and_failed_dials_do_not_count_as_flapping() -> None:
    ladder = backoff(tenacity.wait_none())
    for _ in range(50):
        ladder.lives(0.0)
        ladder.proof()
        assert ladder.failed(BOOM, 0.0, Retry()) == 0
        assert ladder.failed(BOOM, 0.0, Retry()) == 0


def test_an_end_that_was_asked_for_is_counted_but_not_questioned() -> None:
    ladder = backoff(stop=tenacity.stop_after_attempt(1))
    ladder.lives(0.0)
    ladder.proof()
    ladder.skipped(5.0)
    assert ladder.number == 2
    ladder.skipped(5.0)
    assert ladder.number == 3
