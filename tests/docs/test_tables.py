"""What the pages state in tables is what the code does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import anyio
import pytest
import tenacity

import wsclient
from wsclient import Attempted, CloseCode, Fatal, Limits, Outcome, Reason, Retry
from wsclient.client.connect import connect
from wsclient.connection import life
from wsclient.errors import (
    ArgumentError,
    CertificateError,
    Facts,
    GiveUp,
    HookError,
    Initiator,
    Phase,
)
from wsclient.supervisor import (
    backlog,
    backoff,
    flow,
    judge,
    outbox,
    policy,
    supervisor,
)
from wsclient.supervisor.lifecycle import TABLE, Input, State
from wsclient.supervisor.seam import Kind
from wsclient.transport.dial import STAGGER

from .pages import names_in, pages, prose_of, table_of

RECONNECTING = "docs/reconnecting.md"


def test_the_lifecycle_is_that_of_the_code() -> None:
    shown = table_of(RECONNECTING, "lifecycle")
    assert shown == [
        [f"`{state}`", *(str(after) if after else "-" for after in row)]
        for state, row in TABLE.items()
    ]
    text = prose_of(pages()[0].parent / RECONNECTING)
    assert " | ".join(f"`{what}`" for what in Input) in text
    assert all(f"| `{state}` | " in text for state in State)


# What is tried again.

F = "fatal at first"


def verdict_of(text: str) -> tuple[Retry | Fatal, Retry]:
    """Return what a cell promises at first, and once something has worked."""
    if F in text:
        return Fatal(), Retry(30, 33)
    if numbers := re.findall(r"(\d+) to (\d+) s", text):
        floor = Retry(*map(float, numbers[0]))
        return floor, floor
    assert text == "tried again"
    return Retry(), Retry()


def judged(outcome: Outcome) -> Retry | Fatal:
    """Return the default's verdict, without its words."""
    verdict = wsclient.classify_default(outcome)
    return Fatal() if isinstance(verdict, Fatal) else verdict


def numbers_in(cell: str) -> set[int]:
    """Return the numbers a cell names, ranges written out."""
    ranges = re.findall(r"(\d+) to (\d+)", cell)
    named = {n for a, b in ranges for n in range(int(a), int(b) + 1)}
    return named | set(map(int, re.findall(r"\d+", cell)))


def every(table: str, numbers: range) -> Iterator[tuple[int, str]]:
    """Give each number with what the table says about it."""
    rows = table_of(RECONNECTING, table)
    *listed, (rest, otherwise) = rows
    assert rest.startswith("every other")
    for number in numbers:
        cells = [cell for names, cell in listed if number in numbers_in(names)]
        assert len(cells) <= 1
        yield number, cells[0] if cells else otherwise


@pytest.mark.parametrize("worked", [False, True])
def test_each_status_is_judged_as_the_table_says(worked: bool) -> None:
    for status, cell in every("statuses", range(200, 600)):
        if status == 401:
            continue  # below
        outcome = Outcome(
            kind=Kind.ATTEMPT,
            reason=Reason.REJECTED,
            phase=Phase.UPGRADE,
            status=status,
            worked=worked,
        )
        assert judged(outcome) == verdict_of(cell)[worked], status


def test_a_401_is_judged_as_the_table_says() -> None:
    def outcome(has_provider: bool, in_a_row: int) -> Outcome:
        return Outcome(
            kind=Kind.ATTEMPT,
            reason=Reason.REJECTED,
            phase=Phase.UPGRADE,
            status=401,
            has_provider=has_provider,
            refused_401_in_a_row=in_a_row,
        )

    [cell] = [
        cell
        for name, cell in table_of(RECONNECTING, "statuses")
        if name.startswith("401")
    ]
    assert cell == f"tried again; two in a row: {F}"
    assert judged(outcome(True, 1)) == Retry()
    assert judged(outcome(True, 2)) == Fatal()
    assert judged(outcome(False, 1)) == Fatal()


