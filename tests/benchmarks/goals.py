"""What we want to reach, each a ratio within the rounds of one contest, or a bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .contests import CONTESTS, FIGURES
from .results import Results, Spread

__all__ = ("GOALS", "Goal", "Verdict")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a goal stands after a run; None: it was not measured."""

    found: Spread | None
    met: bool | None

    def __str__(self) -> str:
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """
    One figure of ours in one contest, beside theirs or by itself.

    With ``least`` we are to be so many times as good as they are: less CPU, a shorter
    time, more compression. With ``most`` our figure is at most so many times theirs, or
    without ``theirs`` at most so much.

    """

    what: str
    contest: str
    ours: str
    theirs: str | None = None
    figure: str = "cpu"
    least: float | None = None
    most: float | None = None

    def verdict(self, results: Results) -> Verdict:
        if self.theirs is None:
            found = results.spread(self.contest, self.ours, self.figure)
            if found is not None:
                found = found.times(FIGURES[self.figure].factor)
        else:
            one, other = self.sides
            ratios = results.ratios(self.contest, one, other, self.figure)
            found = Spread.of(ratios) if ratios else None
        if found is None:
            return Verdict(None, None)
        shown = round(found.median, 2)
        if self.least is not None:
            return Verdict(found, shown >= self.least)
        assert self.most is not None
        return Verdict(found, shown <= self.most)

    @property
    def wanted(self) -> str:
        if self.least is not None:
            return f">= {self.least:g}"
        return f"<= {self.most:g}"

    @property
    def sides(self) -> tuple[str, str]:
        """Whose figure is divided by whose."""
        assert self.theirs is not None
        if self.least is not None and self.figure != "ratio":
            return self.theirs, self.ours
        return self.ours, self.theirs


def _goals() -> Iterator[Goal]:
    yield from _against_picows()
    yield from _compressed()
    for contest in ("trip-tls-32B", *_names("receive-tls")):
        for theirs in ("websockets", "aiohttp"):
            yield Goal(
                what=CONTESTS[contest].what,
                contest=contest,
                ours="wsclient",
                theirs=theirs,
                most=0.8,
            )
    yield from _of_fleets()
    yield from _of_trio()
    yield from _of_pure_python()
    yield from _of_supervision()


def _against_picows() -> Iterator[Goal]:
    for contest, theirs, least in (
        ("receive-64B", "picows", 1.0),
        ("batches", "picows callbacks", 1.5),
        ("send-64B", "picows", 1.0),
        ("send-1KiB", "picows", 1.0),
        ("send-many", "picows", 5.0),
    ):
        yield Goal(
            what=CONTESTS[contest].what,
            contest=contest,
            ours="wsclient",
            theirs=theirs,
            least=least,
        )
    for theirs, most in {"picows": 1.0, "blocking socket": 1.15}.items():
        yield Goal(
            what=CONTESTS["trip-32B"].what,
            contest="trip-32B",
            ours="wsclient",
            theirs=theirs,
            figure="p50",
            most=most,
        )


def _compressed() -> Iterator[Goal]:
    """At the level the other has; less CPU counts only at no worse a ratio."""
    for ours in ("wsclient", "wsclient[speed]"):
        for contest, rivals in {
            "receive-deflate-1KiB": {"picows": ours, "aiohttp": ours},
            "send-deflate-1KiB": {"picows": ours, "aiohttp": f"{ours} level 1"},
        }.items():
            for theirs, beside in rivals.items():
                for figure, least in {
                    "cpu": 1.5 if theirs == "aiohttp" else 1.0,
                    "ratio": 1.0,
                }.items():
                    if figure == "ratio" and contest.startswith("receive"):
                        continue  # the peer compresses
                    yield Goal(
                        what=CONTESTS[contest].what,
                        contest=contest,
                        ours=beside,
                        theirs=theirs,
                        figure=figure,
                        least=least,
                    )


def _names(start: str) -> list[str]:
    return [name for name in CONTESTS if name.startswith(start)]


def _of_fleets() -> Iterator[Goal]:
    for contest, theirs, figure, most in (
        ("at-once", "websockets", "wall_ms", 1.0),
        ("at-once", "websockets", "cpu_ms", 1.0),
        ("idle", "aiohttp", "memory", 1.0),
        ("idle", "websockets", "load", 0.5),
        ("import", "websockets", "cpu_ms", 0.9),
    ):
        yield Goal(
            what=CONTESTS[contest].what,
            contest=contest,
            ours="wsclient",
            theirs=theirs,
            figure=figure,
            most=most,
        )
    for contest, ours, figure, most in (
        ("drop", "Client", "t95", 0.2),
        ("drop", "Client", "late", 0.2),
        ("outage", "Client", "late", 0.2),
        ("outage", "Client", "share", 15),
    ):
        yield Goal(
            what=CONTESTS[contest].what,
            contest=contest,
            ours=ours,
            figure=figure,
            most=most,
        )


def _of_trio() -> Iterator[Goal]:
    for contest, figure in (
        ("receive-64B", "cpu"),
        ("batches", "cpu"),
        ("send-64B", "cpu"),
        ("send-many", "cpu"),
        ("trip-32B", "p50"),
    ):
        yield Goal(
            what=f"trio: {CONTESTS[contest].what}",
            contest=contest,
            ours="wsclient trio",
            theirs="wsclient",
            figure=figure,
            most=1.15,
        )


def _of_pure_python() -> Iterator[Goal]:
    """Ahead of websockets wherever both are, but in sending 64 KiB."""
    for contest in CONTESTS.values():
        both = {"wsclient pure", "websockets"} <= {*contest.entrants}
        if both and not (contest.measure == "send" and contest.size == 65_536):
            yield Goal(
                what=f"no compiler: {contest.what}",
                contest=contest.name,
                ours="wsclient pure",
                theirs="websockets",
                figure=contest.figures[0],
                most=1.0,
            )


def _of_supervision() -> Iterator[Goal]:
    for contest in CONTESTS.values():
        if contest.name.startswith("supervised-"):
            ours, theirs = contest.entrants[1], contest.entrants[0]
            yield Goal(
                what=f"supervised: {contest.what}",
                contest=contest.name,
                ours=ours,
                theirs=theirs,
                most=1.05,
            )
    for ours, theirs in (
        ("10 subscriptions", "by hand, 10"),
        ("10,000 subscriptions", "10 subscriptions"),
    ):
        yield Goal(
            what=CONTESTS["routing"].what,
            contest="routing",
            ours=ours,
            theirs=theirs,
            most=1.05,
        )


GOALS: tuple[Goal, ...] = tuple(_goals())
