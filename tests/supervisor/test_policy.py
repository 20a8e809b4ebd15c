"""Every row of the table of what is retried, and every way to ask for a delay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from wsclient.errors import (
    ArgumentError,
    AttemptTimeout,
    CertificateError,
    Close,
    ConcurrencyError,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    GiveUp,
    HookError,
    Initiator,
    LocalProtocolError,
    MessageTypeError,
    Phase,
    Reason,
    ReceiveTimeout,
)
from wsclient.supervisor.policy import (
    classify_default,
    needs_attention,
    outcome_of,
    parse_retry_after,
)
from wsclient.supervisor.seam import Fatal, Kind, Outcome, Retry

from .network import refused, rejected


def facts(reason: Reason, phase: Phase = Phase.OPEN, **more: Any) -> Facts:
    return Facts(reason=reason, phase=phase, **more)


def closed(code: int, by: Initiator = Initiator.PEER) -> ConnectionClosed:
    # Whoever fails the connection sends the code; the other side may echo any.
    return ConnectionClosed(
        facts(
            Reason.PEER_CLOSED,
            initiator=by,
            received=Close(code if by is Initiator.PEER else 1000),
            sent=Close(code if by is Initiator.US else 1000),
        )
    )


def lost(reason: Reason) -> ConnectionLost:
    return ConnectionLost(facts(reason))


PLAIN_RETRY = [
    (refused(), Kind.ATTEMPT),
    (ConnectError(facts(Reason.DNS, Phase.DNS)), Kind.ATTEMPT),
    (ConnectError(facts(Reason.EOF, Phase.UPGRADE)), Kind.ATTEMPT),
    (ConnectError(facts(Reason.RESET, Phase.TLS)), Kind.ATTEMPT),
    (ConnectError(facts(Reason.TLS, Phase.TLS)), Kind.ATTEMPT),
    (OSError("no route to host"), Kind.ATTEMPT),
    (TimeoutError(), Kind.ATTEMPT),
    (HookError("the provider raised"), Kind.ATTEMPT),
    *(
        (AttemptTimeout(facts(Reason.OPEN_TIMEOUT, phase)), Kind.ATTEMPT)
        for phase in Phase
    ),
    *((rejected(status), Kind.ATTEMPT) for status in (408, 425, 429, 500, 502, 503)),
    *((rejected(status), Kind.ATTEMPT) for status in (504, 520, 599)),
    *((closed(code), Kind.LIFE) for code in (1000, 1001, 1004, 1005, 1006, 1011)),
    *((closed(code), Kind.LIFE) for code in (1014, 1015, 2000, 3001, 4000, 4999)),
    *(
        (closed(code, Initiator.US), Kind.LIFE)
        for code in (1002, 1003, 1007, 1008, 1009, 1010, 1012, 1013, 3000, 3003)
    ),
    *((lost(reason), Kind.LIFE) for reason in Reason),
    (OSError("from on_connect"), Kind.PREPARE),
    (TimeoutError(), Kind.PREPARE),
    (ReceiveTimeout("late"), Kind.PREPARE),
    (AttemptTimeout(facts(Reason.PREPARE_FAILED, Phase.PREPARING)), Kind.PREPARE),
    (lost(Reason.EOF), Kind.PREPARE),
]

FATAL_UNTIL_IT_WORKED = [
    (CertificateError(facts(Reason.TLS, Phase.TLS)), Kind.ATTEMPT),
    *(
        (rejected(status), Kind.ATTEMPT)
        for status in (400, 401, 402, 403, 404, 405, 406, 407, 410, 426, 451, 499)
    ),
    *((rejected(status), Kind.ATTEMPT) for status in (100, 200, 204, 301, 302, 308)),
    (ConnectError(facts(Reason.REJECTED, Phase.UPGRADE)), Kind.ATTEMPT),
    (ConnectError(facts(Reason.PROTOCOL_ERROR, Phase.UPGRADE)), Kind.ATTEMPT),
    *((closed(code), Kind.LIFE) for code in (1002, 1003, 1007, 1008, 1009, 1010)),
    *((closed(code), Kind.LIFE) for code in (3000, 3003)),
    (HookError("on_connect raised"), Kind.PREPARE),
]

ALWAYS_FATAL = [
    (GiveUp("enough"), Kind.ATTEMPT),
    (GiveUp("enough"), Kind.PREPARE),
    (ArgumentError("url"), Kind.ATTEMPT),
    (MessageTypeError("dict"), Kind.PREPARE),
    (ConcurrencyError("send"), Kind.PREPARE),
    (LocalProtocolError("over"), Kind.PREPARE),
    (ZeroDivisionError("a bug"), Kind.ATTEMPT),
]


def named(case: tuple[Exception, Kind]) -> str:
    error, kind = case
    return f"{kind} {type(error).__name__} {str(error)[:40]}"


@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("case", PLAIN_RETRY, ids=named)
def test_what_may_pass_is_retried(case: tuple[Exception, Kind], worked: bool) -> None:
    outcome = outcome_of(*case, worked=worked)
    assert classify_default(outcome) == Retry()
    assert needs_attention(outcome) is None


@pytest.mark.parametrize("case", FATAL_UNTIL_IT_WORKED, ids=named)
def test_what_never_worked_is_fatal_and_what_has_worked_is_retried(
    case: tuple[Exception, Kind],
) -> None:
    fatal = classify_default(outcome_of(*case))
    assert isinstance(fatal, Fatal)
    assert fatal.why
    verdict = classify_default(outcome_of(*case, worked=True))
    assert isinstance(verdict, Retry)
    assert verdict.at_least == 30.0
    assert verdict.at_most == pytest.approx(33.0)
    assert needs_attention(outcome_of(*case, worked=True)) == fatal.why


@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("case", ALWAYS_FATAL, ids=named)
def test_giving_up_and_misuse_are_fatal(
    case: tuple[Exception, Kind], worked: bool
) -> None:
    assert isinstance(classify_default(outcome_of(*case, worked=worked)), Fatal)


def test_the_servers_wish_for_a_delay_is_a_floor() -> None:
    assert classify_default(outcome_of(closed(1012), Kind.LIFE)) == Retry(1.0, 5.0)
    assert classify_default(outcome_of(closed(1013), Kind.LIFE)) == Retry(30.0, 60.0)
    for status in 429, 503:
        outcome = outcome_of(rejected(status, retry_after="7"), Kind.ATTEMPT)
        verdict = classify_default(outcome)
        assert isinstance(verdict, Retry)
        assert verdict.at_least == 7.0
        assert verdict.at_most == pytest.approx(7.7)


@pytest.mark.parametrize("status", [408, 425, 500, 502])
def test_retry_after_counts_only_with_429_and_503(status: int) -> None:
    outcome = outcome_of(rejected(status, Retry_After="7"), Kind.ATTEMPT)
    assert outcome.retry_after is None


def test_retry_after_is_capped() -> None:
    outcome = outcome_of(
        rejected(503, Retry_After="9" * 400), Kind.ATTEMPT, max_retry_after=300.0
    )
    assert outcome.retry_after == 300.0


def test_the_first_usable_retry_after_counts() -> None:
    error = rejected(503)
    error.headers = (
        ("Server", "x"),
        ("RETRY-AFTER", "soon"),
        ("Retry-After", "5"),
        ("Retry-After", "9"),
    )
    assert outcome_of(error, Kind.ATTEMPT).retry_after == 5.0
    error.headers = (("retry-after", "soon"),)
    assert outcome_of(error, Kind.ATTEMPT).retry_after is None


NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        ("Sunday, 22-Nov-26 12:01:30 GMT", 90.0),
        (format_datetime(NOW - timedelta(seconds=1), usegmt=True), None),
        ("Sun, 22 Nov 2026 12:01:30 -0000", None),
        ("Sun, 99 Nov 2026 12:01:30 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_an_http_date(
    value: str, seconds: float | None
) -> None:
    assert parse_retry_after(value, NOW.timestamp()) == seconds


def test_one_401_is_a_reason_to_ask_the_provider_again_two_are_not() -> None:
    first = outcome_of(rejected(401), Kind.ATTEMPT, has_provider=True)
    assert first.refused_401_in_a_row == 1
    assert classify_default(first) == Retry()
    second = outcome_of(
        rejected(401), Kind.ATTEMPT, has_provider=True, refused_401_in_a_row=1
    )
    assert second.refused_401_in_a_row == 2
    assert isinstance(classify_default(second), Fatal)
    assert isinstance(classify_default(replace(first, has_provider=False)), Fatal)
    other = outcome_of(rejected(503), Kind.ATTEMPT, refused_401_in_a_row=1)
    assert other.refused_401_in_a_row == 0


def test_an_outcome_carries_the_facts_of_the_error() -> None:
    error = closed(1008)
    outcome = outcome_of(error, Kind.LIFE, proven=True, worked=True)
    assert outcome == Outcome(
        kind=Kind.LIFE,
        reason=Reason.PEER_CLOSED,
        phase=Phase.OPEN,
        initiator=Initiator.PEER,
        code=1008,
        proven=True,
        worked=True,
        error=error,
    )
    assert outcome_of(closed(1002, Initiator.US), Kind.LIFE).code == 1002
    assert outcome_of(lost(Reason.EOF), Kind.LIFE).code is None
    assert outcome_of(refused(), Kind.ATTEMPT).phase is Phase.TCP
    hook = outcome_of(HookError("x"), Kind.PREPARE)
    assert (hook.reason, hook.phase) == (Reason.PREPARE_FAILED, Phase.PREPARING)
    provider = outcome_of(HookError("x"), Kind.ATTEMPT)
    assert (provider.reason, provider.phase) == (Reason.LOCAL, Phase.PROVIDER)
    assert outcome_of(TimeoutError(), Kind.ATTEMPT).reason is Reason.OPEN_TIMEOUT


@pytest.mark.parametrize("kind", Kind)
def test_the_table_is_total(kind: Kind) -> None:
    for reason in Reason:
        for initiator in Initiator:
            for status in (None, 101, 401, 503):
                for code in (None, *range(1000, 5000)):
                    if code is not None and (status or reason is not Reason.EOF):
                        continue
                    outcome = Outcome(
                        kind=kind,
                        reason=reason,
                        phase=Phase.OPEN,
                        initiator=initiator,
                        status=status,
                        code=code,
                    )
                    assert isinstance(classify_default(outcome), Retry | Fatal)
