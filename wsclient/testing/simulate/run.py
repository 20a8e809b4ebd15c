"""Running a story: on a clock of its own, with dice of its own, until it is judged."""

from __future__ import annotations

import gc
import logging
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from time import process_time
from types import FrameType

import anyio

from ..clock import Deadlock, virtual_backend
from .judge import Violation
from .story import Story, draw
from .world import World

__all__ = ("Outcome", "Report", "live", "run")

PATIENCE = 20  # real seconds for one story
LIFETIME = 100_000.0  # virtual ones


@dataclass(frozen=True, slots=True)
class Report:
    """
    How a story went.

    Attributes:
        violation: the first promise that was broken, or None.
        trace: what happened, a line an event.
        seen: the kinds of events and the reasons that the client told.

    """

    story: Story
    backend: str
    violation: Violation | None
    trace: tuple[str, ...]
    seen: frozenset[str]

    @property
    def digest(self) -> str:
        """A short hash of the trace: the same story has the same one."""
        return sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def run(story: Story, backend: str) -> Report:
    """
    Live through a story in virtual time; never raise, but tell what was broken.

    It takes the alarm signal to bound what hangs, so call it in the main thread.

    """
    world = World(story)
    name, options = virtual_backend(backend)
    violation: Violation | None = None
    with _quiet(), _deterministic(backend, story.seed), _bounded():
        try:
            anyio.run(_played, world, backend=name, backend_options=options)
        except Violation as error:
            violation = error
        except TimeoutError:
            violation = Violation("comes to an end", f"not within {LIFETIME:g} s")
        except Deadlock as error:
            violation = Violation("comes to an end", str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            violation = _spun(error) or Violation(
                "raises what is documented", repr(error)
            )
    return Report(
        story, backend, violation, tuple(world.judge.trace), frozenset(world.reasons)
    )


def _spun(error: BaseException) -> Violation | None:
    """The alarm's violation, however many task groups it came through."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Violation) else None


async def _played(world: World) -> None:
    with anyio.fail_after(LIFETIME):
        await world.play()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the log and the collector out of it: a story costs milliseconds."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    gc.collect(1)  # what earlier runs left is not to be taken for this one's
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        logging.disable(before)


@contextmanager
def _deterministic(backend: str, seed: int) -> Iterator[None]:
    """Let trio shuffle its tasks in the same way each time."""
    if backend != "trio":
        yield
        return
    import trio._core._run as trio_run  # the way its own tests do it

    before = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio_run._r = Random(seed)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]


@contextmanager
def _bounded() -> Iterator[None]:
    """End what goes on without time going by."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Violation("comes to an end", f"it spins: {frame}")

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again, should somebody swallow it.
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What is told of one seed on one backend, from process to process.

    Attributes:
        broken: the name of the promise that was, or None.
        cpu: seconds it took.
        seen: what the client told of.
        kinds: the kinds of steps, and how many.

    """

    seed: int
    backend: str
    broken: str | None
    cpu: float
    seen: frozenset[str]
    kinds: Counter[str]

    def __str__(self) -> str:
        return f"seed {self.seed} on {self.backend}"


def live(seeds: Iterable[tuple[int, str]]) -> list[Outcome]:
    """Live through the stories of seeds, each on its backend."""
    outcomes: list[Outcome] = []
    for seed, backend in seeds:
        story = draw(seed)
        began = process_time()
        report = run(story, backend)
        outcomes.append(
            Outcome(
                seed,
                backend,
                None if report.violation is None else report.violation.check,
                process_time() - began,
                report.seen,
                Counter(step.kind for step in story.steps),
            )
        )
    return outcomes
