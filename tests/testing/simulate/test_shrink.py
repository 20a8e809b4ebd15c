"""Shrinking: a story that fails, made as short as it can be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsclient.testing.simulate import Settings, Step, Story, draw, shrunk

LONG = [draw(seed) for seed in range(40) if len(draw(seed).steps) > 20]


def has(*kinds: str) -> Callable[[Story], bool]:
    """A promise that is broken where these kinds of steps are, in this order."""

    def fails(story: Story) -> bool:
        left = iter([step.kind for step in story.steps])
        return all(kind in left for kind in kinds)

    return fails


@pytest.mark.parametrize("story", LONG, ids=lambda story: str(story.seed))
def test_one_step_is_left_where_one_is_enough(story: Story) -> None:
    kind = story.steps[-1].kind
    shorter = shrunk(story, has(kind))
    assert [step.kind for step in shorter.steps] == [kind]
    assert shorter.settings == Settings()
    assert shorter.seed == story.seed


@pytest.mark.parametrize("story", LONG, ids=lambda story: str(story.seed))
def test_what_is_left_fails_and_no_step_of_it_can_go(story: Story) -> None:
    kinds = [story.steps[index].kind for index in (2, 9, 17)]
    fails = has(*kinds)
    shorter = shrunk(story, fails)
    assert [step.kind for step in shorter.steps] == kinds
    for index in range(3):
        assert not fails(shorter.without(index, 1))


def test_the_same_story_and_judge_give_the_same_answer() -> None:
    story = LONG[0]
    asked: list[list[str]] = []
    for _ in range(2):
        questions: list[str] = []

        def fails(shorter: Story, questions: list[str] = questions) -> bool:
            questions.append(str(shorter))
            return sum(step.at for step in shorter.steps) > 30

        questions.append(str(shrunk(story, fails)))
        asked.append(questions)
    assert asked[0] == asked[1]
    assert len(asked[0]) > 10


def test_a_setting_without_which_it_does_not_fail_stays() -> None:
    settings = Settings(cap=5.0, acks=True, max_messages=1)
    story = Story(seed=1, settings=settings, steps=(Step(1.0, "reset"),))
    shorter = shrunk(story, lambda story: story.settings.max_messages == 1)
    assert shorter.settings == Settings(max_messages=1)
    assert shorter.steps == ()


def test_moments_become_as_round_as_they_may() -> None:
    story = Story(seed=1, settings=Settings(), steps=(Step(3.1416, "reset"),))
    anywhen = shrunk(story, has("reset"))
    assert anywhen.steps == (Step(3.0, "reset"),)
    after = shrunk(story, lambda story: any(step.at > 3.13 for step in story.steps))
    assert after.steps == (Step(3.14, "reset"),)
    exact = shrunk(story, lambda story: any(step.at > 3.141 for step in story.steps))
    assert exact.steps == story.steps


def test_a_step_that_is_needless_once_moments_are_round_goes_too() -> None:
    def fails(story: Story) -> bool:
        round_ones = [step for step in story.steps if step.at == int(step.at)]
        return len(story.steps) == 2 or bool(round_ones)

    steps = (Step(1.3, "reset"), Step(2.4, "eof", ("up",)))
    shorter = shrunk(Story(seed=1, settings=Settings(), steps=steps), fails)
    assert len(shorter.steps) == 1
