"""What happens when nobody calls: deadlines, and reading a wire that must be pulled."""

from __future__ import annotations

from math import inf

import anyio
from anyio.lowlevel import checkpoint

from ..errors import Reason
from ..protocol import State
from .life import BREATH, DRAIN
from .logs import logger
from .reading import Reading
from .watch import Alarm

__all__ = ("Attending",)

STAND_IN = 0.02  # seconds without a reader until the attendant reads


class Attending(Reading):
    """The part of a connection that keeps time, and reads when nobody does."""

    __slots__ = ()

    def _tick(self) -> None:
        """Do what is due. A blocked loop is not a dead peer: read before judging."""
        now = self._time()
        if self._blocked:
            self._look_at_progress()
        alarm = self._watch.judge(now)
        if alarm is Alarm.LIVENESS:
            self._read_now(DRAIN)
            if self._over:
                return
            alarm = self._watch.judge(now)
        match alarm:
            case Alarm.PING if self._endpoint.state is State.OPEN and self._room:
                self._write(self._endpoint.ping(self._pings.sent(now)))
                if self._debug:
                    logger.debug("%s %% ping", self._name)
            case Alarm.LIVENESS:
                self.end(Reason.LIVENESS, "nothing was heard from the peer")
            case Alarm.WRITE_STALLED:
                self.end(Reason.WRITE_STALLED, "the peer took no byte of ours")
            case Alarm.SLOW_CONSUMER:
                waiting = len(self._queue) + len(self._parts)
                self.end(
                    Reason.SLOW_CONSUMER,
                    f"{waiting} messages ({self._backlog.size()} bytes) wait to be"
                    " received",
                )
            case Alarm.CLOSE_TIMEOUT if not self._fail():
                self.end(Reason.LOCAL, "the peer did not close within close_timeout")

    def _arm(self) -> None:
        """See to it that :meth:`_tick` runs when something is due."""
        due = self._watch.due()
        if self._wire.pulled:
            if due < self._timer_at:
                self._nudge()
        elif due < inf and not self._over:
            if self._timer is not None:
                if self._timer_at <= due:
                    return
                self._timer.cancel()
            self._timer_at = due
            self._timer = self._wire.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._tick()
        except Exception as error:  # noqa: BLE001 - told to whoever uses it
            self._failed(error)
        self._arm()

    async def _attend(self) -> None:
        """
        Look every 20 ms whether somebody reads; if not, do it.

        Once somebody reads for longer it sleeps until something is due, or the turn is
        free again.

        """
        while not self._over:
            now = self._time()
            self._timer_at = self._watch.due()
            if self._timer_at <= now:
                if self._watch.unheard(now):
                    await self._stand_in(now + STAND_IN)  # it may have been heard
                self._tick()
                continue
            reads = self._reads
            await anyio.sleep(min(STAND_IN, self._timer_at - now))
            if self._reads == reads:
                await self._stand_in(self._watch.due())

    async def _stand_in(self, until: float) -> None:
        """Read, or leave that to who does, until then or until nudged."""
        with anyio.CancelScope(deadline=until) as self._standing:
            if self._reading or self._watch.paused_at is not None:
                await anyio.sleep_forever()
            await self._read_for_others()
        self._standing = None

    async def _read_for_others(self) -> None:
        """Read until somebody else wants to."""
        self._reading = True
        self._wanted = False
        try:
            while not (self._wanted or self._over or self._watch.paused_at is not None):
                self._reads += 1
                if not self._reads % BREATH:
                    await checkpoint()  # a pulled wire need not wait to read
                await self._wire.pump()
        finally:
            self._reading = False
            self._wake_readers()
