"""Each strategy waits as the library that it is named for."""

from __future__ import annotations

from random import Random

import pytest

from wsclient.supervisor import Retry
from wsclient.supervisor.backoff import Backoff, FullJitter
from wsclient.testing.fleet import STRATEGIES, Pauses, Strategy
from wsclient.testing.fleet.strategies import Hasty, ours, spreading


def dropped(strategy: Strategy, seed: int = 1) -> Pauses:
    """Return the pauses of a client that has lived and proved it."""
    pauses = strategy.pauses(Random(seed))(0.0)
    pauses.lives(0.0)
    pauses.proof()
    return pauses


def delays(pauses: Pauses, count: int, verdict: Retry | None = None) -> list[float]:
    found = []
    for _ in range(count):
        delay = pauses.failed(OSError("refused"), 1000.0, verdict or Retry())
        assert delay is not None
        found.append(delay)
    return found


def test_ours_are_the_supervisors_own_objects_and_defaults() -> None:
    assert type(dropped(STRATEGIES["wsclient"])) is Backoff
    dice = Random(7)
    found = delays(dropped(STRATEGIES["wsclient"], seed=7), 7)
    assert found == [dice.uniform(0, most) for most in (1, 2, 4, 8, 16, 30, 30)]
    assert (FullJitter().base, FullJitter().cap) == (1.0, 30.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fixed 5 s", [(5.0, 5.0)] * 4),
        ("exponential", [(n, n) for n in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)]),
        ("equal jitter", [(n / 2, n) for n in (1, 2, 4, 8, 16, 30, 30)]),
        (
            "websockets",
            [(0.0, 0.0), (0.0, 5.0)]
            + [(n, n) for n in (3.1, 5.0158, 8.1156, 13.1310, 21.2460, 34.3760)]
            + [(n, n) for n in (55.6203, 89.9937, 90.0, 90.0)],
        ),
        ("picows", [(n, n) for n in (0.0, 1, 2, 4, 8, 16, 32, 60, 60)]),
        (
            "socket.io",
            [(n - 0.5, n + 0.5) for n in (1, 2, 4, 5, 5)],
        ),
    ],
)
def test_the_delays_after_a_drop(
    name: str, expected: list[tuple[float, float]]
) -> None:
    for seed in range(30):
        found = delays(dropped(STRATEGIES[name], seed), len(expected))
        for delay, (least, most) in zip(found, expected, strict=True):
            assert least - 1e-3 <= delay <= most + 1e-3


def test_decorrelated_jitter_is_drawn_below_three_times_the_last_delay() -> None:
    for seed in range(30):
        last = 1.0
        for delay in delays(dropped(STRATEGIES["decorrelated"], seed), 12):
            assert 1.0 <= delay <= min(30.0, 3 * last)
            last = delay


@pytest.mark.parametrize("name", STRATEGIES)
def test_only_what_stands_in_our_supervisor_heeds_the_server(name: str) -> None:
    delay = delays(dropped(STRATEGIES[name]), 1, Retry(100.0, 110.0))[0]
    heeds = isinstance(dropped(STRATEGIES[name]), Backoff)
    assert (100.0 <= delay <= 110.0) == heeds


@pytest.mark.parametrize("name", STRATEGIES)
def test_only_what_stands_in_our_supervisor_wants_more_proof_than_a_handshake(
    name: str,
) -> None:
    """Six lives that fell, then the delay of the seventh end."""
    pauses = dropped(STRATEGIES[name])
    for _ in range(6):
        pauses.failed(OSError("dropped"), 1000.0, Retry())
        pauses.lives(1000.0)
    delay = pauses.failed(OSError("dropped"), 1000.0, Retry())
    assert delay is not None
    if isinstance(pauses, Backoff):
        assert 60.0 <= delay <= 66.0, "the flap window"
    else:
        assert delay <= 1.5, "as if nothing had happened"


def test_a_hasty_one_starts_over_with_each_handshake() -> None:
    pauses = dropped(ours(backoff=Hasty))
    delays(pauses, 10)
    pauses.lives(1000.0)
    assert delays(pauses, 1)[0] <= 1.0


def test_a_floor_can_be_spread_further_and_nothing_else_is() -> None:
    strategy = ours(backoff=spreading(1.0))
    floors = [delays(dropped(strategy, n), 1, Retry(30.0, 33.0))[0] for n in range(50)]
    assert 30.0 <= min(floors) < 33.0 < 50.0 < max(floors) <= 60.0
    assert max(delays(dropped(strategy, n), 1)[0] for n in range(50)) <= 1.0
