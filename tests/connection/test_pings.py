"""Pings in flight, matched to their pongs."""

from __future__ import annotations

import anyio

from wsclient.connection.pings import KEPT, Pings


def test_the_latency_is_that_of_the_ping_that_was_answered() -> None:
    pings = Pings()
    payload = pings.sent(10.0)
    assert pings.latency is None
    pings.answered(payload, 10.25)
    assert pings.latency == 0.25


def test_a_pong_answers_all_pings_before_its_own() -> None:
    pings = Pings()
    first, second, third = anyio.Event(), anyio.Event(), anyio.Event()
    pings.sent(1, first)
    payload = pings.sent(2, second)
    pings.sent(3, third)
    pings.answered(payload, 5)
    assert first.is_set()
    assert second.is_set()
    assert not third.is_set()
    assert pings.latency == 3


def test_an_unsolicited_pong_is_a_heartbeat_and_no_more() -> None:
    pings = Pings()
    answered = anyio.Event()
    pings.sent(1, answered)
    pings.answered(b"unsolicited", 2)
    assert pings.latency is None
    assert not answered.is_set()


def test_a_forgotten_ping_is_not_answered() -> None:
    pings = Pings()
    payload = pings.sent(1)
    pings.forget(payload)
    pings.forget(payload)
    pings.answered(payload, 2)
    assert pings.latency is None


def test_a_peer_that_answers_nothing_costs_no_memory_without_bound() -> None:
    pings = Pings()
    waited_for = anyio.Event()
    kept = pings.sent(0, waited_for)
    payloads = [pings.sent(n) for n in range(3 * KEPT)]
    pings.answered(payloads[0], 1)
    assert pings.latency is None
    pings.answered(kept, 2)
    assert waited_for.is_set()


def test_pings_somebody_waits_for_are_all_kept() -> None:
    pings = Pings()
    events = [anyio.Event() for _ in range(KEPT + 2)]
    payloads = [pings.sent(0, event) for event in events]
    pings.answered(payloads[-1], 1)
    assert all(event.is_set() for event in events)
