"""Who may come in: exact bounds, and no address that shuts out another."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import ArgumentError
from wsclient.server.admission import Admission, Guest, Refusal, neighbourhood

A, B, C = (("192.0.2.1", 1), ("192.0.2.2", 1), ("192.0.2.3", 1))
UNIX = ""


def let_in(admission: Admission, address: tuple[str, int] | str) -> Guest:
    guest = admission.arrive(address)
    assert guest is not None
    return guest


def admitted(admission: Admission, address: tuple[str, int] | str) -> Guest:
    guest = let_in(admission, address)
    assert guest.admit() is None
    guest.settle()
    return guest


# -- what is one address ----------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(
    one: str, other: str, same: bool
) -> None:
    assert (neighbourhood((one, 1)) == neighbourhood((other, 2))) is same


def test_a_unix_socket_has_no_address() -> None:
    assert neighbourhood("/run/feed.sock") is None
    assert neighbourhood("") is None


# -- connections ------------------------------------------------------------------


def test_the_number_of_connections_is_exact_and_a_place_comes_back() -> None:
    admission = Admission(max_connections=2)
    first = admitted(admission, A)
    admitted(admission, B)
    third = let_in(admission, C)
    assert third.admit() is Refusal.FULL
    third.leave()
    first.leave()
    assert let_in(admission, C).admit() is None


def test_the_number_of_connections_of_an_address_is_exact() -> None:
    admission = Admission(max_connections_per_address=2)
    first = admitted(admission, A)
    admitted(admission, A)
    third = let_in(admission, A)
    assert third.admit() is Refusal.CROWDED
    assert let_in(admission, B).admit() is None
    first.leave()
    assert third.admit() is None


def test_a_full_server_tells_that_rather_than_whose_fault_it_is() -> None:
    admission = Admission(max_connections=1, max_connections_per_address=1)
    admitted(admission, A)
    assert let_in(admission, A).admit() is Refusal.FULL
    assert let_in(admission, B).admit() is Refusal.FULL


def test_who_has_no_address_counts_for_the_whole_alone() -> None:
    admission = Admission(
        max_connections=3, max_connections_per_address=1, max_handshakes=2
    )
    for _ in range(3):
        admitted(admission, UNIX)
    assert let_in(admission, UNIX).admit() is Refusal.FULL
    let_in(admission, UNIX)
    assert admission.full


def test_a_handshake_takes_no_connections_place_until_it_is_admitted() -> None:
    admission = Admission(max_connections=1)
    for _ in range(10):
        let_in(admission, A)
    assert let_in(admission, B).admit() is None


def test_who_is_dismissed_gives_his_place_back_before_he_leaves() -> None:
    admission = Admission(max_connections=1)
    guest = let_in(admission, A)
    assert guest.admit() is None
    guest.dismiss()
    assert let_in(admission, B).admit() is None
    assert admission.handshakes.total == 2


def test_giving_back_twice_gives_back_once() -> None:
    admission = Admission()
    admitted(admission, A)
    guest = admitted(admission, A)
    for give in (guest.settle, guest.dismiss, guest.leave, guest.leave):
        give()
    assert repr(admission) == "<Admission: 0 handshakes, 1 connections>"


# -- handshakes -------------------------------------------------------------------


def test_the_number_of_handshakes_is_exact() -> None:
    admission = Admission(max_handshakes=2)
    first = let_in(admission, A)
    assert not admission.full
    let_in(admission, B)
    assert admission.full
    first.settle()
    assert not admission.full


def test_one_address_gets_half_of_the_handshakes_and_the_next_half_of_the_rest() -> (
    None
):
    admission = Admission(max_handshakes=100)

    def greedy(address: tuple[str, int]) -> int:
        count = 0
        while admission.arrive(address) is not None:
            count += 1
        return count

    assert [greedy(A), greedy(B), greedy(C)] == [50, 25, 13]
    assert not admission.full


@pytest.mark.parametrize("greedy", [1, 2, 3, 4, 5])
def test_however_many_come_from_few_addresses_there_is_room_for_another(
    greedy: int,
) -> None:
    """In the worst order each takes half of what those before it have left."""
    admission = Admission(max_handshakes=100)
    dice = Random(greedy)
    for _ in range(10_000):
        admission.arrive((f"192.0.2.{dice.randrange(greedy)}", 1))
    assert 100 - admission.handshakes.total >= 100 // 2**greedy
    let_in(admission, ("198.51.100.1", 1))


def test_a_network_of_ipv6_is_one_that_can_be_greedy() -> None:
    admission = Admission(max_handshakes=8)
    count = sum(admission.arrive((f"2001:db8::{n:x}", 1)) is not None for n in range(9))
    assert count == 4


def test_two_listeners_that_saw_the_last_place_may_each_let_somebody_in() -> None:
    admission = Admission(max_handshakes=1)
    let_in(admission, A)
    let_in(admission, B)
    assert admission.arrive(B) is None
    assert admission.full


def test_without_bounds_everybody_comes_in() -> None:
    admission = Admission()
    for _ in range(10_000):
        assert let_in(admission, A).admit() is None
    assert not admission.full


# -- nothing is forgotten ---------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("adsl")), max_size=60))
def test_in_any_order_of_events_the_bounds_hold_and_every_place_comes_back(
    events: list[tuple[int, str]],
) -> None:
    admission = Admission(
        max_connections=3, max_connections_per_address=2, max_handshakes=4
    )
    guests: list[Guest] = []
    for number, what in events:
        address = (f"192.0.2.{number % 3}", 1)
        if what == "a" and not admission.full:
            if (guest := admission.arrive(address)) is not None:
                guest.admit()
                guests.append(guest)
        elif what != "a" and guests:
            guest = guests[number % len(guests)]
            {"d": guest.dismiss, "s": guest.settle, "l": guest.leave}[what]()
        assert admission.handshakes.total <= 4
        assert admission.connections.total <= 3
        assert max(admission.connections.of.values(), default=0) <= 2
    for guest in guests:
        guest.leave()
    for tally in (admission.handshakes, admission.connections):
        assert tally.total == 0
        assert not tally.of


# -- at the call ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["max_connections", "max_connections_per_address", "max_handshakes"]
)
@pytest.mark.parametrize("bound", [0, -1, 1.5, True, "8"])
def test_a_bound_is_an_integer_of_at_least_one_or_none(name: str, bound: Any) -> None:
    with pytest.raises(ArgumentError, match=f"{name} is {bound!r}; give an integer"):
        Admission(**{name: bound})
    Admission(**{name: 1})
    Admission(**{name: None})


def test_each_refusal_names_its_bound() -> None:
    assert {refusal.value: refusal.bound for refusal in Refusal} == {
        503: "max_connections",
        429: "max_connections_per_address",
    }
