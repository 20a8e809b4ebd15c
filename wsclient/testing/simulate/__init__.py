"""
Proves the client's promises: stories drawn from seeds, in virtual time, all judged.

::

    python -m wsclient.testing.simulate --seeds 500

"""

from __future__ import annotations

from .judge import Judge, Violation
from .run import Report, run
from .shrink import shrunk
from .story import KINDS, Settings, Step, Story, draw, read
from .world import World

__all__ = (
    "KINDS",
    "Judge",
    "Report",
    "Settings",
    "Step",
    "Story",
    "Violation",
    "World",
    "draw",
    "read",
    "run",
    "shrunk",
)
