"""What a connection writes to the log at DEBUG, cut short and without secrets."""

from __future__ import annotations

from logging import DEBUG, getLogger

from ..protocol import Part, Rejection, Request, Response

__all__ = ("DEBUG", "logger", "shown")

CUT = 75  # characters of a message in the log

logger = getLogger("wsclient.connection")


def shown(what: object) -> str:
    """Return a message or an event as the log shows it."""
    match what:
        case str() | bytes() if len(what) > CUT:
            return f"{what[:CUT]!r}... ({len(what)} in all)"
        case Part(data=data, fin=fin):
            return f"{'the last' if fin else 'a'} part {shown(data)}"
        case Request() | Response() | Rejection():
            return type(what).__name__  # targets and headers hold secrets
    return repr(what)
