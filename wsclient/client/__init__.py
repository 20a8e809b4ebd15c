"""
What users hold: one connection, or one that comes back.

The latter is in :mod:`.client`: who needs one connection need not load the supervisor.

"""

from .connect import connect

__all__ = ("connect",)
