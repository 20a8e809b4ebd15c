"""What happens to a client: a story, drawn from a seed, that reads as its own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

__all__ = ("KINDS", "Settings", "Step", "Story", "draw", "read")

CHANNELS = ("a", "b", "c")
WAYS = ("up", "down", "both")
SIZES = (0, 0, 100, 600, 2000)  # of what is sent, in bytes
CODES = (1000, 1001, None, 1011, 1012, 1013, 4000, 1008, 1002)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, ``at`` seconds from the beginning; see :data:`KINDS`."""

    at: float
    kind: str
    args: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the client, the server and the network of a story are made."""

    hello: bool = True
    acks: bool = False
    pushed: bool = True  # where that is possible
    first: str = "background"
    calm: bool = True  # whether all trouble ends before the client is left
    ending: str = "close"  # or "leave", "cancel"
    recv_timeout: float | None = None
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    open_timeout: float = 10.0
    prepare_timeout: float = 10.0
    close_timeout: float = 5.0
    write_timeout: float = 30.0
    ack_timeout: float = 10.0
    slow_timeout: float = 60.0
    stable_after: float = 10.0
    base: float = 1.0
    cap: float = 30.0
    max_messages: int = 16  # of each subscription's queue
    every: float = 2.0  # seconds between two messages of a channel
    latency: tuple[float, float] = (0.01, 0.05)
    capacity: int = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that makes a run what it is: the same story, the same run."""

    seed: int
    settings: Settings
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Write it as code, a line a step."""
        steps = "".join(f"        {step!r},\n" for step in self.steps)
        changed = {
            name: value
            for name in Settings.__slots__
            if (value := getattr(self.settings, name)) != getattr(_USUAL, name)
        }
        settings = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        return (
            f"Story(\n    seed={self.seed},\n    settings=Settings({settings}),\n"
            f"    steps=(\n{steps}    ),\n)"
        )

    def without(self, first: int, count: int) -> Story:
        """Leave out ``count`` steps."""
        steps = self.steps[:first] + self.steps[first + count :]
        return replace(self, steps=steps)


_USUAL = Settings()


def read(text: str) -> Story:
    """
    Read what ``str(story)`` wrote; it is code, so read none that you do not trust.

    Raises:
        ValueError: it is no story.

    """
    names = {"Story": Story, "Settings": Settings, "Step": Step, "__builtins__": {}}
    try:
        story = eval(text, names)
    except Exception as error:
        raise ValueError(f"this is no story: {error}") from error
    if not isinstance(story, Story):
        raise ValueError(f"this is no story: {story!r}")
    return story


# -- the dice -----------------------------------------------------------------------

Draw = Callable[[Random], tuple[object, ...]]


def _nothing(dice: Random) -> tuple[object, ...]:
    return ()


def _seconds(least: float, most: float) -> Draw:
    return lambda dice: (round(dice.uniform(least, most), 3),)


def _way(dice: Random) -> tuple[object, ...]:
    return (dice.choice(WAYS),)


def _one_of(*values: object) -> Draw:
    return lambda dice: (dice.choice(values),)


def _subscribe(dice: Random) -> tuple[object, ...]:
    policy = dice.choice(("error", "drop_oldest", "drop_newest", "pause"))
    return dice.choice(CHANNELS), policy, dice.random() < 0.3  # with recv_many()


def _send(dice: Random) -> tuple[object, ...]:
    when_down = dice.choice(("wait", "wait", "queue", "queue", "raise", "drop"))
    patience = round(dice.uniform(0, 20), 3) if dice.random() < 0.3 else None
    return when_down, patience, dice.choice(SIZES)


def _sends(dice: Random) -> tuple[object, ...]:
    when_down = dice.choice(("wait", "queue", "raise", "drop"))
    return when_down, dice.randint(2, 30), dice.choice(SIZES)


def _send_many(dice: Random) -> tuple[object, ...]:
    when_down = dice.choice(("wait", "wait", "raise"))
    patience = round(dice.uniform(0, 20), 3) if dice.random() < 0.3 else None
    return when_down, patience, dice.choice((2, 10, 60)), dice.choice(SIZES)


def _answer(dice: Random) -> tuple[object, ...]:
    how = dice.choice(tuple(ANSWERS))
    return how, dice.randint(1, 4), *ANSWERS[how](dice)


ANSWERS: dict[str, Draw] = {
    "status": _one_of(403, 408, 425, 429, 500, 502, 503, 504),
    "retry after": _one_of(1, 5, 20),
    "close": _one_of(*CODES),
    "hang up": _nothing,
    "reset": _nothing,
    "mute": _nothing,
    "mute after 101": _nothing,
    "drip": _nothing,
    "half a frame": _nothing,
    "no hello": _nothing,
    "garbage": _nothing,
}
"""How a server meets a client, other than well, and the arguments."""

KINDS: dict[str, tuple[int, Draw]] = {
    # What the user does.
    "subscribe": (14, _subscribe),
    "unsubscribe": (8, _one_of(*range(4))),
    "send": (14, _send),
    "sends": (4, _sends),
    "send many": (4, _send_many),
    "reconnect": (2, _nothing),
    "mark_healthy": (2, _nothing),
    "stop reading": (4, _one_of(*range(4))),
    "read again": (4, _one_of(*range(4))),
    "suspend": (1, _seconds(1, 400)),
    # What the network does.
    "reset": (5, _nothing),
    "eof": (3, _way),
    "silence": (3, _way),
    "stall": (2, _way),
    "heal": (3, _nothing),
    "partition": (2, _nothing),
    "mend": (3, _nothing),
    "latency": (1, _seconds(0.001, 2)),
    "slow DNS": (1, _seconds(0, 15)),
    "no DNS": (1, _one_of(True, False, False)),
    "stalls at": (1, _one_of("DNS", "TCP", "TLS", "UPGRADE", None, None)),
    # What the server does.
    "crash": (2, _nothing),
    "power off": (1, _nothing),
    "restart": (4, _nothing),
    "pause": (1, _nothing),
    "resume": (2, _nothing),
    "move": (1, _nothing),
    "refuse": (1, _one_of(True, False, False)),
    "answer": (6, _answer),
    "close": (3, _one_of(*CODES)),
    "garbage": (1, _nothing),
    "half a frame": (1, _nothing),
    "burst": (4, _one_of(5, 30, 100)),
    "no acks": (1, _one_of(True, False, False)),
}
"""Each kind of step: how often it is drawn, and its arguments."""


def draw(seed: int) -> Story:
    """Draw the story of a seed."""
    dice = Random(seed)
    names = list(KINDS)
    weights = [KINDS[name][0] for name in names]
    at = 0.0
    steps = [Step(0.0, "subscribe", _subscribe(dice))]
    for _ in range(dice.randint(10, 45)):
        at += dice.expovariate(1 / dice.choice((0.05, 2.0, 8.0)))
        kind = dice.choices(names, weights)[0]
        steps.append(Step(round(at, 4), kind, KINDS[kind][1](dice)))
    return Story(seed=seed, settings=_settings(dice), steps=tuple(steps))


def _settings(dice: Random) -> Settings:
    latency = dice.choice((0.0001, 0.02, 0.3))
    return Settings(
        hello=dice.random() < 0.8,
        acks=dice.random() < 0.4,
        pushed=dice.random() < 0.7,
        first=dice.choice(("background", "background", "wait", "wait", "raise")),
        calm=dice.random() < 0.7,
        ending=dice.choice(("close", "leave", "cancel")),
        recv_timeout=dice.choice((None, None, 15.0)),
        ping_interval=dice.choice((5.0, 20.0)),
        ping_timeout=dice.choice((5.0, 20.0)),
        close_timeout=dice.choice((1.0, 5.0)),
        write_timeout=dice.choice((5.0, 30.0)),
        slow_timeout=dice.choice((10.0, 60.0)),
        stable_after=dice.choice((3.0, 10.0)),
        base=dice.choice((0.1, 1.0)),
        cap=dice.choice((5.0, 30.0)),
        max_messages=dice.choice((1, 4, 16)),
        every=dice.choice((0.7, 2.0, 4.0)),
        latency=(latency, latency * 3),
        capacity=dice.choice((512, 65536)),
    )
