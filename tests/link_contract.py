"""
What the supervisor may rely on in a link, executable.

The real connection passes it, and so must whatever stands for one in tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from wsclient.errors import (
    ConnectionClosed,
    ConnectionLost,
    Initiator,
    Phase,
    Reason,
)
from wsclient.supervisor.seam import Data, Link

__all__ = ("LINK_CHECKS", "LinkCheck", "LinkSide")


class LinkSide(ABC):
    """A live link, and the hands of the peer and of the network on the other side."""

    link: Link

    @abstractmethod
    def deliver(self, *messages: Data) -> None:
        """The peer sends."""

    @abstractmethod
    def got(self) -> list[Data]:
        """Return the messages the peer got."""

    @abstractmethod
    def told(self) -> int | None:
        """Return the code of the Close frame the peer got."""

    @abstractmethod
    def fill(self) -> None:
        """Commit one message that the kernel does not take, so that no room is left."""

    @abstractmethod
    def drain(self) -> None:
        """Let the kernel take everything."""

    @abstractmethod
    def lose(self) -> None:
        """The connection breaks."""

    @abstractmethod
    def peer_closes(self, code: int) -> None:
        """The peer says goodbye."""

    @abstractmethod
    def answers_no_more(self) -> None:
        """The peer does not answer a Close frame."""


LinkCheck = Callable[[LinkSide], Awaitable[None]]


async def settle() -> None:
    """Let everything happen that can happen; for virtual time."""
    await anyio.sleep(1)


class Heard:
    """A sink that keeps what it hears."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.messages: list[Data] = []
        self.then: Callable[[], None] = lambda: None
        self._inside = False

    def __call__(self, messages: Sequence[Data]) -> None:
        assert messages, "a call for nothing"
        assert not self._inside, "called within itself"
        self._inside = True
        self.messages += messages
        self.then()
        self._inside = False


async def a_sink_gets_what_waits_and_then_all_that_comes(side: LinkSide) -> None:
    heard = Heard(side.link)
    side.deliver("one", b"two")
    await settle()
    side.link.deliver_to(heard)
    assert heard.messages == ["one", b"two"]
    side.deliver("three", "four")
    await settle()
    assert heard.messages == ["one", b"two", "three", "four"]


async def the_last_sink_gets_it(side: LinkSide) -> None:
    first, second = Heard(side.link), Heard(side.link)
    side.link.deliver_to(first)
    side.deliver("one")
    await settle()
    side.link.deliver_to(second)
    side.deliver("two")
    await settle()
    assert (first.messages, second.messages) == (["one"], ["two"])


async def what_is_committed_is_sent_in_order(side: LinkSide) -> None:
    link = side.link
    for number in range(3):
        assert link.ready
        assert link.commit(f"{number}")
    assert link.commit(b"bytes", True)
    await link.flush()
    await link.wait_ready()
    await settle()
    assert side.got() == ["0", "1", "2", b"bytes"]


async def a_full_link_is_waited_for(side: LinkSide) -> None:
    link, done = side.link, list[str]()

    async def wait_ready() -> None:
        await link.wait_ready()
        assert link.ready
        link.commit("behind")
        done.append("ready")

    async def flush() -> None:
        await link.flush()
        done.append("flushed")

    side.fill()
    assert not link.ready
    async with anyio.create_task_group() as group:
        group.start_soon(wait_ready)
        group.start_soon(flush)
        await settle()
        assert done == []
        side.drain()
    assert sorted(done) == ["flushed", "ready"]
    await settle()
    assert side.got()[-1] == "behind"


async def cancelling_a_wait_takes_nothing_back(side: LinkSide) -> None:
    side.fill()
    for wait in (side.link.wait_ready, side.link.flush, side.link.wait_ended):
        with anyio.move_on_after(1) as scope:
            await wait()
        assert scope.cancelled_caught
    side.drain()
    await side.link.wait_ready()
    side.link.commit("after")
    await settle()
    assert len(side.got()) == 2


async def a_sink_may_answer(side: LinkSide) -> None:
    heard = Heard(side.link)
    heard.then = lambda: _take(side.link.commit("answer"))
    side.link.deliver_to(heard)
    side.deliver("question")
    await settle()
    assert side.got() == ["answer"]


def _take(_: bool) -> None:
    """Whether the kernel has it does not matter here."""


async def a_sink_may_end_it_and_hears_nothing_more(side: LinkSide) -> None:
    heard = Heard(side.link)
    heard.then = lambda: side.link.end(Reason.IDLE, "enough")
    side.link.deliver_to(heard)
    side.deliver("one")
    await settle()
    assert heard.messages == ["one"]
    await side.link.wait_ended()
    assert heard.messages == ["one"]


async def pausing_stops_the_sink_and_loses_nothing(side: LinkSide) -> None:
    heard = Heard(side.link)
    heard.then = side.link.pause
    side.link.deliver_to(heard)
    side.deliver("one")
    await settle()
    side.deliver("two", "three")
    await settle()
    assert heard.messages == ["one"]
    heard.then = lambda: None
    side.link.pause()
    side.link.resume()
    await settle()
    assert heard.messages == ["one", "two", "three"]
    side.link.resume()
    side.deliver("four")
    await settle()
    assert heard.messages == ["one", "two", "three", "four"]


