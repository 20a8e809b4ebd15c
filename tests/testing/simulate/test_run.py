"""Running stories: all is told, nothing is raised, and the same each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from math import inf

import pytest

from wsclient.testing import VIRTUAL_BACKENDS
from wsclient.testing.simulate import Settings, Step, Story, draw, run
from wsclient.testing.simulate.run import live

FIRST = 30
ELSEWHERE = """
from wsclient.testing.simulate import draw, run

for backend in ("asyncio", "trio"):
    for seed in range(6):
        print(backend, seed, run(draw(seed), backend).digest)
"""

each_backend = pytest.mark.parametrize("backend", VIRTUAL_BACKENDS)


def story(*steps: Step, **settings: object) -> Story:
    return Story(seed=1, settings=replace(Settings(), **settings), steps=steps)  # type: ignore[arg-type]


@each_backend
def test_the_promises_hold_for_the_first_seeds(backend: str) -> None:
    outcomes = live((seed, backend) for seed in range(FIRST))
    assert [str(outcome) for outcome in outcomes if outcome.broken] == []
    assert [outcome.seed for outcome in outcomes] == list(range(FIRST))


@each_backend
def test_a_story_is_told_in_the_same_way_each_time(backend: str) -> None:
    for seed in range(6):
        reports = [run(draw(seed), backend) for _ in range(2)]
        assert reports[0].trace == reports[1].trace
        assert reports[0].seen == reports[1].seen
        assert reports[0].digest == reports[1].digest


def test_stories_of_different_seeds_are_told_in_different_ways() -> None:
    assert len({run(draw(seed), "asyncio").digest for seed in range(5)}) == 5


def test_a_story_is_told_in_the_same_way_by_every_process() -> None:
    """Neither hashes of strings nor addresses of objects may order anything."""
    told = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ELSEWHERE]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        told.append(done.stdout.splitlines())
    assert told[0] == told[1]
    assert len(told[0]) == 12


@each_backend
def test_a_report_says_what_the_client_told(backend: str) -> None:
    report = run(story(Step(0, "subscribe", ("a", "error")), Step(5, "reset")), backend)
    assert report.violation is None
    assert {"StateChanged", "LifeEnded", "RESET"} <= report.seen
    assert any("a 1 of life 2" in line for line in report.trace)


@each_backend
def test_an_undocumented_exception_is_told(backend: str) -> None:
    report = run(story(Step(1, "no such step")), backend)
    assert report.violation is not None
    assert report.violation.check == "raises what is documented"
    assert "no such step" in str(report.violation)


@each_backend
def test_a_story_that_never_goes_on_is_told(backend: str) -> None:
    """Virtual time goes by, for ever."""
    quiet = {"every": 1e6, "ping_interval": 1e6}
    report = run(story(Step(inf, "reset"), **quiet), backend)
    assert report.violation is not None
    assert report.violation.check == "comes to an end"
    assert "100000 s" in str(report.violation)


class Spins(str):
    """A step that never says what it is."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        while True:
            pass


@each_backend
def test_what_spins_is_told(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no time goes by, only the alarm is left."""
    monkeypatch.setattr(import_module(live.__module__), "PATIENCE", 1)
    before = signal.getsignal(signal.SIGALRM)
    report = run(story(Step(1, Spins("reset"))), backend)
    assert report.violation is not None
    assert "comes to an end: it spins" in str(report.violation)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.alarm(0) == 0


def test_an_alarm_that_was_not_needed_is_taken_back() -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert run(story(), "asyncio").violation is None
    assert signal.alarm(0) == 0
    assert signal.getsignal(signal.SIGALRM) is before


@each_backend
def test_an_outcome_counts_the_steps_of_its_story(backend: str) -> None:
    (outcome,) = live([(7, backend)])
    assert outcome.kinds == Counter(step.kind for step in draw(7).steps)
    assert str(outcome) == f"seed 7 on {backend}"
    assert outcome.broken is None
    assert outcome.cpu > 0
    assert outcome.seen == run(draw(7), backend).seen


def test_a_report_has_a_digest_of_its_trace_alone() -> None:
    report = run(story(), "asyncio")
    assert replace(report, backend="trio").digest == report.digest
    assert replace(report, trace=(*report.trace, "x")).digest != report.digest
