"""``wsclient demo``: the main job before your eyes, and the proof that it was done."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import anyio

from ..client.client import Client
from ..errors import WebSocketError
from ..subprotocols import JsonTopics
from ..supervisor import (
    Attempt,
    Events,
    FullJitter,
    Gap,
    Subscription,
)
from .host import Host, HostError
from .ledger import Message, Verdict, compare, read_ledger
from .running import INTERRUPTED, run_command
from .schedule import CHANNELS, GENERATION, Due, schedule
from .story import LogLines, Story
from .view import HINT, has_rich, report, showing

__all__ = ("SERVER", "Settings", "run")

SERVER = (sys.executable, "-m", "wsclient.cli.demo_server")
SPARE = 60.0  # seconds beyond twice the duration after which it has failed

AGREE, DISAGREE = 0, 1


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What the command line says; ``duration`` is in seconds.

    ``server`` is the command of the server's process, ``patience`` the time in seconds
    after which the demo is broken off.

    """

    duration: float = 30.0
    seed: int = 1
    backend: str = "asyncio"
    plain: bool = False
    server: tuple[str, ...] = SERVER
    patience: float | None = None


class Demo:
    """One run: a server that misbehaves, a client that lives through it."""

    def __init__(
        self, settings: Settings, directory: Path, plan: tuple[Due, ...], story: Story
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._story = story
        self._playing = anyio.CancelScope()
        self._settled: set[str] = set()
        self._directory = directory
        self._host = Host(
            settings.server,
            directory,
            seed=settings.seed,
            backend=settings.backend,
            subscribed=story.subscribed,
        )
        self.interrupted = False

    async def run(self) -> Verdict:
        """Live through the schedule, or as much as there is time for; compare."""
        story = self._story
        async with self._host, anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(self._heed_signals, scope)
                with self._playing:
                    await self._host.start()
                if not self.interrupted:
                    await self._play()
            group.cancel_scope.cancel()
        verdict = compare(
            read_ledger(self._directory), story.received, frozenset(self._settled)
        )
        over = story.incidents[: -1 if self.interrupted else None]
        faults = [fault for each in over if (fault := each.fault())]
        return replace(verdict, faults=(*verdict.faults, *faults))

    async def _play(self) -> None:
        """Have a client while the schedule runs; read on to the end behind it."""
        story = self._story
        client = self._client()
        story.stats = lambda: client.stats
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._observe, client.events())
            async with client:
                for channel in CHANNELS:
                    subscription = await client.subscribe({"channel": channel})
                    readers.start_soon(self._consume, channel, subscription)
                with anyio.CancelScope() as self._playing:
                    if not self.interrupted:
                        await self._conduct()
            # The client is closed: what is queued is read, then the readers end.

    def _client(self) -> Client[object]:
        settings = self._settings
        dice = Random(f"{settings.seed} client")
        return Client(
            f"ws://127.0.0.1:{self._host.port}/",
            headers=generation_header,
            subprotocol=JsonTopics(key="channel"),
            wait=FullJitter(base=0.2, cap=1.0, random=dice),
            first="background",
            open_timeout=1.5,
            prepare_timeout=10,
            stable_after=0.4,
            ping_interval=0.5,
            ping_timeout=2,
            random=dice,
        )

    async def _observe(self, events: Events) -> None:
        async for event in events:
            self._story.observe(event)

    async def _consume(self, channel: str, subscription: Subscription[object]) -> None:
        async for item in subscription.with_gaps():
            entry = item if isinstance(item, Gap) else message_of(item)
            self._story.take(channel, entry)

    async def _conduct(self) -> None:
        """Let happen what the schedule says, each trouble to a settled connection."""
        for due in self._plan:
            while not await self._trouble(due):
                pass
        await self._settle()

    async def _settle(self) -> str:
        story = self._story
        await story.until(lambda: story.settled() is not None)
        connection = story.settled()
        assert connection is not None
        self._settled.add(connection)
        return connection

    async def _trouble(self, due: Due) -> bool:
        """Make trouble; False if the connection was gone before."""
        story, trouble = self._story, due.trouble
        connection = await self._settle()
        await anyio.sleep(due.peace)
        generation = story.generation
        if story.connections.get(generation) != connection:
            return False
        incident = story.begin(trouble, generation)
        if trouble.drop == "kill":
            await self._host.kill()
            await story.until(lambda: trouble.refusal in incident.refusals)
            await self._host.start()
        elif not await self._host.ask(connection, trouble):
            story.withdraw(incident)
            return False
        await story.until(lambda: incident.reason is not None)
        return True

    async def _heed_signals(self, scope: anyio.CancelScope) -> None:
        """End early at the first Ctrl-C, at once at the second."""
        if sys.platform == "win32":  # no signals for event loops: KeyboardInterrupt
            return
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self.interrupted:
                    scope.cancel()
                self.interrupted = True
                self._story.say("interrupted: leaving; once more to leave at once")
                self._playing.cancel()


