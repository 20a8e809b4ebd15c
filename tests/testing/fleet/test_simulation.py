"""A simulated fleet: each attempt in its order, the same for the same seed."""

from __future__ import annotations

import pytest
import tenacity

from wsclient.testing.fleet import (
    SCENARIOS,
    STRATEGIES,
    Scenario,
    shipped,
    simulate,
    supervised,
)
from wsclient.testing.fleet.scenarios import Answer

STEADY = supervised("steady", lambda dice: tenacity.wait_fixed(2))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("strategy", ["wsclient", "socket.io"])
def test_the_same_seed_gives_the_same_figures(name: str, strategy: str) -> None:
    def run(seed: int) -> object:
        return simulate(SCENARIOS[name], STRATEGIES[strategy], clients=40, seed=seed)

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_one_client_comes_back_at_its_first_try_after_the_return() -> None:
    """Dropped at 0 and dialling each 2.05 s, it meets the server at 12.25 s."""
    scenario = Scenario(name="test", noticed=(0.0, 0.0), returns=11.0, whole=0.001)
    found = simulate(scenario, STEADY, clients=1)
    assert found.back[-1] == pytest.approx(2 + 5 * 2.05 + 0.001 + 0.05)
    assert found.attempts == 6
    assert found.wasted == 5
    assert [at for at, load in enumerate(found.load) if load] == [2, 4, 6, 8, 10, 12]


def test_silence_costs_the_time_of_an_attempt() -> None:
    """Ten seconds and the delay: it tries at 2, 14, 26 and 38 s."""
    scenario = Scenario(
        name="test",
        noticed=(0.0, 0.0),
        meanwhile=Answer.SILENT,
        returns=30.0,
        whole=0.001,
    )
    found = simulate(scenario, STEADY, clients=1)
    assert found.attempts == 4
    assert found.back[-1] == pytest.approx(38.051)


def test_the_peak_is_told_only_of_a_server_that_listens() -> None:
    scenario = Scenario(name="test", noticed=(0.0, 0.0), returns=11.0, whole=1.0)
    found = simulate(scenario, STEADY, clients=100)
    assert found.peak_second == found.load[12] == 1.0
    assert found.peak_tenth == 10.0


def test_what_is_accepted_too_early_falls_and_is_wasted() -> None:
    scenario = Scenario(
        name="test", noticed=(0.0, 0.0), whole=0.001, sound=9.0, life=1.0
    )
    found = simulate(scenario, STEADY, clients=1)
    assert found.attempts == 4
    assert found.back[-1] == pytest.approx(2 + 3 * 3.051 + 0.051)
    assert found.wasted == 3


def test_a_life_long_enough_is_proof_and_no_flapping() -> None:
    """Lives of 10 s: never six without proof, so the fixed wait stays as it is."""
    scenario = Scenario(
        name="test", noticed=(0.0, 0.0), whole=0.001, sound=200.0, life=10.0
    )
    found = simulate(scenario, STEADY, clients=1)
    assert found.attempts == 18
    flapping = Scenario(
        name="test", noticed=(0.0, 0.0), whole=0.001, sound=200.0, life=1.0
    )
    assert simulate(flapping, STEADY, clients=1).attempts < 200 / 10 + 7


def test_who_is_not_back_at_the_horizon_is_told_so() -> None:
    never = shipped("never", lambda dice: iter([5000.0]))
    found = simulate(Scenario(name="test"), never, clients=3)
    assert found.back == (None,) * 4
    assert found.attempts == 0
    assert found.load == (0.0,)
    assert found.median == pytest.approx(1200, abs=0.5)


def test_the_size_of_the_fleet_changes_little() -> None:
    small, large = (
        simulate(SCENARIOS["restart"], STRATEGIES["wsclient"], clients=clients)
        for clients in (500, 4000)
    )
    assert small.wasted == pytest.approx(large.wasted, rel=0.1)
    assert small.back[1] == pytest.approx(large.back[1], rel=0.1)
