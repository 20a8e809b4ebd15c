"""Every measure gives its figures, and every library takes part in what it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from .contests import CONTESTS
from .entrants import ENTRANTS
from .running import Cores, MeasurementFailed, Track, installed

pytestmark = pytest.mark.real

SCALE = 0.005
# Between them all measures, both peers, TLS and compression.
SHOWN = (
    "receive-64KiB",
    "batches",
    "send-64B",
    "send-many",
    "trip-32B",
    "send-deflate-1KiB",
    "receive-tls-1KiB",
    "connect",
    "at-once",
    "idle",
    "import",
    "drop",
    "outage",
    "routing",
    "supervised-iterate-asyncio",
)


@pytest.fixture
def track(tmp_path: Path) -> Track:
    track = Track(Cores(), tmp_path, SCALE)
    track.prepare()
    return track


@pytest.mark.parametrize("name", SHOWN)
def test_a_contest_gives_its_figures(track: Track, name: str) -> None:
    contest = CONTESTS[name]
    figures = track.measure(contest, contest.entrants[0])
    assert [*figures] == [*contest.figures]
    assert all(value >= 0 for value in figures.values())


# What is received by one is also received by the other end: a round trip has both.
@pytest.mark.parametrize("name", CONTESTS["trip-tls-32B"].entrants)
def test_a_library_takes_part(track: Track, name: str) -> None:
    if not installed(name):
        pytest.skip(f"{ENTRANTS[name].needs} not installed")
    assert track.measure(CONTESTS["trip-tls-32B"], name)["p50"] >= 50e-6


def test_what_ends_badly_says_why(track: Track) -> None:
    with pytest.raises(MeasurementFailed, match="ModuleNotFoundError"):
        track.measure(CONTESTS["trip-32B"], "asyncio alone")
