"""Two gaps side by side: whether they are one, and what it tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wsclient.errors import Reason
from wsclient.supervisor import Gap
from wsclient.supervisor.gaps import joined_gaps, merged_gap

SKIPPED = Gap(generation=2, reason=Reason.LOCAL, lost=1)


def test_losses_of_one_connection_are_one_gap() -> None:
    slow = replace(SKIPPED, reason=Reason.SLOW_CONSUMER, lost=3)
    assert merged_gap(SKIPPED, slow) == replace(slow, lost=4)


@pytest.mark.parametrize(
    "other", [{"generation": 3}, {"offline_for": 1.0}, {"recovered": False}]
)
def test_what_tells_of_another_connection_stays_apart(other: dict[str, Any]) -> None:
    gap = replace(SKIPPED, **other)
    assert merged_gap(SKIPPED, gap) is None
    assert merged_gap(gap, SKIPPED) is None


def test_joined_they_tell_the_sum_and_where_it_goes_on() -> None:
    down = Gap(generation=3, reason=Reason.EOF, offline_for=2.0, lost=2)
    assert joined_gaps(SKIPPED, down) == replace(down, lost=3)


def test_a_loss_that_nobody_can_count_stays_unknown() -> None:
    down = Gap(generation=3, reason=Reason.EOF, offline_for=2.0)
    assert joined_gaps(SKIPPED, down).lost is None
    assert joined_gaps(down, SKIPPED).lost is None
