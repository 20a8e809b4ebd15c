"""What providers and classifiers are told."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from wsclient import Attempt, Kind, Outcome, Phase, Reason


def test_a_provider_cannot_change_what_the_next_one_is_told() -> None:
    outcome = Outcome(kind=Kind.ATTEMPT, reason=Reason.DNS, phase=Phase.DNS)
    attempt = Attempt(generation=1, number=2, last_outcome=outcome, deadline=3.0)
    with pytest.raises(FrozenInstanceError):
        attempt.number = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        outcome.proven = True  # type: ignore[misc]
