"""When something must happen although no byte arrives; pure arithmetic on a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import frexp, inf, ldexp

from ..errors import ArgumentError, seconds

__all__ = ("Alarm", "Timeouts", "Watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """
    The deadlines of one connection, in seconds; None: never.

    ``close_timeout`` bounds the whole of closing. A ping goes out every
    ``ping_interval``; without one inbound byte for ``ping_interval + ping_timeout``
    the peer is held for dead. ``write_timeout`` bounds a write without progress,
    ``slow_timeout`` how long our reader may leave a full queue full.

    """

    close_timeout: float | None = 5
    ping_interval: float | None = 20
    ping_timeout: float | None = 20
    write_timeout: float | None = 30
    slow_timeout: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            seconds(name, getattr(self, name))
        if self.ping_interval == 0:
            raise ArgumentError("ping_interval is 0; None sends no pings")


class Alarm(Enum):
    """What :meth:`Watch.judge` finds due."""

    PING = auto()
    LIVENESS = auto()
    WRITE_STALLED = auto()
    SLOW_CONSUMER = auto()
    CLOSE_TIMEOUT = auto()


class Watch:
    """
    The deadlines of a connection as they stand.

    ``heard_at`` is when the last inbound byte came. Liveness stands still while we
    have paused reading: a peer we do not read cannot be heard; when we read again it
    gets its whole time.

    """

    __slots__ = (
        "_interval",
        "_jitter",
        "_liveness",
        "_ping_at",
        "_progress",
        "_resumed_at",
        "_slow",
        "_step",
        "_write",
        "close_at",
        "heard_at",
        "paused_at",
        "stalled_at",
    )

    def __init__(
        self, timeouts: Timeouts, now: float, uniform: Callable[[float, float], float]
    ) -> None:
        self.heard_at = now
        self.paused_at: float | None = None
        self.stalled_at: float | None = None
        self.close_at: float | None = None
        self._resumed_at = now
        self._progress = 0
        self._jitter = uniform
        self._interval = timeouts.ping_interval
        self._liveness = (
            self._interval + timeouts.ping_timeout
            if self._interval is not None and timeouts.ping_timeout is not None
            else None
        )
        self._write = timeouts.write_timeout
        self._slow = timeouts.slow_timeout
        # Pings go at multiples of a power of two, a 64th to a 32nd of the interval, so
        # that those of many connections share a wake-up, and their pongs too: where the
        # process sleeps between any two, each costs four times as much.
        self._step = ldexp(1.0, frexp(self._interval or 1.0)[1] - 6)
        self._ping_at = self._next_ping(now)

    def _next_ping(self, now: float) -> float:
        # Early rather than late, so that no two pings are further apart than asked.
        if self._interval is None:
            return inf
        at = now + self._interval * self._jitter(0.9, 1.0)
        return at - at % self._step if at < inf else inf

    def paused(self, now: float) -> None:
        """We stopped reading."""
        self.paused_at = now

    def resumed(self, now: float) -> None:
        """We read again."""
        self.paused_at = None
        self._resumed_at = now

    def stalled(self, now: float, progress: int) -> None:
        """The kernel does not take all; ``progress`` counts what it has taken."""
        if self.stalled_at is None or progress != self._progress:
            self.stalled_at = now
            self._progress = progress

    def flowing(self) -> None:
        """The kernel has everything."""
        self.stalled_at = None

    def due(self) -> float:
        """When to :meth:`judge` next, or inf."""
        if self.close_at is not None:
            return self.close_at
        times = [self._ping_at]
        if self._liveness is not None and self.paused_at is None:
            times.append(max(self.heard_at, self._resumed_at) + self._liveness)
        if self._slow is not None and self.paused_at is not None:
            times.append(self.paused_at + self._slow)
        if self._write is not None and self.stalled_at is not None:
            times.append(self.stalled_at + self._write)
        return min(times)

    @staticmethod
    def _passed(since: float | None, limit: float | None, now: float) -> bool:
        return since is not None and limit is not None and now >= since + limit

    def unheard(self, now: float) -> bool:
        """Whether the peer has been silent for too long."""
        since = max(self.heard_at, self._resumed_at)
        return self.paused_at is None and self._passed(since, self._liveness, now)

    def judge(self, now: float) -> Alarm | None:
        """Return the worst that is due; a ping is said to be due once."""
        if self.close_at is not None:
            return Alarm.CLOSE_TIMEOUT if now >= self.close_at else None
        if self._passed(self.stalled_at, self._write, now):
            return Alarm.WRITE_STALLED
        if self._passed(self.paused_at, self._slow, now):
            return Alarm.SLOW_CONSUMER
        if self.unheard(now):
            return Alarm.LIVENESS
        if now >= self._ping_at:
            self._ping_at = self._next_ping(now)
            return Alarm.PING
        return None
