"""Warnings about floods that do not become a flood of the log."""

from __future__ import annotations

from logging import Logger

__all__ = ("PAUSE", "Notices")

PAUSE = 60.0
"""Seconds from one warning to the next of its kind."""


class Notices:
    """Says each kind of warning at most once a minute, and how many it left out."""

    __slots__ = ("_kinds", "_logger")

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        # By text: when it may be said again, and how often it was not.
        self._kinds: dict[str, tuple[float, int]] = {}

    def warn(self, now: float, text: str, *arguments: object) -> None:
        """Say it, unless this text was said less than a minute before ``now``."""
        until, left_out = self._kinds.get(text, (now, 0))
        if now < until:
            self._kinds[text] = until, left_out + 1
            return
        self._kinds[text] = now + PAUSE, 0
        if left_out:
            text += " (%d more since the last warning)"
            arguments = (*arguments, left_out)
        self._logger.warning(text, *arguments)
