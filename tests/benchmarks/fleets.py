"""What many connections cost: to open, to hold, and to have back."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskStatus

from .job import Job
from .libraries.session import Connect, Keep, Library

__all__ = (
    "measure_at_once",
    "measure_comeback",
    "measure_idle",
    "measure_in_turn",
)

Tell = Callable[[dict[str, float]], None]
WINDOW = 0.1  # seconds: how close together is too close for a server


async def measure_in_turn(job: Job, library: Library, tell: Tell) -> None:
    """Tell the CPU and wall seconds to connect, and close again."""
    async with library(job) as connect:

        async def run(count: int) -> None:
            for _ in range(count):
                async with connect(f"{job.url}/idle/0"):
                    pass

        await run(10)
        began, count = time.perf_counter(), 0
        cpu = time.process_time()
        while time.perf_counter() - began < job.seconds:
            await run(10)
            count += 10
        cpu, wall = time.process_time() - cpu, time.perf_counter() - began
        tell({"cpu": cpu / count, "wall": wall / count})


async def measure_at_once(job: Job, library: Library, tell: Tell) -> None:
    """Tell the CPU and wall seconds a connection of many begun at the same time."""
    async with library(job) as connect:
        for _ in range(10):
            async with connect(f"{job.url}/idle/0"):
                pass
        left, done = job.clients, anyio.Event()

        async def hold() -> None:
            nonlocal left
            async with connect(f"{job.url}/idle/0"):
                left -= 1
                if not left:
                    done.set()
                await anyio.sleep_forever()

        wall, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as group:
            for _ in range(job.clients):
                group.start_soon(hold)
            await done.wait()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            tell({"cpu": cpu / job.clients, "wall": wall / job.clients})


async def measure_idle(job: Job, library: Library, tell: Tell) -> None:
    """Tell the bytes of a connection, and the CPU seconds that all take in a second."""
    assert job.keepalive is not None
    async with library(job) as connect, anyio.create_task_group() as group:
        for _ in range(10):
            await group.start(_wait_in, connect, f"{job.url}/idle/0")
        before = resident()
        for _ in range(job.clients):
            await group.start(_wait_in, connect, f"{job.url}/idle/0")
        await anyio.sleep(job.keepalive / 3)
        wall, cpu = time.perf_counter(), time.process_time()
        await anyio.sleep(job.keepalive)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        memory = (resident() - before) / job.clients
        tell({"memory": memory, "load": cpu / wall})


async def _wait_in(
    connect: Connect, url: str, *, task_status: TaskStatus[None]
) -> None:
    """Hold a connection as users do: a task waits for its messages."""
    async with connect(url) as session:
        task_status.started()
        if session.recv is None:
            await anyio.sleep_forever()
        else:
            await session.recv()


def resident() -> int:
    """Return how many bytes of this process are in memory."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def measure_comeback(job: Job, keep: Keep, tell: Tell) -> None:
    """Tell when 50, 95 and 100 % are back, how densely, and how late for their draw."""
    opened = 0
    lates: list[float | None] = []
    all_open, all_back = anyio.Event(), anyio.Event()

    def note(late: float | None) -> None:
        nonlocal opened
        opened += 1
        if opened == job.clients:
            all_open.set()
        elif opened > job.clients:
            lates.append(late)
        if opened == 2 * job.clients:
            all_back.set()

    kept = replace(job, url=f"{job.url}/idle/0")
    async with anyio.create_task_group() as group:
        for _ in range(job.clients):
            group.start_soon(keep, kept, note)
            await anyio.sleep(0.001)  # a herd at the start would overrun the peer
        await all_open.wait()
        cpu = time.process_time()
        back = await _drop(job)
        cpu = time.process_time() - cpu
        await all_back.wait()  # the peer knows; now they do as well
        figures = {"t50": at(0.5, back), "t95": at(0.95, back), "t100": back[-1]}
        figures["share"] = densest(back) / len(back)
        known = sorted(late for late in lates if late is not None)
        if len(known) == job.clients:
            figures["late"] = at(0.95, known)
        tell(figures | {"cpu": cpu / job.clients})


async def _drop(job: Job) -> list[float]:
    """Have all dropped; return when each was back, sorted."""
    port = urlsplit(job.url).port
    assert port is not None
    answer = b""
    async with await anyio.connect_tcp("127.0.0.1", port) as judge:
        await judge.send(f"GET /drop/{job.outage} HTTP/1.1\r\n\r\n".encode())
        try:
            while True:
                answer += await judge.receive()
        except anyio.EndOfStream:
            back: list[float] = json.loads(answer)
            return sorted(back)


def at(share: float, back: list[float]) -> float:
    """Return when so many were back."""
    return back[max(0, round(share * len(back)) - 1)]


def densest(back: list[float]) -> int:
    """Return how many came back within one window, at most."""
    most = first = 0
    for last, time_of_last in enumerate(back):
        while time_of_last - back[first] > WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most
