"""What befalls a fleet, and a server that accepts only so much in a second."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...errors import (
    AttemptTimeout,
    Close,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    HandshakeRejected,
    Initiator,
    Phase,
    Reason,
    WebSocketError,
)
from ...supervisor import Kind, Retry
from ...supervisor.policy import classify_default, outcome_of

__all__ = ("SCENARIOS", "Answer", "Scenario", "Server", "verdict_of")

LATENCY = 0.05  # seconds of a round trip
OPEN_TIMEOUT = 10.0  # seconds; the default of all that are compared
STABLE_AFTER = 10.0  # seconds


class Answer(StrEnum):
    """How an attempt or a connection ends."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # nobody listens, and the kernel says so
    SILENT = "silent"  # open_timeout passes
    BUSY = "busy"  # 503
    RESTARTING = "restarting"  # the server closes with 1012
    BROKEN = "broken"  # no Close frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    A time table; everything in seconds, from the moment when the connections end.

    Each client notices at a random time of ``noticed``. Until ``returns`` an attempt
    ends as ``meanwhile`` says. Then the server accepts the whole fleet in ``whole``
    seconds at best; it begins with the part ``cold`` of that rate and is at its best
    after ``warm`` seconds. It lets ``backlog`` seconds of work at its best rate wait
    and answers more with 503, at ``refusal`` of the cost of accepting, with
    ``Retry-After: retry_after`` if there is one. What it accepts before ``sound`` is
    dropped ``life`` seconds later. ``horizon`` ends the simulation.

    """

    name: str
    ended: Answer = Answer.BROKEN
    noticed: tuple[float, float] = (0.0, 0.5)
    meanwhile: Answer = Answer.REFUSED
    returns: float = 0.0
    whole: float = 50.0
    cold: float = 1.0
    warm: float = 1.0
    backlog: float = 2.0
    refusal: float = 0.1
    retry_after: int | None = None
    sound: float = 0.0
    life: float = 0.0
    horizon: float = 1200.0


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="restart", ended=Answer.RESTARTING, returns=10.0),
        Scenario(
            name="region",
            noticed=(20.0, 40.0),  # by the silence
            meanwhile=Answer.SILENT,
            returns=60.0,  # then the name leads elsewhere
        ),
        Scenario(name="slow", returns=30.0, cold=0.1, warm=180.0),
        Scenario(name="loop", whole=2.0, sound=300.0, life=2.0),
        Scenario(name="advised", returns=10.0, retry_after=30),
    )
}
"""
A restart with Close(1012); a region that is silent until its name leads elsewhere; a
crash and a server that warms up slowly; one that accepts and drops for five minutes;
a crash and a server whose 503 says Retry-After.
"""


class Server:
    """One queue; who is refused costs less than who is accepted, but not nothing."""

    def __init__(self, scenario: Scenario, clients: int) -> None:
        self._scenario = scenario
        self.capacity = clients / scenario.whole
        self._most = scenario.backlog * self.capacity
        self._free = scenario.returns  # when all that waits will have been done

    def rate(self, now: float) -> float:
        """How much is accepted in a second."""
        scenario = self._scenario
        warmth = min(1.0, (now - scenario.returns) / scenario.warm)
        return self.capacity * (scenario.cold + (1.0 - scenario.cold) * warmth)

    def arrive(self, now: float) -> tuple[Answer, float]:
        """Answer an attempt made now, and say when; time never goes back."""
        scenario = self._scenario
        if now < scenario.returns:
            waits = OPEN_TIMEOUT if scenario.meanwhile is Answer.SILENT else LATENCY
            return scenario.meanwhile, now + waits
        start = max(now, self._free)
        if start - now > OPEN_TIMEOUT:  # the kernel drops what nobody accepts
            return Answer.SILENT, now + OPEN_TIMEOUT
        rate = self.rate(start)
        if (start - now) * rate > self._most:
            self._free = start + scenario.refusal / rate
            return Answer.BUSY, now + LATENCY
        self._free = start + 1.0 / rate
        done = self._free + LATENCY
        if done - now > OPEN_TIMEOUT:  # the work is done for nobody
            return Answer.SILENT, now + OPEN_TIMEOUT
        return Answer.ACCEPTED, done


def verdict_of(answer: Answer, retry_after: int | None) -> tuple[WebSocketError, Retry]:
    """Let the real policy judge an end: the error and what follows from it."""
    error = _error(answer, retry_after)
    lived = answer in {Answer.RESTARTING, Answer.BROKEN}
    outcome = outcome_of(error, Kind.LIFE if lived else Kind.ATTEMPT, worked=True)
    verdict = classify_default(outcome)
    assert isinstance(verdict, Retry), "what has worked is tried again"
    return error, verdict


def _error(answer: Answer, retry_after: int | None) -> WebSocketError:
    match answer:
        case Answer.REFUSED:
            return ConnectError(Facts(reason=Reason.REFUSED, phase=Phase.TCP))
        case Answer.SILENT:
            return AttemptTimeout(Facts(reason=Reason.OPEN_TIMEOUT, phase=Phase.TCP))
        case Answer.BUSY:
            advice = () if retry_after is None else (("Retry-After", str(retry_after)),)
            facts = Facts(reason=Reason.REJECTED, phase=Phase.UPGRADE)
            return HandshakeRejected(facts, 503, advice)
        case Answer.RESTARTING:
            return ConnectionClosed(
                Facts(
                    reason=Reason.PEER_CLOSED,
                    phase=Phase.OPEN,
                    initiator=Initiator.PEER,
                    received=Close(1012),
                )
            )
        case _:
            return ConnectionLost(Facts(reason=Reason.EOF, phase=Phase.OPEN))
