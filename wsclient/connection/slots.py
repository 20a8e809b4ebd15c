"""What a connection remembers, by name."""

from __future__ import annotations

__all__ = ("Slots",)


class Slots:
    """
    The attributes of a connection; :class:`Life` and its bases set and explain them.

    Most connections are idle most of the time: in a ``__dict__`` so many attributes
    would take three times the memory. The classes between this one and the connection
    have no slots of their own, or they could not be combined.

    """

    __slots__ = (
        "_backlog",
        "_blocked",
        "_calls",
        "_cause",
        "_checkpoint",
        "_clean",
        "_concluded",
        "_current",
        "_debug",
        "_discarding",
        "_emptied",
        "_endpoint",
        "_facts",
        "_failing",
        "_fed",
        "_feeding",
        "_granted",
        "_host",
        "_leaving",
        "_low",
        "_name",
        "_opening",
        "_over",
        "_parts",
        "_phase",
        "_pings",
        "_progress",
        "_queue",
        "_reading",
        "_reads",
        "_receiving",
        "_sender",
        "_sink",
        "_standing",
        "_taken",
        "_tasks",
        "_thread",
        "_time",
        "_timeouts",
        "_timer",
        "_timer_at",
        "_together",
        "_turn",
        "_unsent",
        "_wanted",
        "_watch",
        "_wire",
        "_written",
    )
