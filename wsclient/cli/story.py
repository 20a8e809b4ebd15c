"""What has happened so far in a demo, as its views tell it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from ..errors import Reason
from ..supervisor import (
    AttemptFailed,
    Event,
    Gap,
    LifeEnded,
    Outcome,
    Proven,
    State,
    StateChanged,
    Stats,
)
from .ledger import Entry, Message
from .schedule import Trouble

__all__ = ("Incident", "LogLines", "Story")

KEPT = 12  # lines a live view shows


@dataclass(slots=True)
class Incident:
    """One trouble, and how the client took it."""

    trouble: Trouble
    generation: int
    reason: Reason | None = None
    refusals: list[Reason] = field(default_factory=list)

    def fault(self) -> str | None:
        """Say what the client should have noticed and did not."""
        trouble = self.trouble
        # A machine under load may starve the server: then the client held it for dead.
        if self.reason not in trouble.reasons | {Reason.LIVENESS}:
            return (
                f"{trouble.name}: seen as {self.reason} (generation {self.generation})"
            )
        if trouble.refusal is not None and trouble.refusal not in self.refusals:
            seen = ", ".join(self.refusals) or "nothing"
            return f"{trouble.name}: {trouble.refusal} was expected, {seen} was seen"
        return None


class Story:
    """
    Collects what happens; whoever waits for something asks :meth:`until`.

    ``tell`` is called with each line, ``stats`` gives the client's own figures.

    """

    def __init__(
        self, channels: tuple[str, ...], clock: Callable[[], float], planned: int
    ) -> None:
        self.channels = channels
        self.planned = planned
        self.received: dict[str, list[Entry]] = {name: [] for name in channels}
        self.messages = dict.fromkeys(channels, 0)
        self.gaps = dict.fromkeys(channels, 0)
        self.connections: dict[int, str] = {}
        self.incidents: list[Incident] = []
        self.ended: dict[int, Reason] = {}
        self.state = State.NEW
        self.generation = 0
        self.lines: deque[str] = deque(maxlen=KEPT)
        self.tell: Callable[[str], None] = self.lines.append
        self.stats: Callable[[], Stats] | None = None
        self._clock = clock
        self._began = clock()
        self._changed: anyio.Event | None = None

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self._clock() - self._began

    def say(self, text: str) -> None:
        """Tell a line, with its time."""
        self.tell(f"{self.seconds:6.2f} s  {text}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        while not condition():
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    def _ring(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    # What is told to it.

    def take(self, channel: str, entry: Entry) -> None:
        """A subscription gave a message or a gap."""
        self.received[channel].append(entry)
        if isinstance(entry, Gap):
            self.gaps[channel] += 1
        else:
            self.messages[channel] += 1
        self._ring()

    def subscribed(self, connection: str, generation: int) -> None:
        """The server has heard every subscription on a connection."""
        self.connections[generation] = connection
        self._ring()

    def begin(self, trouble: Trouble, generation: int) -> Incident:
        """There will be trouble."""
        incident = Incident(trouble, generation)
        self.incidents.append(incident)
        self.say(f"> trouble {len(self.incidents)} of {self.planned}: {trouble.name}")
        return incident

    def withdraw(self, incident: Incident) -> None:
        """The connection was gone before the trouble came."""
        self.incidents.remove(incident)
        self.say("> the connection was gone already: once more")

    def observe(self, event: Event) -> None:
        """The client's lifecycle went on."""
        match event:
            case StateChanged(after=after, generation=generation):
                self.state = after
                self.generation = generation
                if after is State.OPEN:
                    self.say(f"= OPEN, generation {generation}{self._figures()}")
            case LifeEnded(generation=generation, outcome=outcome, delay=delay):
                self.ended[generation] = outcome.reason
                for incident in self.incidents:
                    if incident.generation == generation:
                        incident.reason = outcome.reason
                self.say(f"! {said(outcome)}{again(delay)}")
            case AttemptFailed(number=number, outcome=outcome, delay=delay):
                if self.incidents:
                    self.incidents[-1].refusals.append(outcome.reason)
                self.say(f"! attempt {number}: {said(outcome)}{again(delay)}")
            case Proven():
                pass  # asked for when it matters
        self._ring()

    def _figures(self) -> str:
        messages, gaps = sum(self.messages.values()), sum(self.gaps.values())
        return f"; {messages:,} messages and {gaps} gaps so far" if messages else ""

    # What is asked of it.

    def settled(self) -> str | None:
        """
        Name the present connection if everything is well with it.

        It is open and proven, the server has heard every subscription on it, and
        every subscription has had a message of it.

        """
        if self.state is not State.OPEN or self.stats is None:
            return None
        stats = self.stats()
        connection = self.connections.get(stats.generation)
        if stats.state is not State.OPEN or not stats.proven or connection is None:
            return None
        for entries in self.received.values():
            last = entries[-1] if entries else None
            if not isinstance(last, Message) or last.connection != connection:
                return None
        return connection


def said(outcome: Outcome) -> str:
    """Say how an attempt or a life ended, in a few words."""
    if outcome.status is not None:
        return f"{outcome.reason}, HTTP {outcome.status}"
    if outcome.code is not None:
        return f"{outcome.reason}, close code {outcome.code}"
    return f"{outcome.reason} in phase {outcome.phase}"


def again(delay: float | None) -> str:
    """Say when the next attempt follows."""
    return "" if delay is None else f"; next attempt in {delay:.2f} s"


class LogLines(logging.Handler):
    """Tells what the library logs as lines of the story."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        self._say(f"log: {record.getMessage()}")