async def pinging_hears_a_living_peer_and_resuming_does_not(side: LinkSide) -> None:
    await settle()
    before = side.link.heard_at
    assert before <= anyio.current_time()
    side.link.pause()
    await settle()
    side.link.resume()
    assert side.link.heard_at == before
    side.link.ping_nowait()
    await settle()
    assert side.link.heard_at > before


async def what_has_come_is_heard_before_the_end(side: LinkSide) -> None:
    heard = Heard(side.link)
    side.link.deliver_to(heard)
    side.deliver("one")
    side.peer_closes(1012)
    await side.link.wait_ended()
    assert heard.messages == ["one"]


async def ending_hears_first_what_has_come(side: LinkSide) -> None:
    heard = Heard(side.link)
    side.link.deliver_to(heard)
    side.link.pause()
    side.deliver("one")
    await settle()
    side.link.end(Reason.LOCAL, "enough")
    assert heard.messages == ["one"]


async def it_ends_at_once_and_once(side: LinkSide) -> None:
    link = side.link
    assert link.ended is None
    link.end(Reason.IDLE, "silent")
    link.end(Reason.LOCAL, "too late")
    error = link.ended
    assert isinstance(error, ConnectionLost)
    assert error.reason is Reason.IDLE
    assert error.initiator is Initiator.US
    assert error.phase is Phase.OPEN
    assert error.facts.detail == "silent"
    assert link.ended is not error
    assert not link.ready
    await link.wait_ended()
    await settle()
    assert side.told() == 1001


async def to_the_dead_it_says_nothing(side: LinkSide) -> None:
    side.link.end(Reason.LIVENESS, "silent")
    await settle()
    assert side.told() is None


async def a_loss_wakes_all(side: LinkSide) -> None:
    link, told = side.link, list[str]()

    async def expect(name: str, call: Callable[[], Awaitable[None]]) -> None:
        with pytest.raises(ConnectionLost):
            await call()
        told.append(name)

    side.fill()
    async with anyio.create_task_group() as group:
        group.start_soon(expect, "ready", link.wait_ready)
        group.start_soon(expect, "flush", link.flush)
        group.start_soon(link.wait_ended)
        await settle()
        side.lose()
    assert sorted(told) == ["flush", "ready"]
    assert isinstance(link.ended, ConnectionLost)
    assert link.ended.reason is Reason.RESET


async def a_close_of_the_peers_is_told_with_its_code(side: LinkSide) -> None:
    side.peer_closes(1013)
    await side.link.wait_ended()
    error = side.link.ended
    assert isinstance(error, ConnectionClosed)
    assert error.reason is Reason.PEER_CLOSED
    assert error.initiator is Initiator.PEER
    assert error.code == 1013
    await settle()
    assert side.told() == 1013


async def closing_is_a_handshake_behind_which_nothing_is_heard(
    side: LinkSide,
) -> None:
    heard = Heard(side.link)
    side.link.deliver_to(heard)
    await side.link.close(1000, "bye")
    error = side.link.ended
    assert isinstance(error, ConnectionClosed)
    assert error.reason is Reason.LOCAL
    assert error.initiator is Initiator.US
    await settle()
    assert side.told() == 1000
    assert heard.messages == []


async def a_cancelled_close_ends_it(side: LinkSide) -> None:
    side.answers_no_more()
    with anyio.move_on_after(0.5) as scope:
        await side.link.close(1000, "bye")
    assert scope.cancelled_caught
    assert isinstance(side.link.ended, ConnectionLost)
    assert side.link.ended.reason is Reason.LOCAL


async def after_the_end_everything_is_harmless(side: LinkSide) -> None:
    link, heard = side.link, Heard(side.link)
    link.deliver_to(heard)
    side.lose()
    await link.wait_ended()
    link.pause()
    link.resume()
    link.ping_nowait()
    link.end(Reason.IDLE, "too late")
    link.deliver_to(heard)
    await link.close(1000, "")
    await link.flush()
    with pytest.raises(ConnectionLost):
        await link.wait_ready()
    assert link.ended is not None
    assert link.ended.reason is Reason.RESET
    assert heard.messages == []


async def the_handshake_is_known(side: LinkSide) -> None:
    link = side.link
    assert link.subprotocol is None or isinstance(link.subprotocol, str)
    assert all(isinstance(name, str) for name, _ in link.response_headers)
    assert link.latency is None or link.latency >= 0


LINK_CHECKS: tuple[LinkCheck, ...] = (
    a_sink_gets_what_waits_and_then_all_that_comes,
    the_last_sink_gets_it,
    what_is_committed_is_sent_in_order,
    a_full_link_is_waited_for,
    cancelling_a_wait_takes_nothing_back,
    a_sink_may_answer,
    a_sink_may_end_it_and_hears_nothing_more,
    pausing_stops_the_sink_and_loses_nothing,
    pinging_hears_a_living_peer_and_resuming_does_not,
    what_has_come_is_heard_before_the_end,
    ending_hears_first_what_has_come,
    it_ends_at_once_and_once,
    to_the_dead_it_says_nothing,
    a_loss_wakes_all,
    a_close_of_the_peers_is_told_with_its_code,
    closing_is_a_handshake_behind_which_nothing_is_heard,
    a_cancelled_close_ends_it,
    after_the_end_everything_is_harmless,
    the_handshake_is_known,
)
