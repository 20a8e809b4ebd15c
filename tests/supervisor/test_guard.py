"""Calls that would wait for ever are refused, with the remedy."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from wsclient.errors import ConcurrencyError, LocalProtocolError
from wsclient.supervisor.conversation import hook_of
from wsclient.supervisor.guard import Guard


def elsewhere(call: Callable[[], None]) -> BaseException | None:
    caught: list[BaseException | None] = [None]

    def run() -> None:
        try:
            call()
        except ConcurrencyError as exc:
            caught[0] = exc

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return caught[0]


def test_nothing_goes_before_entering() -> None:
    guard = Guard(object())
    guard.check_thread("subscribe")
    with pytest.raises(LocalProtocolError, match=r"send\(\) before.*async with"):
        guard.check_entered("send")


def test_another_thread_is_refused() -> None:
    guard = Guard(object())
    guard.enter()
    guard.check_entered("send")
    for check in guard.check_thread, guard.check_entered:
        error = elsewhere(lambda check=check: check("send"))  # type: ignore[misc]
        assert "from_thread" in str(error)


def test_a_hook_of_the_client_itself_is_refused() -> None:
    owner = object()
    guard = Guard(owner)
    guard.enter()
    with hook_of(object()):
        guard.check_entered("send")
    with (
        hook_of(owner),
        pytest.raises(ConcurrencyError, match="use the argument they are given"),
    ):
        guard.check_entered("send")
