"""Arguments fail at the call, by name."""

from __future__ import annotations

import math

import pytest

from wsclient.errors import ArgumentError
from wsclient.supervisor.checks import (
    check_callable,
    check_one_of,
    check_seconds,
    check_timeout,
)

BAD_SECONDS = [math.nan, math.inf, -1, -0.001, "1", True, None, 1j]


@pytest.mark.parametrize("value", BAD_SECONDS)
def test_what_is_no_finite_number_of_seconds_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"pause=.*finite number of seconds"):
        check_seconds("pause", value)


@pytest.mark.parametrize("value", [0, 1, 2.5])
def test_seconds_become_floats(value: float) -> None:
    assert check_seconds("pause", value) == float(value)
    assert check_timeout("pause", value) == float(value)


def test_a_timeout_may_be_none_and_says_so() -> None:
    assert check_timeout("pause", None) is None
    with pytest.raises(ArgumentError, match="or None for no limit"):
        check_timeout("pause", math.nan)


@pytest.mark.parametrize("value", ["c", None, 3])
def test_an_unknown_word_is_refused_with_the_known_ones(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"word=.*'a', 'b'"):
        check_one_of("word", value, ["a", "b"])


def test_a_known_word_passes() -> None:
    check_one_of("word", "a", ["a", "b"])


def test_what_cannot_be_called_is_refused_unless_it_may_be_left_out() -> None:
    check_callable("hook", print)
    check_callable("hook", None, optional=True)
    for optional in False, True:
        with pytest.raises(ArgumentError, match=r"hook='login'.*callable"):
            check_callable("hook", "login", optional=optional)
    with pytest.raises(ArgumentError, match="hook=None"):
        check_callable("hook", None)
