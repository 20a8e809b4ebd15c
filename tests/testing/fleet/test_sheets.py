"""What the titles of the pictures say is so, and the pictures are those of the code."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from wsclient.testing.fleet import SCENARIOS, STRATEGIES, Figures, Scenario, simulate
from wsclient.testing.fleet.sheets import (
    BLIP,
    CLIENTS,
    CRASH,
    FLAPPING,
    ROOMY,
    SHEETS,
)
from wsclient.testing.fleet.strategies import ours, spreading

ROOT = Path(__file__).resolve().parents[3]
PLOTS = ROOT / "docs" / "plots"
IN_PROPORTION = {"wsclient", "equal jitter", "decorrelated"}


@cache
def fleets(name: str) -> dict[str, Figures]:
    return {
        strategy.name: simulate(SCENARIOS[name], strategy, clients=500)
        for strategy in STRATEGIES.values()
    }


def last(found: Figures) -> float:
    return found.back[-1] or SCENARIOS[found.scenario].horizon


def test_each_picture_is_there_and_on_the_page() -> None:
    stored = {path.stem for path in PLOTS.glob("*.svg")}
    assert {name for name in stored if not name.startswith("performance-")} == set(
        SHEETS
    )
    page = (ROOT / "docs" / "reconnecting.md").read_text(encoding="utf-8")
    for name in SHEETS:
        assert f"](plots/{name}.svg)" in page


@pytest.mark.parametrize("name", ["wsclient", "equal jitter", "websockets"])
def test_the_table_of_the_page_says_what_is_simulated(name: str) -> None:
    page = (ROOT / "docs" / "reconnecting.md").read_text(encoding="utf-8")
    table = page.partition("<!-- table: fleets -->")[2].partition("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")
    ]
    (row,) = [row for row in rows if row and row[0] == name]
    found = simulate(SCENARIOS["restart"], STRATEGIES[name], clients=CLIENTS)
    median, _, most, every = found.back
    assert row[1:] == [
        f"{found.peak_second:.1f}",
        f"{found.peak_tenth:.1f}",
        *("never" if at is None else f"{at:.1f} s" for at in (median, most, every)),
        f"{found.wasted:.1f}",
        f"{found.unfairness:.2f}",
        f"{found.jain:.3f}",
    ]


def test_a_picture_is_drawn_anew_byte_by_byte() -> None:
    stored = (PLOTS / "floors.svg").read_text(encoding="utf-8")
    assert SHEETS["floors"]() == stored, "python -m wsclient.testing.fleet --plot"


@pytest.mark.parametrize("name", ["restart", "region", "slow"])
def test_jitter_in_proportion_to_the_delay_brings_the_last_client_back_soonest(
    name: str,
) -> None:
    found = fleets(name)
    slowest = max(last(found[strategy]) for strategy in IN_PROPORTION)
    others = min(last(found[other]) for other in found.keys() - IN_PROPORTION)
    assert slowest < others


def test_what_waits_without_jitter_comes_back_from_a_restart_in_step() -> None:
    """Ours is the calmest of all; who is in step comes as one."""
    peaks = {name: found.peak_second for name, found in fleets("restart").items()}
    assert min(peaks, key=peaks.__getitem__) == "wsclient"
    assert peaks["fixed 5 s"] == peaks["picows"] == 50.0, "the whole fleet in a second"


def test_equal_jitter_is_better_than_ours_where_the_recovery_is_slow() -> None:
    found = fleets("slow")
    assert last(found["equal jitter"]) < last(found["wsclient"])
    assert found["equal jitter"].wasted < found["wsclient"].wasted
    assert found["wsclient"].jain > found["equal jitter"].jain


def test_the_handshake_is_no_proof_of_life() -> None:
    found = {
        strategy.name: simulate(SCENARIOS["loop"], strategy, clients=200)
        for strategy in FLAPPING
    }
    supervised = ("wsclient", "no pause", "fixed 5 s", "exponential")
    hasty = ("proof at once", "websockets", "picows", "socket.io")
    assert max(found[name].wasted for name in supervised) <= 6 * 5
    assert min(found[name].wasted for name in hasty) > 3 * 6 * 5
    assert found["wsclient"].wasted < 0.75 * found["no pause"].wasted
    ends = {name: last(one) for name, one in found.items()}
    assert min(ends[name] for name in supervised) > max(ends[name] for name in hasty), (
        "patience has its price"
    )


def run(scenario: Scenario, *, base: float = 1.0, cap: float = 30.0) -> Figures:
    return simulate(scenario, ours(base=base, cap=cap), clients=500)


def test_a_longer_base_spreads_a_herd_and_delays_a_lone_client() -> None:
    herds = [run(BLIP, base=base).peak_second for base in (0.1, 1.0, 10.0)]
    assert herds[0] > 2 * herds[1] > 8 * herds[2]
    roomy = replace(ROOMY, returns=0.0)
    alone = [run(roomy, base=base).median for base in (0.1, 1.0, 10.0)]
    assert alone[0] < alone[1] == pytest.approx(0.55, abs=0.1)
    assert alone[2] == pytest.approx(5, abs=0.6)


def test_a_short_cap_keeps_an_overload_alive_and_a_long_one_oversleeps() -> None:
    short = replace(SCENARIOS["slow"], horizon=300.0)
    assert run(short, cap=5.0).back[0] is None
    ends = {cap: run(CRASH, cap=cap).back[2] or 1e9 for cap in (10.0, 30.0, 120.0)}
    assert ends[30.0] < min(ends[10.0], ends[120.0])
    waits = [(run(ROOMY, cap=cap).back[2] or 1e9) - 600 for cap in (30.0, 120.0)]
    assert waits[0] < 31 < waits[1]


def test_ten_percent_of_spread_above_a_common_floor_are_little() -> None:
    narrow, wide = (
        simulate(SCENARIOS["advised"], ours(backoff=spreading(part)), clients=500)
        for part in (0.1, 1.0)
    )
    assert (wide.back[2] or 1e9) < (narrow.back[2] or 0) - 20
    assert wide.jain > narrow.jain
