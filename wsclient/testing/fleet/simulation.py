"""The event loop of a fleet: one event for each attempt, in order of time."""

from __future__ import annotations

from array import array
from collections import defaultdict
from random import Random

from ...errors import WebSocketError
from ...supervisor import Retry
from .figures import Figures
from .scenarios import STABLE_AFTER, Answer, Scenario, Server, verdict_of
from .strategies import Pauses, Strategy

__all__ = ("simulate",)

SLOT = 0.04  # seconds; shorter than a round trip, so no attempt follows in its own slot


class _Fleet:
    """All clients of one run; a client is a number."""

    def __init__(
        self, scenario: Scenario, strategy: Strategy, clients: int, seed: int
    ) -> None:
        self.scenario = scenario
        self.server = Server(scenario, clients)
        self.verdicts: dict[Answer, tuple[WebSocketError, Retry]] = {
            answer: verdict_of(answer, scenario.retry_after)
            for answer in Answer
            if answer is not Answer.ACCEPTED
        }
        self.dice = Random(seed)
        self.ended = array("d", bytes(8 * clients))
        self.back = array("d", [-1.0]) * clients
        self.slots: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        self.tenths = [0] * (10 * int(scenario.horizon))
        self.attempts = 0
        pause = strategy.pauses(self.dice)
        self.pauses: list[Pauses | None] = [pause(0.0) for _ in range(clients)]

    def drop(self) -> None:
        """End the proven life of each client."""
        for client, pauses in enumerate(self.pauses):
            assert pauses is not None
            now = self.ended[client] = self.dice.uniform(*self.scenario.noticed)
            pauses.lives(0.0)
            pauses.proof()
            self._later(client, pauses, self.scenario.ended, now)

    def run(self) -> None:
        """Make each attempt until all are back or the horizon is reached."""
        scenario = self.scenario
        tick, last = 0, int(scenario.horizon / SLOT)
        while self.slots and tick < last:
            for now, client in sorted(self.slots.pop(tick, ())):
                self._attempt(now, client)
            tick += 1

    def _attempt(self, now: float, client: int) -> None:
        self.attempts += 1
        self.tenths[int(now * 10)] += 1
        pauses = self.pauses[client]
        assert pauses is not None
        answer, at = self.server.arrive(now)
        if answer is not Answer.ACCEPTED:
            self._later(client, pauses, answer, at)
            return
        pauses.lives(at)
        if at >= self.scenario.sound:
            self.back[client] = at
            self.pauses[client] = None
            return
        if self.scenario.life >= STABLE_AFTER:
            pauses.proof()
        self._later(client, pauses, Answer.BROKEN, at + self.scenario.life)

    def _later(self, client: int, pauses: Pauses, end: Answer, now: float) -> None:
        delay = pauses.failed(self.verdicts[end][0], now, self.verdicts[end][1])
        assert delay is not None, "nobody here gives up"
        when = now + delay
        self.slots[int(when / SLOT)].append((when, client))


def simulate(
    scenario: Scenario, strategy: Strategy, *, clients: int = 10_000, seed: int = 1
) -> Figures:
    """
    Let a fleet come back, and say how it went.

    The same arguments give the same figures, on each Python and machine.

    """
    fleet = _Fleet(scenario, strategy, clients, seed)
    fleet.drop()
    fleet.run()
    return Figures.of(
        scenario=scenario.name,
        strategy=strategy.name,
        capacity=fleet.server.capacity,
        returns=scenario.returns,
        horizon=scenario.horizon,
        ended=fleet.ended,
        back=fleet.back,
        tenths=fleet.tenths,
        attempts=fleet.attempts,
    )
