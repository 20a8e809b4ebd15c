"""Fleets: how up to a million clients come back, simulated without a socket."""

from __future__ import annotations

from .figures import Figures
from .scenarios import SCENARIOS, Scenario
from .simulation import simulate
from .strategies import STRATEGIES, Pauses, Strategy, ours, shipped, supervised

__all__ = (
    "SCENARIOS",
    "STRATEGIES",
    "Figures",
    "Pauses",
    "Scenario",
    "Strategy",
    "ours",
    "shipped",
    "simulate",
    "supervised",
)
