"""The rules of a fault proxy: what is accepted, and what one is told else."""

from __future__ import annotations

from random import Random

import pytest

from wsclient import ArgumentError
from wsclient.testing import Proxy

WRONG = [
    ("latency", -1.0, "seconds, 0 or more"),
    ("latency", float("inf"), "seconds, 0 or more"),
    ("latency", (0.2, 0.1), "seconds, 0 or more"),
    ("bandwidth", 0, "bytes a second, more than 0, or None"),
    ("bandwidth", float("inf"), "bytes a second, more than 0, or None"),
    ("capacity", 0, "bytes, more than 0"),
    ("idle_timeout", 0, "seconds, more than 0, or None"),
    ("on_idle", "vanish", "'eof', 'reset', 'silence' or 'forget'"),
    ("cut_after", -1, "bytes, more than 0, or None"),
    ("on_cut", "vanish", "'eof', 'reset', 'silence' or 'forget'"),
    ("on_unreachable", "forget", "'eof', 'reset' or 'silence'"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), WRONG)
def test_what_cannot_be_used_is_told_with_its_name_and_the_remedy(
    name: str, value: object, remedy: str
) -> None:
    with pytest.raises(ArgumentError, match=name) as told:
        Proxy("localhost", 80, **{name: value})  # type: ignore[arg-type]
    assert remedy in str(told.value)
    proxy = Proxy("localhost", 80)
    before = getattr(proxy, name)
    with pytest.raises(ArgumentError, match=name):
        setattr(proxy, name, value)
    assert getattr(proxy, name) == before


def test_the_latency_is_said_or_drawn_by_the_dice_that_are_given() -> None:
    assert Proxy("localhost", 80).draw_latency() == 0
    assert Proxy("localhost", 80, latency=0.25).draw_latency() == 0.25
    one, other = (
        Proxy("localhost", 80, latency=(1, 2), random=Random(7)) for _ in "ab"
    )
    drawn = [one.draw_latency() for _ in range(20)]
    assert drawn == [other.draw_latency() for _ in range(20)]
    assert 1 <= min(drawn) < max(drawn) <= 2
    one.latency = 3
    assert one.draw_latency() == 3
