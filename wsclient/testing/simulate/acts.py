"""What the steps of a story do: one function a kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ...errors import Phase
from ..clock import suspend
from ..link import Link
from ..network import Host, Network
from ..peer import Peer
from .feed import Feed
from .story import Step
from .user import User

__all__ = ("Stage", "act")


@dataclass(frozen=True, slots=True)
class Stage:
    """All that a step may touch."""

    user: User
    network: Network
    host: Host
    feed: Feed

    def link(self) -> Iterator[Link]:
        """The connection that is live, if there is one."""
        yield from self.network.live[-1:]

    def peer(self) -> Iterator[Peer]:
        """The server's end of it, if it may still say something."""
        life = self.feed.life
        if life is not None and life.peer.endpoint.close_sent is None:
            yield life.peer


async def act(stage: Stage, step: Step) -> None:
    """Do what a step says."""
    await _ACTS[step.kind](stage, *step.args)


# -- the user -----------------------------------------------------------------------


async def _subscribe(
    stage: Stage, channel: str, policy: str, many: bool = False
) -> None:
    await stage.user.subscribe(channel, policy, many=many)


async def _unsubscribe(stage: Stage, index: int) -> None:
    await stage.user.unsubscribe(index)


async def _stop_reading(stage: Stage, index: int) -> None:
    stage.user.stop_reading(index)


async def _read_again(stage: Stage, index: int) -> None:
    stage.user.read_again(index)


async def _send(
    stage: Stage, when_down: str, patience: float | None, size: int = 0
) -> None:
    stage.user.send(when_down, patience, size)


async def _sends(stage: Stage, when_down: str, count: int, size: int = 0) -> None:
    for _ in range(count):
        stage.user.send(when_down, None, size)


async def _send_many(
    stage: Stage, when_down: str, patience: float | None, count: int, size: int = 0
) -> None:
    stage.user.send_many(when_down, patience, count, size)


async def _reconnect(stage: Stage) -> None:
    stage.user.reconnect()


async def _mark_healthy(stage: Stage) -> None:
    stage.user.mark_healthy()


async def _suspend(stage: Stage, seconds: float) -> None:
    for _ in range(3):  # who has begun to call something is through with it
        await checkpoint()
    suspend(seconds)
    stage.user.woke_at = anyio.current_time()
    await checkpoint()


# -- the network --------------------------------------------------------------------


async def _reset(stage: Stage) -> None:
    for link in stage.link():
        link.reset()


async def _eof(stage: Stage, way: Any) -> None:
    for link in stage.link():
        link.eof(way)


async def _silence(stage: Stage, way: Any) -> None:
    for link in stage.link():
        link.silence(way)


async def _stall(stage: Stage, way: Any) -> None:
    for link in stage.link():
        link.stall(way)


async def _heal(stage: Stage) -> None:
    for link in stage.link():
        link.heal()


async def _partition(stage: Stage) -> None:
    stage.network.partition("client", stage.host.name)


async def _mend(stage: Stage) -> None:
    stage.network.heal()


async def _latency(stage: Stage, seconds: float) -> None:
    stage.network.latency = seconds, 2 * seconds


async def _slow_dns(stage: Stage, seconds: float) -> None:
    stage.host.lookup = seconds


async def _no_dns(stage: Stage, broken: bool) -> None:
    stage.host.lookup_error = OSError("no name server answers") if broken else None


async def _stalls_at(stage: Stage, phase: str | None) -> None:
    stage.host.stalls_at = None if phase is None else Phase(phase)


# -- the server ---------------------------------------------------------------------


async def _crash(stage: Stage) -> None:
    stage.host.crash()


async def _power_off(stage: Stage) -> None:
    stage.host.power_off()


async def _restart(stage: Stage) -> None:
    if not stage.host.up:
        stage.host.restart()


async def _pause(stage: Stage) -> None:
    stage.host.pause()


async def _resume(stage: Stage) -> None:
    stage.host.resume()


async def _move(stage: Stage) -> None:
    stage.host.move()


async def _refuse(stage: Stage, refuses: bool) -> None:
    stage.host.refuses = refuses


async def _answer(stage: Stage, how: str, count: int, *arguments: object) -> None:
    stage.feed.answers.extend([(how, *arguments)] * count)


async def _no_acks(stage: Stage, silent: bool) -> None:
    stage.feed.silent_acks = silent


async def _close(stage: Stage, code: int | None) -> None:
    for peer in stage.peer():
        with suppress(EOFError):  # it has just said Close
            peer.close(code)


async def _garbage(stage: Stage) -> None:
    for peer in stage.peer():
        with suppress(EOFError):
            peer.write(b"\xff\xff")


async def _half_a_frame(stage: Stage) -> None:
    for peer in stage.peer():
        with suppress(EOFError):
            peer.write(peer.endpoint.encode("x" * 100)[:20])
        peer.polite = False


async def _burst(stage: Stage, count: int) -> None:
    life = stage.feed.life
    if life is not None and life.peer.closed_at is None:
        for channel in list(life.topics):
            for _ in range(count):
                stage.feed.publish(life, channel)


async def _calm(stage: Stage) -> None:
    """End all trouble; what was done to links that are no more stays."""
    network, host = stage.network, stage.host
    stage.feed.answers.clear()
    stage.feed.silent_acks = False
    host.lookup, host.lookup_error = 0.0, None
    host.refuses, host.stalls_at = False, None
    await _restart(stage)
    host.resume()
    network.heal()
    for link in network.links:
        link.heal()
    stage.user.woke_at = anyio.current_time()
    for index in range(len(stage.user.handles)):
        stage.user.read_again(index)


_ACTS: dict[str, Callable[..., Awaitable[None]]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "send": _send,
    "sends": _sends,
    "send many": _send_many,
    "reconnect": _reconnect,
    "mark_healthy": _mark_healthy,
    "stop reading": _stop_reading,
    "read again": _read_again,
    "suspend": _suspend,
    "reset": _reset,
    "eof": _eof,
    "silence": _silence,
    "stall": _stall,
    "heal": _heal,
    "partition": _partition,
    "mend": _mend,
    "latency": _latency,
    "slow DNS": _slow_dns,
    "no DNS": _no_dns,
    "stalls at": _stalls_at,
    "crash": _crash,
    "power off": _power_off,
    "restart": _restart,
    "pause": _pause,
    "resume": _resume,
    "move": _move,
    "refuse": _refuse,
    "answer": _answer,
    "close": _close,
    "garbage": _garbage,
    "half a frame": _half_a_frame,
    "burst": _burst,
    "no acks": _no_acks,
    "calm": _calm,
}
