"""Gaps side by side: what is told as one."""

from __future__ import annotations

from .seam import Gap

__all__ = ("joined_gaps", "merged_gap")


def merged_gap(first: Gap, second: Gap) -> Gap | None:
    """Join gaps while one connection lived; None if one of them is of another sort."""
    if first.offline_for or second.offline_for or first.generation != second.generation:
        return None
    if not (first.recovered and second.recovered):
        return None
    return joined_gaps(first, second)


def joined_gaps(first: Gap, second: Gap) -> Gap:
    """Tell two neighbours as one, whatever they are."""
    unknown = first.lost is None or second.lost is None
    return Gap(
        generation=max(first.generation, second.generation),
        reason=second.reason,
        offline_for=first.offline_for + second.offline_for,
        lost=None if unknown else (first.lost or 0) + (second.lost or 0),
        recovered=second.recovered,
    )
