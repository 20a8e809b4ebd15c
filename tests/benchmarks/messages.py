"""What a message costs: received, sent, there and back."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle, islice

from .job import Job
from .libraries.session import Library, Session
from .texts import CYCLE, json_texts, plain_texts

__all__ = ("MEASURES", "measure_messages")

BATCH = 1000  # messages of a send_many()
ENOUGH = 0.7  # of the seconds to measure: what was shorter only warmed up
GROWTH = 8  # times as many messages, at most, in the next trial


@dataclass(slots=True)
class Trial:
    """A session under measurement, and what it is to send."""

    session: Session
    texts: list[str]
    trips: list[float] = field(default_factory=list)
    prepared: list[object] = field(default_factory=list)


async def receive(trial: Trial, count: int) -> None:
    recv = trial.session.recv
    assert recv is not None
    for _ in range(count):
        await recv()


async def iterate(trial: Trial, count: int) -> None:
    assert trial.session.messages is not None
    async for _ in trial.session.messages:
        count -= 1
        if not count:
            return


async def take(trial: Trial, count: int) -> None:
    assert trial.session.take is not None
    await trial.session.take(count)


async def send(trial: Trial, count: int) -> None:
    call = trial.session.send
    assert call is not None
    for text in islice(cycle(trial.texts), count):
        await call(text)


async def send_many(trial: Trial, count: int) -> None:
    session = trial.session
    assert session.send_many is not None
    if not trial.prepared:
        trial.prepared = session.prepare(list(islice(cycle(trial.texts), BATCH)))
    for _ in range(count // BATCH):
        await session.send_many(trial.prepared)


async def round_trip(trial: Trial, count: int) -> None:
    call, recv, note = trial.session.send, trial.session.recv, trial.trips.append
    [text] = trial.texts
    assert call is not None
    assert recv is not None
    now = time.perf_counter
    for _ in range(count):
        began = now()
        await call(text)
        await recv()
        note(now() - began)


@dataclass(frozen=True, slots=True)
class Measure:
    """What is done, with which service of the peer; ``unit`` messages at a time."""

    service: str
    run: Callable[[Trial, int], Awaitable[None]]
    unit: int = 1


MEASURES = {
    "receive": Measure("flood", receive),
    "iterate": Measure("flood", iterate),
    "take": Measure("flood", take),
    "send": Measure("sink", send),
    "send-many": Measure("sink", send_many, unit=BATCH),
    "round-trip": Measure("echo", round_trip),
    "route": Measure("topics", take, unit=CYCLE),
}


async def measure_messages(
    job: Job, library: Library, tell: Callable[[dict[str, float]], None]
) -> None:
    """Tell the CPU and wall seconds of a message, and those of the median trip."""
    measure = MEASURES[job.measure]
    number = job.settings.get("topics", job.size)
    texts = json_texts(job.size) if job.deflate else plain_texts(job.size)
    async with (
        library(job) as connect,
        connect(f"{job.url}/{measure.service}/{number}") as one,
    ):
        trial = Trial(one, texts)
        await measure.run(trial, measure.unit)  # the peer may still prepare
        sent, count, wall, cpu = measure.unit, max(16, measure.unit), 0.0, 0.0
        while True:
            trial.trips.clear()
            wall, cpu = time.perf_counter(), time.process_time()
            await measure.run(trial, count)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            sent += count
            if wall >= ENOUGH * job.seconds:
                break
            more = min(GROWTH, job.seconds / wall)
            count = math.ceil(count * more / measure.unit) * measure.unit
        figures = {"cpu": cpu / count, "wall": wall / count}
        if trial.trips:
            figures["p50"] = statistics.median(trial.trips)
        if job.deflate and measure.service == "sink":
            figures["said"] = job.size * sent
        tell(figures)
