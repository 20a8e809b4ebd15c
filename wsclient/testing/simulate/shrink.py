"""Making a story that breaks a promise as short as it can be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .story import Settings, Story

__all__ = ("shrunk",)


def shrunk(story: Story, fails: Callable[[Story], bool]) -> Story:
    """
    Return the shortest story found for which ``fails`` says the same.

    Steps are left out in halves, quarters and so on; then settings become usual ones,
    and moments round ones. The same story and judge give the same answer.

    """
    story = _fewer(story, fails)
    story = _usual(story, fails)
    story = _rounder(story, fails)
    return _fewer(story, fails)


def _fewer(story: Story, fails: Callable[[Story], bool]) -> Story:
    count = max(1, len(story.steps) // 2)
    while True:
        first = 0
        left = False
        while first < len(story.steps):
            shorter = story.without(first, count)
            if fails(shorter):
                story = shorter
                left = True
            else:
                first += count
        if count == 1 and not left:
            return story
        count = max(1, count // 2)


def _usual(story: Story, fails: Callable[[Story], bool]) -> Story:
    usual = Settings()
    for name in Settings.__slots__:
        if getattr(story.settings, name) != getattr(usual, name):
            settings = replace(story.settings, **{name: getattr(usual, name)})
            plainer = replace(story, settings=settings)
            if fails(plainer):
                story = plainer
    return story


def _rounder(story: Story, fails: Callable[[Story], bool]) -> Story:
    for digits in (0, 1, 2):
        steps = tuple(replace(step, at=round(step.at, digits)) for step in story.steps)
        rounder = replace(story, steps=steps)
        if fails(rounder):
            return rounder
    return story
