"""A goal is judged by the median of the rounds in which both sides were measured."""

from __future__ import annotations

import pytest

from .contests import CONTESTS, FIGURES, Contest
from .entrants import ENTRANTS
from .goals import GOALS, Goal
from .results import Results


def found(**cpu: list[float | None]) -> Results:
    results = Results.empty(1)
    for entrant, values in cpu.items():
        for value in values:
            sample = {} if value is None else {"cpu": value, "t95": value}
            results.add("send-64B", entrant, sample)
    return results


def goal(*, least: float | None = None, most: float | None = None) -> Goal:
    return Goal(
        what="",
        contest="send-64B",
        ours="wsclient",
        theirs="picows",
        least=least,
        most=most,
    )


@pytest.mark.parametrize("one", GOALS, ids=lambda one: f"{one.contest} {one.theirs}")
def test_a_goal_names_what_is_measured(one: Goal) -> None:
    contest = CONTESTS[one.contest]
    assert {one.ours, one.theirs or one.ours} <= {*contest.entrants}
    assert one.figure in contest.figures
    assert (one.least is None) != (one.most is None)


@pytest.mark.parametrize("contest", CONTESTS.values(), ids=lambda contest: contest.name)
def test_a_contest_names_what_there_is(contest: Contest) -> None:
    assert {*contest.entrants} <= ENTRANTS.keys()
    assert {*contest.figures} <= FIGURES.keys()
    assert {*contest.instead} <= {*contest.entrants}


def test_twice_as_good_is_half_the_cost() -> None:
    results = found(wsclient=[1.0, 1.0, 3.0], picows=[2.0, 2.0, 2.0])
    verdict = goal(least=2.0).verdict(results)
    assert verdict.met
    assert verdict.found is not None
    assert verdict.found.median == 2.0
    assert goal(least=2.1).verdict(results).met is False
    assert goal(most=0.5).verdict(results).met


def test_a_round_in_which_one_failed_says_nothing() -> None:
    results = found(wsclient=[None, 1.0], picows=[0.1, 2.0])
    assert goal(most=0.5).verdict(results).met
    assert results.failures() == ["send-64B: wsclient, 1 of 2"]


def test_without_another_the_figure_itself_is_judged() -> None:
    results = found(wsclient=[0.19, 0.21, 0.3])
    one = Goal(what="", contest="send-64B", ours="wsclient", figure="t95", most=0.21)
    assert one.verdict(results).met
    assert str(one.verdict(Results.empty(1))) == "not measured"