@pytest.mark.parametrize("worked", [False, True])
def test_each_close_code_is_judged_as_the_table_says(worked: bool) -> None:
    for code, cell in every("codes", range(1000, 5000)):
        outcome = Outcome(
            kind=Kind.LIFE,
            reason=Reason.PEER_CLOSED,
            phase=Phase.OPEN,
            initiator=Initiator.PEER,
            code=code,
            worked=worked,
        )
        assert judged(outcome) == verdict_of(cell)[worked], code


FACTS = Facts(reason=Reason.TLS, phase=Phase.TLS)


def attempt(reason: Reason, phase: Phase, error: Exception | None = None) -> Outcome:
    return Outcome(kind=Kind.ATTEMPT, reason=reason, phase=phase, error=error)


def prepare(error: Exception) -> Outcome:
    return policy.outcome_of(error, Kind.PREPARE)


def lived(reason: Reason, by: Initiator, code: int | None = None) -> Outcome:
    return Outcome(
        kind=Kind.LIFE, reason=reason, phase=Phase.OPEN, initiator=by, code=code
    )


OTHERS: dict[str, list[Outcome]] = {
    "DNS failure, connection refused, TLS failure": [
        attempt(Reason.DNS, Phase.DNS),
        attempt(Reason.REFUSED, Phase.TCP),
        attempt(Reason.TLS, Phase.TLS),
    ],
    "a timeout, in any phase": [
        *(attempt(Reason.OPEN_TIMEOUT, phase) for phase in Phase),
        prepare(TimeoutError()),
    ],
    "the connection broke without a Close frame": [
        lived(Reason.EOF, Initiator.PEER),
        lived(Reason.RESET, Initiator.PEER),
        lived(Reason.LIVENESS, Initiator.US),
    ],
    "we ended the connection, with whatever code": [
        lived(Reason.PROTOCOL_ERROR, Initiator.US, code) for code in range(1000, 5000)
    ],
    "a provider of `url` or `headers` raised": [attempt(Reason.LOCAL, Phase.PROVIDER)],
    "`on_connect` or hello raised `OSError`, `TimeoutError` or a `WebSocketError`": [
        prepare(OSError()),
        prepare(TimeoutError()),
        prepare(wsclient.ReceiveTimeout()),
    ],
    "`on_connect` or hello raised anything else": [prepare(HookError())],
    "the server's certificate was not accepted": [
        attempt(Reason.TLS, Phase.TLS, CertificateError(FACTS))
    ],
    "the server's answer broke RFC 6455, or chose what was not offered": [
        attempt(Reason.PROTOCOL_ERROR, Phase.UPGRADE)
    ],
    "a provider or hook raised `GiveUp`": [
        attempt(Reason.LOCAL, Phase.PROVIDER, GiveUp()),
        prepare(GiveUp()),
    ],
    "an argument cannot be used, or a call is not allowed": [
        prepare(ArgumentError()),
        attempt(Reason.LOCAL, Phase.PROVIDER, ArgumentError()),
    ],
}


def test_every_other_outcome_is_judged_as_the_table_says() -> None:
    rows = dict(table_of(RECONNECTING, "others"))
    assert set(rows) == set(OTHERS)
    for name, cell in rows.items():
        for outcome in OTHERS[name]:
            expected = Fatal() if "fatal" in cell else Retry()
            assert judged(outcome) == expected, (name, outcome)


# Numbers and defaults.


def keywords(call: Callable[..., object]) -> dict[str, Any]:
    """Return the arguments that have a default, with it."""
    parameters = inspect.signature(call).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def test_every_default_of_the_client_is_stated() -> None:
    rows = table_of(RECONNECTING, "defaults")
    defaults = keywords(wsclient.Client)
    assert [names_in(row[0]) for row in rows] == [[name] for name in defaults]
    names = {"tenacity": tenacity, "Limits": Limits}
    for (name, default), row in zip(defaults.items(), rows, strict=True):
        if name == "random":
            assert f"`{type(default).__name__}()`" == row[1]
        else:
            [stated] = names_in(row[1])
            assert eval(stated, names) == default, name


