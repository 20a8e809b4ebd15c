"""Random trouble for a simulated network: what breaks, when, and until when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import anyio

from ..errors import Phase
from .link import Link
from .network import Host, Network

__all__ = ("TROUBLES", "trouble")

Heal = Callable[[], None]
Trouble = Callable[[Network, Random], "Heal | None"]
"""Breaks something that the dice choose; returns what ends it, if it can be ended."""


async def trouble(
    network: Network,
    *,
    seed: int = 0,
    every: float = 30.0,
    lasting: float = 10.0,
    kinds: Sequence[str] = (),
) -> None:
    """
    Break something of the network again and again, for ever; run it in a task.

    ::

        async with anyio.create_task_group() as group:
            group.start_soon(partial(trouble, network, seed=7))
            ...
            group.cancel_scope.cancel()

    The seed decides what, where and when, the same each time. Cancelled, it ends all
    that can be ended.

    Args:
        network: whose links and hosts have trouble.
        seed: of the dice.
        every: seconds from one trouble to the next, on average.
        lasting: seconds until one ends, on average.
        kinds: names of :data:`TROUBLES`; none: all of them.

    Raises:
        ValueError: there is no such kind.

    """
    chosen = list(kinds or TROUBLES)
    if unknown := set(chosen) - set(TROUBLES):
        raise ValueError(f"no trouble is called {sorted(unknown)}: {list(TROUBLES)}")
    random = Random(seed)

    async def last(seconds: float, heal: Heal) -> None:
        try:
            await anyio.sleep(seconds)
        finally:
            heal()

    async with anyio.create_task_group() as group:
        while True:
            await anyio.sleep(random.expovariate(1 / every))
            heal = TROUBLES[random.choice(chosen)](network, random)
            if heal is not None:
                group.start_soon(last, random.expovariate(1 / lasting), heal)


def _link(network: Network, random: Random) -> Link | None:
    """One of those that are open."""
    live = network.live
    return random.choice(live) if live else None


def _server(network: Network, random: Random) -> Host | None:
    """One of the hosts on which somebody listens."""
    hosts = [host for host in network.hosts if host.listens]
    return random.choice(hosts) if hosts else None


def _to_link(act: Callable[[Link, Random], bool]) -> Trouble:
    """Trouble of a link; ``act`` tells whether it can be healed."""

    def trouble(network: Network, random: Random) -> Heal | None:
        link = _link(network, random)
        if link is None or not act(link, random):
            return None
        return link.heal

    return trouble


def _to_server(begin: Callable[[Host], None], end: Callable[[Host], None]) -> Trouble:
    def trouble(network: Network, random: Random) -> Heal | None:
        host = _server(network, random)
        if host is None:
            return None
        begin(host)
        return lambda: end(host)

    return trouble


def _setting(name: str, broken: object, sound: object) -> Trouble:
    """Trouble that is a setting of a host."""
    return _to_server(
        lambda host: setattr(host, name, broken),
        lambda host: setattr(host, name, sound),
    )


def _reset(link: Link, _: Random) -> bool:
    link.reset()
    return False


def _eof(link: Link, random: Random) -> bool:
    link.eof(random.choice(("up", "down", "both")))
    return False


def _silence(link: Link, random: Random) -> bool:
    link.silence(random.choice(("up", "down", "both")))
    return True


def _stall(link: Link, random: Random) -> bool:
    link.stall(random.choice(("up", "down", "both")))
    return True


def _partition(network: Network, random: Random) -> Heal | None:
    link = _link(network, random)
    if link is None:
        return None
    network.partition(link.near, link.far)
    return lambda: network.heal(link.near, link.far)


def _move(network: Network, random: Random) -> Heal | None:
    host = _server(network, random)
    if host is not None:
        host.move()
    return None


TROUBLES: dict[str, Trouble] = {
    "reset": _to_link(_reset),
    "eof": _to_link(_eof),
    "silence": _to_link(_silence),
    "stall": _to_link(_stall),
    "partition": _partition,
    "crash": _to_server(Host.crash, Host.restart),
    "power_off": _to_server(Host.power_off, Host.restart),
    "pause": _to_server(Host.pause, Host.resume),
    "move": _move,
    "refuse": _setting("refuses", True, False),
    "slow DNS": _setting("lookup", 20.0, 0.0),
    "no DNS": _setting("lookup_error", OSError("no name server answers"), None),
    "stall at DNS": _setting("stalls_at", Phase.DNS, None),
    "stall at TCP": _setting("stalls_at", Phase.TCP, None),
    "stall at TLS": _setting("stalls_at", Phase.TLS, None),
    "stall at the upgrade": _setting("stalls_at", Phase.UPGRADE, None),
}
"""What can go wrong, by name."""
