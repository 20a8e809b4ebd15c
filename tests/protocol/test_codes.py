"""Every close code has an answer."""

from __future__ import annotations

from typing import Any

import pytest

from wsclient.protocol import CloseCode

ON_WIRE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


def test_every_number_of_two_bytes_is_a_close_code() -> None:
    for number in range(65536):
        code = CloseCode(number)
        assert code == number
        assert code.name
        assert code.meaning


def test_the_codes_that_may_stand_on_the_wire_are_those_of_the_registry() -> None:
    assert {n for n in range(65536) if CloseCode(n).is_valid_on_wire} == ON_WIRE


def test_each_code_lies_in_one_range() -> None:
    for number in range(65536):
        code = CloseCode(number)
        ranges = (
            code.is_library,
            code.is_private,
            code.is_reserved,
            code.is_valid_on_wire and number < 3000,
            not 1000 <= number <= 4999,
        )
        assert sum(ranges) == 1, number


@pytest.mark.parametrize(
    ("number", "name", "meaning"),
    [
        (1000, "NORMAL_CLOSURE", "normal closure"),
        (1006, "ABNORMAL_CLOSURE", "no Close frame received"),
        (3003, "FORBIDDEN", "forbidden"),
        (3100, "CODE_3100", "registered by a library"),
        (4242, "CODE_4242", "private to the application"),
        (2500, "CODE_2500", "reserved"),
        (7, "CODE_7", "unused"),
    ],
)
def test_a_code_says_what_it_means(number: int, name: str, meaning: str) -> None:
    assert CloseCode(number).name == name
    assert CloseCode(number).meaning == meaning


@pytest.mark.parametrize("value", [-1, 65536, "1000", 1000.5, None])
def test_what_is_no_number_of_two_bytes_is_no_close_code(value: Any) -> None:
    with pytest.raises(ValueError, match="not a valid CloseCode"):
        CloseCode(value)
