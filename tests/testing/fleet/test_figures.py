"""The figures of a fleet mean what their page says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.testing.fleet import Figures
from wsclient.testing.fleet.figures import jain, percentile

OUTAGES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50)


def four(back: list[float], horizon: float = 40.0) -> Figures:
    """Of four clients whose connections ended after 1 s."""
    tenths = [0] * 400
    tenths[5] = 100  # while nobody listened
    tenths[103], tenths[108], tenths[117] = 3, 2, 4
    return Figures.of(
        scenario="s",
        strategy="w",
        capacity=2.0,
        returns=10.0,
        horizon=horizon,
        ended=[1.0] * 4,
        back=back,
        tenths=tenths,
        attempts=109,
    )


def test_a_peak_is_the_worst_bin_of_a_listening_server_in_terms_of_its_capacity() -> (
    None
):
    found = four([11.0, 12.0, 13.0, 14.0])
    assert found.peak_second == 5 / 2
    assert found.peak_tenth == 4 * 10 / 2
    assert found.load[0] == 50.0
    assert (found.load[10], found.load[11]) == (2.5, 2.0)
    assert len(found.load) == 12, "nothing behind the last attempt"


def test_back_are_the_times_at_which_so_many_have_the_connection_that_lasts() -> None:
    assert four([14.0, 12.0, 13.0, 11.0]).back == (12.0, 14.0, 14.0, 14.0)
    assert four([14.0, 12.0, -1.0, 11.0]).back == (12.0, None, None, None)


def test_wasted_are_the_attempts_that_led_to_no_lasting_connection() -> None:
    assert four([11.0, 12.0, 13.0, 14.0]).wasted == 105 / 4
    assert four([11.0, -1.0, -1.0, -1.0]).wasted == 108 / 4


def test_the_outage_of_who_is_not_back_ends_at_the_horizon() -> None:
    found = four([3.0, 3.0, 3.0, -1.0])
    assert found.median == 2.0
    assert found.unfairness == 39.0 / 2.0
    assert found.jain == pytest.approx((2 + 2 + 2 + 39) ** 2 / (4 * (3 * 4 + 39**2)))


def test_who_was_never_away_is_treated_as_well_as_all_others() -> None:
    found = four([1.0] * 4)
    assert (found.median, found.unfairness, found.jain) == (0.0, 1.0, 1.0)


@given(OUTAGES)
def test_jain_is_between_one_nth_and_one(outages: list[float]) -> None:
    assert 1 / len(outages) - 1e-9 <= jain(outages) <= 1 + 1e-9


@given(st.floats(0.001, 1e6), st.integers(1, 50))
def test_jain_is_one_for_equals_and_one_nth_for_a_single_sufferer(
    outage: float, clients: int
) -> None:
    assert jain([outage] * clients) == pytest.approx(1)
    assert jain([outage] + [0.0] * (clients - 1)) == pytest.approx(1 / clients)


@given(OUTAGES, st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_that_the_share_does_not_exceed(
    outages: list[float], share: float
) -> None:
    ordered = sorted(outages)
    at = percentile(ordered, share)
    needed = math.ceil(share * len(ordered))
    assert sum(value <= at for value in ordered) >= needed
    assert sum(value < at for value in ordered) < needed
