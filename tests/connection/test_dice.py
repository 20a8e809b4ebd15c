"""Chance, and how tests take it away."""

from __future__ import annotations

import secrets
from random import Random

from wsclient.connection import DICE, bytes_of


def test_masks_come_from_the_systems_own_source() -> None:
    assert bytes_of(DICE) is secrets.token_bytes


def test_dice_of_ones_own_repeat_themselves() -> None:
    assert bytes_of(Random(7))(16) == bytes_of(Random(7))(16)


def test_the_default_dice_spread_between_the_bounds() -> None:
    thrown = {DICE.uniform(0.9, 1.0) for _ in range(100)}
    assert len(thrown) > 90
    assert all(0.9 <= value <= 1.0 for value in thrown)
