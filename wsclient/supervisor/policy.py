"""Outcomes and what follows from them: the table of what is retried."""

from __future__ import annotations

import email.utils
from collections.abc import Iterable

from ..errors import (
    ArgumentError,
    CertificateError,
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    GiveUp,
    HandshakeRejected,
    HookError,
    Initiator,
    LocalProtocolError,
    MessageTypeError,
    Phase,
    Reason,
    WebSocketError,
)
from .seam import Fatal, Kind, Outcome, Retry

__all__ = (
    "classify_default",
    "forget_frames",
    "needs_attention",
    "outcome_of",
    "parse_retry_after",
    "spread",
)

FLOOR = 30.0  # seconds between tries at a server that refuses what has worked
SPREAD = 1.1  # how far above a floor the delays of a fleet are spread

MISUSE = (ArgumentError, ConcurrencyError, LocalProtocolError, MessageTypeError)
"""A mistake in the program: trying again cannot mend it."""

# RFC 6455, 7.4.1, and the IANA registry: what they mean when the peer sends them.
CODES_ABOUT_US = {
    1002: "the server says that we broke the protocol",
    1003: "the server does not take this type of data",
    1007: "the server says that our data did not fit their type",
    1009: "the server says that our message was too big",
    1010: "the server needs an extension that we do not offer",
    1008: "the server says that we violate its policy",
    3000: "the server says that we are not authorized",
    3003: "the server forbids it",
}
CODES_WITH_DELAY = {1012: Retry(1.0, 5.0), 1013: Retry(30.0, 60.0)}
PASSING_STATUSES = frozenset({408, 425, 429})


def spread(seconds: float) -> Retry:
    """Wait at least so long, spread upwards so that a fleet does not come at once."""
    return Retry(seconds, seconds * SPREAD)


def needs_attention(outcome: Outcome) -> str | None:
    """
    Say why trying again is unlikely to help, or None where it may.

    These are the outcomes that are fatal until something has worked.

    """
    if outcome.kind is Kind.LIFE:
        if outcome.initiator is Initiator.US or outcome.code is None:
            return None
        return CODES_ABOUT_US.get(outcome.code)
    if outcome.kind is Kind.PREPARE:
        if isinstance(outcome.error, HookError):
            return "on_connect or the subprotocol's hello raised"
        return None
    if isinstance(outcome.error, CertificateError):
        return "the server's certificate was not accepted"
    if outcome.status is not None:
        return _attention_to_status(outcome)
    if outcome.reason in {Reason.REJECTED, Reason.PROTOCOL_ERROR}:
        return "the server did not answer the opening handshake as a WebSocket server"
    return None


def _attention_to_status(outcome: Outcome) -> str | None:
    status = outcome.status
    assert status is not None
    if status in PASSING_STATUSES or status >= 500:
        return None
    if status == 401 and outcome.has_provider and outcome.refused_401_in_a_row < 2:
        return None  # the provider may bring a fresh token
    return f"the server refused the opening handshake with HTTP status {status}"


def classify_default(outcome: Outcome) -> Retry | Fatal:
    """
    Judge any outcome: what never worked is fatal, what has worked is retried.

    Pure and total. A wish of the server (Retry-After, 1012, 1013) is a floor.

    """
    if isinstance(outcome.error, GiveUp):
        return Fatal("a provider or a hook gave up")
    if isinstance(outcome.error, MISUSE):
        return Fatal("the program is wrong, not the network")
    if outcome.kind is Kind.ATTEMPT and not isinstance(
        outcome.error, WebSocketError | OSError | None
    ):
        return Fatal("connecting raised what it should not")
    why = needs_attention(outcome)
    if why is not None:
        return spread(FLOOR) if outcome.worked else Fatal(why)
    if outcome.retry_after is not None:
        return spread(outcome.retry_after)
    if outcome.kind is Kind.LIFE and outcome.initiator is not Initiator.US:
        return CODES_WITH_DELAY.get(outcome.code or 0, Retry())
    return Retry()


def forget_frames(error: BaseException | None) -> None:
    """
    Let go of the frames through which an error came, and those behind it.

    They hold the attempt, which holds how the one before it ended, and so on: failing
    for ever would fill the memory.

    """
    errors = [error]
    for one in errors:
        if one is not None:
            one.__traceback__ = None
            behind = one.__cause__, one.__context__, *getattr(one, "exceptions", ())
            errors += [other for other in behind if other not in errors]


def parse_retry_after(value: str, now: float) -> float | None:
    """
    Read a Retry-After field: seconds or an HTTP-date (RFC 9110, 10.2.3).

    ``now`` is in seconds since the epoch. What is malformed, negative or in the past
    gives None.

    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
        seconds = when.timestamp() - now
    except (IndexError, OverflowError, TypeError, ValueError):
        return None
    # HTTP-dates are in GMT and say so; without a zone it is no HTTP-date.
    return seconds if when.tzinfo is not None and seconds >= 0 else None


def _retry_after(
    headers: Iterable[tuple[str, str]], now: float, cap: float
) -> float | None:
    for name, value in headers:
        if name.lower() == "retry-after":
            seconds = parse_retry_after(value, now)
            if seconds is not None:
                return min(seconds, cap)
    return None


def outcome_of(
    error: BaseException,
    kind: Kind,
    *,
    proven: bool = False,
    worked: bool = False,
    has_provider: bool = False,
    refused_401_in_a_row: int = 0,
    now: float = 0.0,
    max_retry_after: float = 300.0,
) -> Outcome:
    """
    Make an outcome of what an attempt or a life ended with.

    ``refused_401_in_a_row`` counts those before this one, ``now`` is in seconds since
    the epoch.

    """
    reason, initiator = Reason.LOCAL, Initiator.US
    phase = Phase.PREPARING if kind is Kind.PREPARE else Phase.PROVIDER
    status = code = retry_after = None
    refused = 0
    match error:
        case HandshakeRejected():
            reason, phase = error.reason, error.phase
            initiator = error.initiator
            status = error.status
            refused = refused_401_in_a_row + 1 if status == 401 else 0
            if status in {429, 503}:
                retry_after = _retry_after(error.headers, now, max_retry_after)
        case ConnectionClosed() | ConnectionLost():
            reason, phase = error.reason, error.phase
            initiator = error.initiator
            close = error.sent if initiator is Initiator.US else error.received
            code = close.code if close else None
        case ConnectError():
            reason, phase = error.reason, error.phase
            initiator = error.initiator
        case _ if kind is Kind.PREPARE:
            reason = Reason.PREPARE_FAILED
        case TimeoutError():
            reason = Reason.OPEN_TIMEOUT
    return Outcome(
        kind=kind,
        reason=reason,
        phase=phase,
        initiator=initiator,
        status=status,
        code=code,
        proven=proven,
        worked=worked,
        retry_after=retry_after,
        has_provider=has_provider,
        refused_401_in_a_row=refused,
        error=error,
    )
