"""What was found as Markdown: a ranking for each contest, and how each goal stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .contests import CONTESTS, FIGURES, OURS, Contest
from .goals import GOALS, Goal
from .results import Results, Spread

__all__ = ("goals_of", "rankings_of", "report")


def report(results: Results) -> str:
    """Write everything."""
    head = f"{results.versions}\n{results.machine}; {results.rounds} rounds, "
    parts = [f"{head}median (min..max)", *rankings_of(results, CONTESTS.values())]
    parts += ["\n".join(goals_of(results, measured=True))]
    failures = results.failures()
    if failures:
        parts.append("\n".join(["Failed:", *failures]))
    return "\n\n".join(parts)


def rankings_of(results: Results, contests: Iterable[Contest]) -> Iterator[str]:
    """Write a table for each contest that was measured."""
    for contest in contests:
        if contest.name in results.samples:
            title = contest.what[0].upper() + contest.what[1:]
            yield f"**{title}**\n\n" + "\n".join(_ranking(results, contest))


def _ranking(results: Results, contest: Contest) -> Iterator[str]:
    first, figures = contest.figures[0], contest.figures
    ours = contest.entrants[0]
    ranked = sorted(
        (spread.median, name)
        for name in contest.entrants
        if (spread := results.spread(contest.name, name, first)) is not None
    )
    heads = [FIGURES[figure].head for figure in figures]
    yield f"| | {' | '.join(heads)} | times {ours}'s |"
    yield "|---" + "|--:" * (len(figures) + 1) + "|"
    for _, name in ranked:
        cells = [_cell(results, contest, name, figure) for figure in figures]
        ratios = results.ratios(contest.name, name, ours, first)
        cells.append(f"{Spread.of(ratios).median:.2f}" if ratios else "")
        yield f"| {_bold(name)} | {' | '.join(cells)} |"


def _bold(name: str) -> str:
    ours = name.startswith(OURS) or name.endswith(OURS)
    return f"**{name}**" if ours else name


def _cell(results: Results, contest: Contest, name: str, key: str) -> str:
    spread = results.spread(contest.name, name, key)
    if spread is None:
        return ""
    figure = FIGURES[key]
    return _spread(spread, figure.factor, figure.digits)


def _spread(spread: Spread, factor: float = 1.0, digits: int = 2) -> str:
    median, least, most = (
        f"{value * factor:,.{digits}f}"
        for value in (spread.median, spread.least, spread.most)
    )
    return f"{median} ({least}..{most})"


def goals_of(results: Results, *, measured: bool = False) -> Iterator[str]:
    """Write how each goal stands; only of what was measured, if so told."""
    yield "| measure | goal | found | |"
    yield "|---|---|--:|---|"
    for goal in GOALS:
        verdict = goal.verdict(results)
        if verdict.found is None:
            if not measured:
                yield f"| {goal.what} | {_wanted(goal)} | | {verdict} |"
            continue
        yield (
            f"| {goal.what} | {_wanted(goal)} | {_spread(verdict.found)} | {verdict} |"
        )


def _wanted(goal: Goal) -> str:
    if goal.theirs is None:
        return f"{goal.ours}: {FIGURES[goal.figure].head} {goal.wanted}"
    one, other = goal.ours, goal.theirs
    if goal.least is not None and goal.figure not in ("ratio", "rate"):
        one, other = other, one
    return f"{goal.unit}: {one} / {other} {goal.wanted}"
