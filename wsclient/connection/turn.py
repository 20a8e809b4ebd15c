"""Whose turn it is to send: data messages go one by one, first come first served."""

from __future__ import annotations

from collections import deque

import anyio

__all__ = ("Turn",)

NOBODY: deque[anyio.Event] = deque(maxlen=0)  # an empty deque takes 760 bytes


class Turn:
    """
    A queue of senders that costs nothing while nobody waits.

    A newcomer has to wait while it is :attr:`held` or others are :attr:`waiting`.

    Who may send says so in :attr:`held` only while it awaits something: a fragmented
    message between its fragments, or a waiter that was given the turn and has not run
    yet.

    """

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held = False
        self.waiting = NOBODY

    async def wait(self) -> None:
        """
        Wait for the turn and hold it.

        Cancelled, it leaves the queue, or leaves the turn to the next.

        """
        event = anyio.Event()
        if self.waiting is NOBODY:
            self.waiting = deque()
        self.waiting.append(event)
        try:
            await event.wait()
        except BaseException:
            if event.is_set():
                self.held = False
                self.grant()
            else:
                self.waiting.remove(event)
            raise

    def grant(self) -> None:
        """Give the turn, if it is free, to who has waited longest."""
        if not self.held and self.waiting:
            self.held = True
            self.waiting.popleft().set()

    def wake_all(self) -> None:
        """Nobody can send any more: let all who wait learn it."""
        while self.waiting:
            self.waiting.popleft().set()