def test_connect_differs_from_the_client_as_it_is_said() -> None:
    of_client, of_connect = keywords(wsclient.Client), keywords(connect)
    assert of_connect.keys() < of_client.keys()
    different = {name for name, value in of_connect.items() if value != of_client[name]}
    assert different == {"slow_timeout"}
    assert of_connect["slow_timeout"] is None


NUMBERS = {
    "lives without proof of life in a flap window": backoff.LIVES,
    "length of the flap window": backoff.WINDOW,
    "floor for what has worked and is refused now": policy.FLOOR,
    "attempts and lives that an error remembers": judge.HISTORY,
    "events that an observer may be behind": supervisor.EVENTS,
    "replies of a subprotocol that may wait to be sent": outbox.MAX_REPLIES,
    "gaps in one queue before neighbours are told as one": backlog.MAX_GAPS,
    "seconds until the next address of a host is tried too": STAGGER,
    "seconds for the peer to end TCP after both Close frames": life.LINGER,
}


def test_the_numbers_are_those_of_the_code() -> None:
    rows = dict(table_of(RECONNECTING, "numbers"))
    stated = {
        name: float(cell.replace(",", "").removesuffix(" s"))
        for name, cell in rows.items()
    }
    assert stated == NUMBERS


def test_the_words_of_overflow_and_when_down_are_all_there() -> None:
    for table, words in ("overflow", flow.Overflow), ("when_down", outbox.WhenDown):
        rows = table_of(RECONNECTING, table)
        assert [names_in(row[0]) for row in rows] == [[f'"{word}"'] for word in words]


def test_the_limits_are_those_of_the_code() -> None:
    rows = table_of("docs/security.md", "limits")
    stated = {names_in(row[0])[0]: eval(names_in(row[1])[0]) for row in rows}
    served = inspect.signature(wsclient.serve).parameters
    bounds = {name: getattr(Limits(), name) for name in Limits.__slots__}
    assert set(bounds) <= set(stated)
    bounds |= {name: served[name].default for name in set(stated) - set(bounds)}
    assert stated == bounds
    assert {name for name in served if name.startswith("max_")} <= set(stated)


def test_the_settings_of_compression_are_those_of_the_code() -> None:
    rows = table_of("docs/compression.md", "deflate")
    stated = {names_in(row[0])[0]: eval(names_in(row[1])[0]) for row in rows}
    assert stated == asdict(wsclient.Deflate())


# Errors.


def exceptions() -> dict[str, type[Exception]]:
    """Return every exception that the library hands on."""
    return {
        name: value
        for name in wsclient.__all__
        if isinstance(value := getattr(wsclient, name), type)
        and issubclass(value, Exception)
    }


def test_every_exception_is_explained_and_none_that_is_not_there() -> None:
    rows = table_of("docs/errors.md", "exceptions")
    assert {names_in(row[0])[0] for row in rows} == set(exceptions())
    for name, also, *_ in rows:
        kind = exceptions()[names_in(name)[0]]
        bases = {base.__name__ for base in kind.__mro__}
        for base in names_in(also):
            assert base.removeprefix("anyio.") in bases, name
        foreign = {"ValueError", "TypeError", "RuntimeError", "TimeoutError"}
        foreign |= {e.__name__ for e in (anyio.EndOfStream, anyio.WouldBlock)}
        foreign |= {anyio.BrokenResourceError.__name__}
        stated = {base.removeprefix("anyio.") for base in names_in(also)}
        assert bases & foreign <= stated, name


def test_every_reason_is_explained_and_none_that_is_not_there() -> None:
    rows = table_of("docs/errors.md", "reasons")
    assert [names_in(row[0]) for row in rows] == [[reason] for reason in Reason]
    assert all(len(row) == 4 and all(row) for row in rows)


def test_every_close_code_with_a_name_is_there() -> None:
    rows = table_of("docs/errors.md", "codes")
    assert [row[:3] for row in rows] == [
        [str(int(code)), f"`{code.name}`", code.meaning] for code in CloseCode
    ]


def test_every_fact_is_explained() -> None:
    rows = table_of("docs/errors.md", "facts")
    assert {names_in(row[0])[0] for row in rows} == {*Facts.__slots__, "code"}
    assert Attempted.__slots__  # what ``attempts`` has
