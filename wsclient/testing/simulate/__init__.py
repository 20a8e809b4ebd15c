"""
Proves the client's promises: stories drawn from seeds, in virtual time, all judged.

::

    python -m wsclient.testing.simulate --seeds 500

"""

from __future__ import annotations

from .run import Report, run
from .shrink import shrunk
from .story import KINDS, Settings, Step, Story, draw, read
from .world import Violation, World

__all__ = (
    "KINDS",
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
