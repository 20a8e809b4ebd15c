"""Which pings are on their way, and what their pongs tell of the latency."""

from __future__ import annotations

import anyio

__all__ = ("Pings",)

KEPT = 64  # pings in flight that are worth remembering; older ones are forgotten


class Pings:
    """Matches pongs to pings by payload (RFC 6455, 5.5.3)."""

    __slots__ = ("_count", "_flying", "latency")

    def __init__(self) -> None:
        self.latency: float | None = None
        self._count = 0
        self._flying: dict[bytes, tuple[float, anyio.Event | None]] = {}

    def sent(self, now: float, answered: anyio.Event | None = None) -> bytes:
        """Return the payload of a new ping; ``answered`` is set at its pong."""
        self._count += 1
        payload = b"%08x" % self._count
        if len(self._flying) >= KEPT:
            self._forget_one()
        self._flying[payload] = (now, answered)
        return payload

    def _forget_one(self) -> None:
        """Forget the oldest ping for which nobody waits."""
        for payload, (_, answered) in self._flying.items():
            if answered is None:
                del self._flying[payload]
                return

    def forget(self, payload: bytes) -> None:
        """Nobody waits for this one any more."""
        self._flying.pop(payload, None)

    def answered(self, payload: bytes, now: float) -> None:
        """
        Take a pong: it answers its ping and all before it.

        5.5.3: a peer may answer only the latest of several pings.

        """
        if payload not in self._flying:
            return  # unsolicited: a heartbeat of the peer's
        self.latency = now - self._flying[payload][0]
        earlier = b""
        while earlier != payload:
            earlier = next(iter(self._flying))
            answered = self._flying.pop(earlier)[1]
            if answered is not None:
                answered.set()
