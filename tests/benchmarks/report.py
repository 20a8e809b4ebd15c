"""What was found as Markdown: a ranking for each contest, and how each goal stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .contests import CONTESTS, FIGURES, Contest
from .entrants import ENTRANTS
from .goals import GOALS, Goal
from .results import Results, Spread

__all__ = ("ahead_of_us", "goals_of", "rankings_of", "report", "run_of")

ENOUGH = 5  # rounds


def report(results: Results) -> str:
    """Write everything."""
    parts = [run_of(results), *rankings_of(results, CONTESTS.values())]
    parts += ["\n".join(goals_of(results))]
    failures = results.failures()
    if failures:
        parts.append("\n".join(["Failed:", *failures]))
    return "\n\n".join(parts)


def run_of(results: Results) -> str:
    """Say what was measured, on what."""
    text = f"{results.versions}. {results.machine}. "
    if results.scale != 1 or results.rounds < ENOUGH:
        text += "**A trial, too short to judge by.** "
    text += f"Medians, least and most in brackets; rounds: {results.rounds} or more"
    return f"{text}, scale: {results.scale:g}."


def rankings_of(results: Results, contests: Iterable[Contest]) -> Iterator[str]:
    """Write a table for each contest that was measured."""
    for contest in contests:
        if contest.name in results.samples:
            title = f"{contest.what[0].upper()}{contest.what[1:]} (`{contest.name}`)"
            yield f"**{title}**\n\n" + "\n".join(_ranking(results, contest))


def _ranked(results: Results, contest: Contest) -> list[str]:
    """Return who was measured, the best first."""
    found = {
        name: spread.median
        for name in contest.entrants
        if (spread := results.spread(contest.name, name, contest.figures[0]))
    }
    return sorted(found, key=found.__getitem__)


def _ranking(results: Results, contest: Contest) -> Iterator[str]:
    first, ours = contest.figures[0], contest.entrants[0]
    heads = [FIGURES[figure].head for figure in contest.figures]
    yield f"| | {' | '.join(heads)} | times {ours} |"
    yield "|---" + "|--:" * (len(heads) + 1) + "|"
    for name in _ranked(results, contest):
        cells = [_cell(results, contest, name, figure) for figure in contest.figures]
        ratios = results.ratios(contest.name, name, ours, first)
        cells.append(f"{Spread.of(ratios).median:.2f}" if ratios else "")
        shown = f"**{name}**" if ENTRANTS[name].ours else name
        if ENTRANTS[name].floor:
            shown = f"*{name}*"
        yield f"| {shown} | {' | '.join(cells)} |"


def _cell(results: Results, contest: Contest, name: str, key: str) -> str:
    spread = results.spread(contest.name, name, key)
    if spread is None:
        return ""
    figure = FIGURES[key]
    if key == "rate":
        return _short(spread.median)
    return _spread(spread.times(figure.factor), figure.digits)


def _short(rate: float) -> str:
    if rate >= 1e6:
        return f"{rate / 1e6:.2f} M"
    if rate >= 1e3:
        return f"{rate / 1e3:.3g} k"
    return f"{rate:.3g}"


def _spread(spread: Spread, digits: int = 2) -> str:
    median, least, most = (
        f"{value:,.{digits}f}" for value in (spread.median, spread.least, spread.most)
    )
    return f"{median} ({least}..{most})"


def goals_of(results: Results, *, all_of_them: bool = False) -> Iterator[str]:
    """Write how each goal stands: those that were measured, or all."""
    yield "| measure | goal | found | rounds | |"
    yield "|---|---|--:|--:|---|"
    for goal in GOALS:
        verdict = goal.verdict(results)
        if verdict.found is None and not all_of_them:
            continue
        found = verdict.found
        shown = " | " if found is None else f"{_spread(found)} | {found.rounds}"
        yield f"| {goal.what} | {_wanted(goal)} | {shown} | {verdict} |"


def _wanted(goal: Goal) -> str:
    figure = FIGURES[goal.figure].head
    if goal.theirs is None:
        return f"{goal.ours}: {figure} {goal.wanted}"
    one, other = goal.sides
    return f"{figure}: {one} / {other} {goal.wanted}"


def ahead_of_us(results: Results) -> Iterator[str]:
    """
    Name for each contest the libraries that do better than our first entrant.

    Who compresses less does not.

    """
    for contest in CONTESTS.values():
        first, ours = contest.figures[0], contest.entrants[0]
        ahead = [
            f"{name} ({Spread.of(ratios).median:.2f})"
            for name in _ranked(results, contest)
            if not (ENTRANTS[name].ours or ENTRANTS[name].floor)
            and (ratios := results.ratios(contest.name, name, ours, first))
            and Spread.of(ratios).median < 1
            and not _compresses_less(results, contest, name)
        ]
        if ahead:
            yield f"- {contest.what}: {', '.join(ahead)}"


def _compresses_less(results: Results, contest: Contest, name: str) -> bool:
    ratios = results.ratios(contest.name, name, contest.entrants[0], "ratio")
    return bool(ratios) and round(Spread.of(ratios).median, 2) < 1
