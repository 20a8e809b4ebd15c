"""Stories: the same for a seed every time, and as good as their text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from wsclient.testing.simulate import KINDS, Settings, Step, Story, draw, read
from wsclient.testing.simulate.story import ANSWERS

SEEDS = range(300)
STORIES = [draw(seed) for seed in SEEDS]


def test_a_seed_has_one_story() -> None:
    assert [draw(seed) for seed in SEEDS] == STORIES


def test_the_stories_of_the_first_seeds_all_differ() -> None:
    assert len({str(replace(story, seed=0)) for story in STORIES}) == len(STORIES)


def test_every_story_reads_back_from_its_text() -> None:
    for story in STORIES:
        assert read(str(story)) == story


def test_a_text_says_only_the_settings_that_are_unusual() -> None:
    story = Story(seed=1, settings=Settings(cap=5.0), steps=(Step(1.5, "reset"),))
    assert str(story) == (
        "Story(\n"
        "    seed=1,\n"
        "    settings=Settings(cap=5.0),\n"
        "    steps=(\n"
        "        Step(at=1.5, kind='reset', args=()),\n"
        "    ),\n"
        ")"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "Story(",
        "Story(seed=1)",
        "Story(seed=1, settings=Settings(colour='red'), steps=())",
        "Step(at=1.0, kind='reset')",
        "__import__('os').getpid()",
        "open('story')",
    ],
)
def test_what_is_no_story_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="this is no story"):
        read(text)


def test_each_kind_of_step_occurs_within_the_first_seeds() -> None:
    counted = Counter(step.kind for story in STORIES for step in story.steps)
    assert set(counted) == set(KINDS)


def test_a_server_meets_a_client_in_each_way_within_the_first_seeds() -> None:
    counted = Counter(
        step.args[0]
        for story in STORIES
        for step in story.steps
        if step.kind == "answer"
    )
    assert set(counted) == set(ANSWERS)


def test_the_settings_of_the_first_seeds_differ_but_for_two_timeouts() -> None:
    alike = {
        name
        for name in Settings.__slots__
        if len({getattr(story.settings, name) for story in STORIES}) == 1
    }
    assert alike <= {"open_timeout", "prepare_timeout", "ack_timeout"}


def test_steps_come_in_the_order_of_their_moments_from_the_first() -> None:
    for story in STORIES:
        moments = [step.at for step in story.steps]
        assert moments == sorted(moments)
        assert moments[0] == 0.0


def test_a_story_without_some_of_its_steps_is_the_rest() -> None:
    story = draw(3)
    shorter = story.without(1, 2)
    assert shorter.steps == (story.steps[0], *story.steps[3:])
    assert (shorter.seed, shorter.settings) == (story.seed, story.settings)
