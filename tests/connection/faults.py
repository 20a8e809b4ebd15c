"""Every way a network fails, at a byte that one names."""

from __future__ import annotations

import anyio

from wsclient.testing.pipe import Pipe

__all__ = (
    "FAULTS",
    "HEALING",
    "Break",
    "Eof",
    "Fault",
    "Reset",
    "Silence",
    "Stall",
    "Vanish",
)

PATIENCE = 30.0  # seconds


class Fault:
    """
    Lets so many bytes of a pipe through; then it strikes.

    Args:
        there: the pipe whose bytes are counted.
        back: the one in the other direction.
        count: how many pass, from the very first.

    """

    def __init__(self, there: Pipe, back: Pipe, count: int) -> None:
        self.there = there
        self.back = back
        self.count = count
        self.struck = anyio.Event()
        self._healed = False
        there.watch(self._look)
        self._look()

    def _look(self) -> None:
        if self._healed:
            return
        self.limit()
        if self.passed >= self.count and not self.struck.is_set():
            self.struck.set()
            self.strike()

    @property
    def passed(self) -> int:
        """How many bytes have passed."""
        return len(self.there.sent)

    def limit(self) -> None:
        """See to it that no more pass."""

    def strike(self) -> None:
        """Now they have passed."""

    async def heal_after(self, seconds: float) -> None:
        """Let it pass, so long after it has struck; it may never strike."""
        with anyio.move_on_after(PATIENCE):
            await self.struck.wait()
            await anyio.sleep(seconds)
        self._healed = True
        self.heal()

    def heal(self) -> None:
        """It is over."""
        self.there.heal()
        self.back.heal()


class Eof(Fault):
    """The end is said too early, by somebody between; what comes later vanishes."""

    def limit(self) -> None:
        self.there.cut_at(self.count)


class Reset(Fault):
    """Who reads meets a reset; who sends learns of it when the reader hangs up."""

    def limit(self) -> None:
        self.there.cut_at(self.count, ConnectionResetError("reset on the way"))


class Break(Reset):
    """Somebody between resets both ends."""

    def strike(self) -> None:
        self.there.refuse(ConnectionResetError("reset on the way"))
        self.back.reset(ConnectionResetError("reset on the way"))


class Stall(Fault):
    """The kernel takes no more, as when the other host does not read."""

    def __init__(self, there: Pipe, back: Pipe, count: int) -> None:
        self._whole = there.capacity
        super().__init__(there, back, count)

    def limit(self) -> None:
        room = min(self._whole, max(0, self.count - len(self.there.received)))
        if self.there.capacity != room:
            self.there.capacity = room

    def strike(self) -> None:
        self.there.stall()

    def heal(self) -> None:
        self.there.capacity = self._whole
        super().heal()


class Silence(Fault):
    """Nothing more arrives, though the kernel takes it: a way out that is lost."""

    @property
    def passed(self) -> int:
        return len(self.there.received)

    def limit(self) -> None:
        self.there.chunk = max(1, self.count - self.passed)

    def strike(self) -> None:
        self.there.silence()

    def heal(self) -> None:
        self.there.chunk = None
        super().heal()


class Vanish(Silence):
    """Nothing arrives any more, either way: a cable that was pulled."""

    def strike(self) -> None:
        super().strike()
        self.back.silence()


FAULTS = (Eof, Reset, Break, Stall, Silence, Vanish)

HEALING = (Stall, Silence, Vanish)
"""Those that may pass."""
