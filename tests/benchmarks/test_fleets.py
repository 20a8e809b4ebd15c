"""When so many were back, and how close together."""

from __future__ import annotations

from .fleets import at, densest


def test_the_time_of_a_share_is_that_of_its_last() -> None:
    back = [number / 10 for number in range(1, 21)]
    assert (at(0.5, back), at(0.95, back), at(1, back)) == (1.0, 1.9, 2.0)
    assert at(0.5, [0.3]) == 0.3


def test_the_densest_window_is_found_wherever_it_is() -> None:
    assert densest([0.0, 1.0, 2.0]) == 1
    assert densest([0.0, 1.0, 1.05, 1.09, 1.2, 3.0]) == 3