async def generation_header(attempt: Attempt) -> dict[str, str]:
    """Tell the server the number that the connection will bear."""
    return {GENERATION: str(attempt.generation)}


def message_of(item: object) -> Message:
    """Make an entry of the ledger of what the client received."""
    match item:
        case {
            "connection": str(connection),
            "number": int(number),
            "channel": str(channel),
            "value": str(value),
        }:
            return Message(connection, number, channel, value)
    raise ValueError(f"the server sent what it never sends: {item!r}")


async def demonstrate(settings: Settings) -> int:
    """Run the demo, say what it has shown, and return the exit status."""
    plan = schedule(settings.duration, Random(f"{settings.seed} schedule"))
    story = Story(CHANNELS, anyio.current_time, len(plan))
    plain = settings.plain or not has_rich() or not sys.stdout.isatty()
    title = (
        f"wsclient demo: {len(plan)} troubles on {settings.backend}; "
        f"--seed {settings.seed} repeats them"
    )
    log = logging.getLogger("wsclient")
    lines = LogLines(story.say)
    log.addHandler(lines)
    verdict = None
    why = "it did not come to its end in time"
    try:
        with tempfile.TemporaryDirectory(prefix="wsclient-demo-") as directory:
            demo = Demo(settings, Path(directory), plan, story)
            async with showing(story, title, plain=plain):
                with anyio.move_on_after(
                    settings.patience or 2 * settings.duration + SPARE
                ):
                    try:
                        verdict = await demo.run()
                    except* (HostError, WebSocketError) as group:
                        why = "; ".join(str(error) for error in leaves(group))
    finally:
        log.removeHandler(lines)
    if demo.interrupted and not (verdict and verdict.received):
        print("\nInterrupted before anything was received: nothing to compare.")
        return INTERRUPTED
    if verdict is None:
        print(f"\nFAILED: {why}")
        return DISAGREE
    return tell(verdict, story, interrupted=demo.interrupted)


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """Return the errors of a group, however deep it is."""
    found: list[BaseException] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += leaves(error)
        else:
            found.append(error)
    return found


def tell(verdict: Verdict, story: Story, *, interrupted: bool) -> int:
    """Print the verdict and return the exit status."""
    for line in report(verdict, story):
        print(line)
    if verdict.faults:
        print("\nFAILED: the ledgers do not agree:")
        for fault in verdict.faults:
            print(f"  {fault}")
        return DISAGREE
    print(
        "\nOK: for each generation exactly a prefix of what was written was received, "
        "in order;\neverything else lies under a gap, and each subscription was said "
        "once to each connection."
    )
    return INTERRUPTED if interrupted else AGREE


def run(settings: Settings) -> int:
    """
    Run the demo and return the exit status.

    0: the ledgers agree, 1: they do not, or it could not be finished, 2: this Python
    lacks what was asked for, 130: it was interrupted and nothing was wrong, 141: nobody
    reads what it says.

    """
    if not settings.plain and not has_rich():
        print(HINT)
    return run_command(demonstrate, settings, backend=settings.backend)
