"""What client and server of a demo agree on, and what will go wrong between them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ..errors import Reason

__all__ = ("CHANNELS", "GENERATION", "TROUBLES", "Due", "Trouble", "schedule")

CHANNELS = ("trades", "quotes", "alerts")
"""The client's subscriptions, in the order in which it says them."""

GENERATION = "Demo-Generation"
"""The request header in which the client tells its generation."""

ABRUPT = frozenset({Reason.EOF, Reason.RESET})
CLOSED = frozenset({Reason.PEER_CLOSED})
PEACE = (0.3, 0.8)  # seconds for which a proven connection is left in peace


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    One kind of trouble.

    ``drop`` is how the connection ends, ``then`` what meets the next ``times`` tries to
    come back, ``reasons`` those the client may give for the end, ``cost`` the seconds
    that all of it takes, about.

    """

    name: str
    drop: str
    reasons: frozenset[Reason]
    cost: float
    then: str = ""
    times: int = 0
    refusal: Reason | None = None


TROUBLES = (
    Trouble("a Close frame with 1001", "close 1001", CLOSED, 1.2),
    Trouble("a Close frame with 1012, restarting", "close 1012", CLOSED, 4.0),
    Trouble("a reset, with messages on their way", "reset", ABRUPT, 1.2),
    Trouble("the end of the stream, unannounced", "eof", ABRUPT, 1.2),
    Trouble(
        "a peer that neither reads nor answers",
        "stall",
        frozenset({Reason.LIVENESS}),
        3.7,
    ),
    Trouble(
        "HTTP 503 with Retry-After, twice",
        "eof",
        ABRUPT,
        3.5,
        then="refuse",
        times=2,
        refusal=Reason.REJECTED,
    ),
    Trouble(
        "an opening handshake that nobody answers",
        "reset",
        ABRUPT,
        3.2,
        then="mute",
        times=1,
        refusal=Reason.OPEN_TIMEOUT,
    ),
    Trouble(
        "a shutdown: nobody listens for a while",
        "away",
        CLOSED,
        2.2,
        refusal=Reason.REFUSED,
    ),
    Trouble(
        "kill -9, and a new process on the same port",
        "kill",
        ABRUPT,
        2.8,
        refusal=Reason.REFUSED,
    ),
)


@dataclass(frozen=True, slots=True)
class Due:
    """A trouble, and for how many seconds there is peace before it."""

    trouble: Trouble
    peace: float


def schedule(duration: float, random: Random) -> tuple[Due, ...]:
    """
    Return what will happen within about ``duration`` seconds: one trouble at least.

    Every kind comes before one comes again, as far as there is time.

    """
    cheapest = min(trouble.cost for trouble in TROUBLES)
    left = max(duration, cheapest)
    chosen: list[Due] = []
    while left >= cheapest:
        for trouble in random.sample(TROUBLES, len(TROUBLES)):
            if trouble.cost <= left:
                chosen.append(Due(trouble, random.uniform(*PEACE)))
                left -= trouble.cost
    return tuple(chosen)
