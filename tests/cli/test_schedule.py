"""The schedule: decided by seed and length alone."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from wsclient.cli.schedule import TROUBLES, schedule

SEEDS = st.integers()


@given(SEEDS, st.floats(0.01, 200))
def test_the_same_seed_gives_the_same_schedule(seed: int, duration: float) -> None:
    assert schedule(duration, Random(seed)) == schedule(duration, Random(seed))


def test_other_seeds_give_other_schedules() -> None:
    assert len({schedule(30, Random(seed)) for seed in range(20)}) > 10


@given(SEEDS)
def test_in_the_default_time_every_kind_of_trouble_comes(seed: int) -> None:
    assert {due.trouble for due in schedule(30, Random(seed))} == set(TROUBLES)


@given(SEEDS, st.floats(0.01, 200))
def test_it_takes_the_time_there_is(seed: int, duration: float) -> None:
    """At least one trouble, and no room is left for another."""
    chosen = schedule(duration, Random(seed))
    cheapest = min(trouble.cost for trouble in TROUBLES)
    cost = sum(due.trouble.cost for due in chosen)
    assert cost <= max(duration, cheapest)
    assert cost > duration - cheapest
    assert chosen
