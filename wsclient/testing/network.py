"""A simulated network: hosts, the links between them, and all that goes wrong."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from random import Random
from typing import Any

import anyio
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from ..errors import ConnectError, Facts, Phase, Reason
from ..transport.sockets import BUFFER_SIZE, authority, text_of
from ..wire import Dial, Listener, Reached, Wire
from .clock import on_asyncio
from .link import Link
from .wires import Address, SimulatedWire, wire_pair

__all__ = ("Dialled", "Host", "Network")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """
    The record of one dial that has ended.

    Attributes:
        began, ended: when, on the event loop's clock.
        near: the name of the host that dialled.
        host, port: what was dialled.
        link: the link that came about; None: none did.
        error: what the caller was told instead of being given a wire. With neither
            link nor error the caller went away.

    """

    began: float
    ended: float
    near: str
    host: str
    port: int
    link: Link | None = None
    error: ConnectError | None = None


class Host:
    """
    A host of a simulated network; made by :meth:`Network.host`.

    Attributes:
        name: what it is dialled by.
        address: its IP address; :meth:`move` gives it another one.
        links: those that lead here or from here and are not :attr:`Link.over`.
        lookup: seconds that finding its address takes; ``math.inf``: for ever.
        lookup_error: what finding its address ends with; None: the address.
        refuses: whether dials are refused though somebody listens.

    """

    def __init__(self, network: Network, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.links: list[Link] = []
        self.lookup = 0.0
        self.lookup_error: OSError | None = None
        self.refuses = False
        self._stalls_at: Phase | None = None
        self._network = network
        self._listeners: dict[int, _Listener] = {}
        self._crashed = False
        self._off = False
        self._paused = False

    def __repr__(self) -> str:
        return f"<Host {self.name} at {self.address}>"

    @property
    def stalls_at(self) -> Phase | None:
        """
        The phase in which every dial from now on stands still; None: in none.

        DNS for ever, TCP until this is changed, TLS and UPGRADE until the link is
        healed.

        """
        return self._stalls_at

    @stalls_at.setter
    def stalls_at(self, phase: Phase | None) -> None:
        self._stalls_at = phase
        self._network._stir()

    async def listen(self, host: str | None = None, port: int = 0) -> list[Listener]:
        """
        Listen here: ``serve(handler, "feed.test", 80, listen=host.listen)``.

        Raises:
            OSError: the port is in use.

        """
        await checkpoint()
        if not port:
            port = next(port for port in count(49_152) if port not in self._listeners)
        if port in self._listeners:
            raise OSError(errno.EADDRINUSE, f"port {port} of {self.name} is in use")
        listener = self._listeners[port] = _Listener(self, port)
        return [listener]

    @property
    def listens(self) -> bool:
        """Whether somebody listens here."""
        return bool(self._listeners)

    @property
    def up(self) -> bool:
        """Whether it runs: neither crashed nor without power."""
        return not (self._crashed or self._off)

    def crash(self) -> None:
        """Kill its processes: links are reset, dials refused, until :meth:`restart`."""
        self._crashed = True
        self._end_links(losing=False)

    def power_off(self) -> None:
        """Lose the machine: links fall silent, dials hang, until :meth:`restart`."""
        self._off = True
        for link in self.links:
            link._silence("power")

    def restart(self) -> None:
        """
        Come back after :meth:`crash` or :meth:`power_off`.

        It knows nothing of its links of before: who uses them is told by a reset. What
        listened listens again.

        """
        self._end_links(losing=True)
        self._crashed = self._off = False
        self._network._stir()

    def pause(self) -> None:
        """
        Stop its processes, as SIGSTOP does: nothing is read, nothing sent.

        Its kernel goes on: dials are taken, and then nothing comes.

        """
        self._paused = True
        for link in self.links:
            link._silence("pause")

    def resume(self) -> None:
        """Let its processes go on: what has come is read now."""
        self._paused = False
        for link in self.links:
            link._heal("pause")

    def move(self) -> None:
        """Take another address: its links are dead, silently, and dials find it."""
        for link in self.links:
            link._silence("moved")
        self.links.clear()
        self.address = self._network._address()

    def _end_links(self, *, losing: bool) -> None:
        for link in self.links:
            link._heal("power")
            link.reset(losing=losing)

    def _listener(self, port: int) -> _Listener | None:
        """Who takes a dial of this port; None: nobody."""
        if self._crashed or self.refuses:
            return None
        return self._listeners.get(port)


class _Listener:
    """One port of a host on which somebody listens."""

    def __init__(self, host: Host, port: int) -> None:
        self.port = port
        self._host = host
        self._backlog: deque[SimulatedWire] = deque()
        self._news = anyio.Event()
        self._closed = False

    @property
    def address(self) -> Address:
        return self._host.address, self.port

    def arrive(self, wire: SimulatedWire) -> None:
        self._backlog.append(wire)
        self._news.set()

    async def accept(self) -> tuple[Wire, Any]:
        await checkpoint()
        while not self._backlog:
            if self._closed:
                raise anyio.ClosedResourceError
            self._news = anyio.Event()
            await self._news.wait()
        wire = self._backlog.popleft()
        return wire, wire.extra_attributes[SocketAttribute.remote_address]()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            del self._host._listeners[self.port]
            while self._backlog:
                self._backlog.popleft().abort()
            self._news.set()


class Network:
    """
    A network in memory, on virtual time: dial through it with ``dial=network.dial``.

    ::

        network = Network(seed=7)
        feed = network.host("feed.test")
        async with (
            serve(handler, "feed.test", 80, listen=feed.listen),
            Client("ws://feed.test/", dial=network.dial) as client,
        ):
            feed.links[-1].reset()  # now see the client come back

    The wires are the real ones, on simulated sockets. All dice are the seed's: the same
    seed and the same calls give the same story.

    Args:
        seed: of the dice.
        latency: seconds from sending to arrival, the least and the most: each link
            draws its own, the same both ways.
        bandwidth: bytes a second each way; None: no bound.
        capacity: bytes that each way of a link holds.
        pushed: whether wires are asyncio's kind; None: where that is possible.

    Attributes:
        links: every link there was.
        dials: the record of every dial that has ended.
        most_live: how many links from one host were :attr:`Link.live` at once, at most.
        on_link: called with each new link before anything has passed, to prepare it;
            None: nobody.

    """

    def __init__(
        self,
        *,
        seed: int = 0,
        latency: tuple[float, float] = (0.01, 0.05),
        bandwidth: float | None = None,
        capacity: int = BUFFER_SIZE,
        pushed: bool | None = None,
    ) -> None:
        self.latency = latency
        self.bandwidth = bandwidth
        self.capacity = capacity
        self.links: list[Link] = []
        self.dials: list[Dialled] = []
        self.most_live = 0
        self.on_link: Callable[[Link], object] | None = None
        self._pushed = pushed
        self._random = Random(seed)
        self._hosts: dict[str, Host] = {}
        self._numbers = count(1)
        self._partitions: set[frozenset[str]] = set()
        self._news = anyio.Event()
        self.dial: Dial = self.dial_from("client")

    def host(self, name: str) -> Host:
        """Return the host of that name; the first call makes it."""
        if name not in self._hosts:
            self._hosts[name] = Host(self, name, self._address())
        return self._hosts[name]

    def dial_from(self, name: str) -> Dial:
        """Return a ``dial=`` that leads away from that host; ``dial`` from "client"."""
        near = self.host(name)

        async def dial(
            host: str, port: int, *, tls: object | None, reached: Reached
        ) -> Wire:
            return await _Dialling(self, near, host, port).run(tls, reached)

        return dial

    @property
    def hosts(self) -> list[Host]:
        """Every host there is, in the order they were made."""
        return list(self._hosts.values())

    @property
    def live(self) -> list[Link]:
        """The links that are :attr:`Link.live`."""
        return [link for link in self.links if link.live]

    def partition(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts any more, until :meth:`heal`."""
        cause = frozenset((one, other))
        self._partitions.add(cause)
        for link in self.host(one).links:
            if cause == {link.near, link.far}:
                link._silence(cause)

    def heal(self, one: str | None = None, other: str | None = None) -> None:
        """
        End the partition between two hosts, or every one.

        What was on its way arrives now, dials that hang go on.

        """
        healed = set(self._partitions)
        if one is not None and other is not None:
            healed &= {frozenset((one, other))}
        for cause in healed:
            for link in self.links:
                link._heal(cause)
        self._partitions -= healed
        self._stir()

    # What hosts and dials need of it.

    def _address(self) -> str:
        number = next(self._numbers)
        return f"198.18.{number >> 8}.{number & 255}"  # RFC 2544: of benches

    def _stir(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _passes(self, near: Host, far: Host) -> bool:
        parted = frozenset((near.name, far.name)) in self._partitions
        return not (parted or near._off or far._off or far.stalls_at is Phase.TCP)

    def _join(self, near: Host, far: Host, listener: _Listener, latency: float) -> Link:
        on_both = on_asyncio() if self._pushed is None else self._pushed
        number = len(self.links) + 1
        here = near.address, 49_152 + number % 16_384
        wires = wire_pair(
            latency=latency,
            bandwidth=self.bandwidth,
            capacity=self.capacity,
            pushed=on_both,
            addresses=(here, listener.address),
        )
        link = Link(number, near.name, far.name, wires)
        self.links.append(link)
        for host in (near, far):
            host.links = [old for old in host.links if not old.over]
            host.links.append(link)
            if host._paused:
                link._silence("pause")
        live = sum(other.live for other in near.links if other.near == near.name)
        self.most_live = max(self.most_live, live)
        if self.on_link is not None:
            self.on_link(link)
        listener.arrive(wires[1])
        return link


class _Dialling:
    """One dial, from the lookup to the wire."""

    def __init__(self, network: Network, near: Host, name: str, port: int) -> None:
        self._network = network
        self._near = near
        self._name = name
        self._port = port
        self._began = anyio.current_time()

    async def run(self, tls: object | None, reached: Reached) -> Wire:
        link: Link | None = None
        error: ConnectError | None = None
        try:
            host = await self._find(reached)
            link = await self._reach(host, reached)
            if host.stalls_at is (Phase.UPGRADE if tls is None else Phase.TLS):
                link.silence()
            wire: Wire = link._wires[0]
            if tls is not None:
                wire = await self._secure(wire, tls, reached)
                if host.stalls_at is Phase.UPGRADE:
                    link.silence()
            return wire
        except ConnectError as failed:
            error = failed
            raise
        finally:
            self._network.dials.append(
                Dialled(
                    began=self._began,
                    ended=anyio.current_time(),
                    near=self._near.name,
                    host=self._name,
                    port=self._port,
                    link=link,
                    error=error,
                )
            )

    async def _find(self, reached: Reached) -> Host:
        reached(Phase.DNS)
        host = self._network._hosts.get(self._name)
        await checkpoint()
        if host is None:
            raise self._failed(Phase.DNS, OSError("the network has no such host"))
        if host.stalls_at is Phase.DNS:
            await anyio.sleep(inf)
        await anyio.sleep(host.lookup)
        if host.lookup_error is not None:
            raise self._failed(Phase.DNS, host.lookup_error)
        return host

    async def _reach(self, host: Host, reached: Reached) -> Link:
        reached(Phase.TCP)
        network = self._network
        latency = network._random.uniform(*network.latency)
        passed = False
        while not passed:
            await anyio.sleep(latency)
            while not network._passes(self._near, host):
                await network._news.wait()  # a kernel sends its SYN again and again
            await anyio.sleep(latency)
            passed = network._passes(self._near, host)
        listener = host._listener(self._port)
        if listener is None:
            error = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            raise self._failed(Phase.TCP, error)
        return network._join(self._near, host, listener, latency)

    async def _secure(self, wire: Wire, tls: object, reached: Reached) -> Wire:
        from ..transport.tls import secure  # plain wires need no ssl

        reached(Phase.TLS)
        dialled = authority((self._name, self._port))
        return await secure(wire, tls, host=self._name, dialled=dialled)

    def _failed(self, phase: Phase, error: OSError) -> ConnectError:
        dialled = authority((self._name, self._port))
        reason = Reason.DNS if phase is Phase.DNS else Reason.REFUSED
        failed = ConnectError(
            Facts(
                reason=reason,
                phase=phase,
                host=dialled,
                detail=f"no connection to {dialled}: {text_of(error)}",
            )
        )
        failed.__cause__ = error
        return failed
