"""Bounds are checked when they are given."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from wsclient.errors import ArgumentError
from wsclient.protocol import Limits

NAMES = [field.name for field in fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, 1.5, None, True, "8"])
def test_a_bound_is_an_integer_of_at_least_one(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be an integer of at least 1"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_of_one_is_legal(name: str) -> None:
    assert getattr(Limits(**{name: 1}), name) == 1


def test_the_defaults_are_those_documented() -> None:
    limits = Limits()
    assert limits.max_fragments == 4096
    assert limits.max_queue_bytes == 8 * 2**20
    assert limits.max_client_bytes == 64 * 2**20
