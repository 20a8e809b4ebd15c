"""One link of a fault proxy: two sockets, what passes between them, how it breaks."""

from __future__ import annotations

import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Literal

import anyio

from ..transport.dial import connect_tcp, interleave
from ..transport.resolver import getaddrinfo
from ..transport.sockets import Address, authority, text_of
from .link import Way
from .proxy_rules import Ending, Rules

__all__ = ("ProxyLink", "ProxyPipe")

PATIENCE = 10.0  # seconds to reach the target, as load balancers have it
TICK = 0.05  # seconds' worth of bytes that a bounded bandwidth passes at once

_LINGER = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)


class _News:
    """Wakes who waits for a time, so that he looks again when it is."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def stir(self) -> None:
        self._event.set()
        self._event = anyio.Event()

    async def until(self, due: Callable[[], float]) -> None:
        while (when := due()) > anyio.current_time():
            with anyio.CancelScope(deadline=when):
                await self._event.wait()


class ProxyPipe:
    """
    One way of a :class:`ProxyLink`: from one end's socket to the other's.

    Attributes:
        taken: bytes read from the end that sends.
        held: bytes read and not yet handed on.
        given: bytes handed to the kernel for the end that receives.

    """

    def __init__(self, link: ProxyLink, sender: str) -> None:
        self.taken = 0
        self.held = 0
        self.given = 0
        self.sender = sender
        self.news = _News()
        self.said_eof = False
        self.ended_by = ""
        self._link = link
        self._rules = link.rules
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._last = 0.0  # when what was held last is due: nothing overtakes it
        self._free_at = 0.0  # the bandwidth passes nothing before
        self._end: Literal["eof", "reset"] | None = None
        self._stalled = False
        self.silent = False
        self._blocked = anyio.CancelScope()  # around waiting for the receiver's room

    def __repr__(self) -> str:
        return f"<ProxyPipe {self.taken} taken, {self.given} given>"

    # What is done to it.

    def silence(self) -> None:
        self.silent = True

    def stall(self) -> None:
        self._stalled = True

    def heal(self) -> None:
        self.silent = self._stalled = False
        self.news.stir()

    def end(self, how: Literal["eof", "reset"], by: str) -> None:
        """Take no more; end the way to the receiver after what is held."""
        if how != self._end != "reset":
            self._end = how
            self.ended_by = by
            self._hold(None)
            if how == "reset":
                self._blocked.cancel()

    def drop(self) -> None:
        """Forget what is held."""
        self._queue.clear()
        self.held = 0

    # What passes.

    async def take(self, source: socket.socket) -> None:
        """Read from the sender while there is room, up to the end."""
        while self._end is None:
            room = self._rules.capacity - self.held
            if self._stalled or room <= 0:
                await self.news.until(self._has_room)
                continue
            await anyio.wait_readable(source)
            if self._end is not None or self._stalled:
                continue
            try:
                data = source.recv(room)
            except BlockingIOError:
                continue
            except OSError:
                self.end("reset", self.sender)
                return
            if data:
                self.taken += len(data)
                self._link.moved()
                self._hold(memoryview(data))
            else:
                self.end("eof", self.sender)

    async def give(self, target: socket.socket) -> None:
        """Hand on what is held when it is due, and then the end."""
        while True:
            await self.news.until(self._due)
            if self._queue:
                try:
                    self._send(target)
                except BlockingIOError:
                    if self._end == "reset":  # it passes by a full buffer, as RST does
                        break
                    with anyio.CancelScope() as self._blocked:
                        await anyio.wait_writable(target)
                except OSError:
                    self._link.lost_receiver(self)
                    return
            elif self._end == "reset":
                break
            else:
                try:
                    target.shutdown(socket.SHUT_WR)
                except OSError:  # it is not connected any more
                    self._link.lost_receiver(self)
                    return
                self.said_eof = True
                self._link.said_eof(self)
        self._link.cut(f"reset by {self.ended_by}", reset=True)

    def _has_room(self) -> float:
        full = self.held >= self._rules.capacity
        return inf if self._end is None and (self._stalled or full) else 0.0

    def _due(self) -> float:
        """When there is something to do for who gives."""
        if self.silent or not self._link.live:
            return inf
        if self._queue:
            return max(self._queue[0][0], self._free_at)
        told = self._end is None or (self._end == "eof" and self.said_eof)
        return inf if told else self._last

    def _hold(self, data: memoryview | None) -> None:
        latency = self._rules.draw_latency()
        self._last = max(self._last, anyio.current_time() + latency)
        if data is not None:
            self._queue.append((self._last, data))
            self.held += len(data)
        self.news.stir()

    def _send(self, target: socket.socket) -> None:
        """Send as much as may pass now; never more than the link may carry."""
        bandwidth = self._rules.bandwidth
        size = self._link.allowance()
        if bandwidth is not None:
            size = min(size, max(1, int(bandwidth * TICK)))
        due, data = self._queue[0]
        sent = target.send(data[:size]) if size else 0
        if sent == len(data):
            self._queue.popleft()
        else:
            self._queue[0] = due, data[sent:]
        self.held -= sent
        self.given += sent
        if bandwidth is not None:
            # Who woke late catches up: a tick at most.
            start = max(self._free_at, anyio.current_time() - TICK)
            self._free_at = start + sent / bandwidth
        self.news.stir()  # there is room again
        self._link.moved()
        if self._link.allowance() == 0:
            self._link.used_up()


class ProxyLink:
    """
    One client of a :class:`Proxy` and its server: the record, and the ways to break it.

    The verbs are those of a simulated :class:`Link`. They are synchronous and may be
    called at any time; once the link has ended they do nothing.

    Attributes:
        number: counted from 1, in the order of accepting.
        client: the client's address.
        opened_at: when it was accepted, on the event loop's clock.
        ended_at: when it ended; None: it has not.
        ended: how it ended, in words; None: it has not.
        up, down: its two ways, which count bytes. Up leads from the client to the
            server.

    """

    def __init__(
        self,
        rules: Rules,
        number: int,
        sock: socket.socket,
        client: Address,
        on_end: Callable[[ProxyLink], object],
    ) -> None:
        self.rules = rules
        self.number = number
        self.client = client
        self.opened_at = anyio.current_time()
        self.ended_at: float | None = None
        self.ended: str | None = None
        self.up = ProxyPipe(self, "the client")
        self.down = ProxyPipe(self, "the server")
        self._on_end = on_end
        self._near = sock
        self._far: socket.socket | None = None
        self._moved_at = self.opened_at
        self._news = _News()
        self._end = anyio.Event()
        self._resets = False
        self._forgotten = False
        self._scope = anyio.CancelScope()  # around all
        self._carrying = anyio.CancelScope()  # around all but being forgotten

    def __repr__(self) -> str:
        state = self.ended or "live"
        return f"<ProxyLink {self.number} from {authority(self.client)}: {state}>"

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    @property
    def silent(self) -> bool:
        """Whether nothing arrives on one of its ways."""
        return self.up.silent or self.down.silent

    async def until_ended(self) -> str:
        """Wait for the end; return :attr:`ended`."""
        await self._end.wait()
        return str(self.ended)

    # How it breaks.

    def reset(self) -> None:
        """Break it now: both ends get a RST; what is held is lost."""
        self.cut("reset by the proxy", reset=True)

    def eof(self, way: Way = "both") -> None:
        """
        Say FIN in an end's name, after what is held, and read no more from it.

        To TLS it is a ragged end: no close_notify stands before it.

        """
        self._eof(way, "the proxy")

    def silence(self, way: Way = "both") -> None:
        """
        Let nothing arrive any more, not even an end: a black hole.

        Who sends is not told: the capacity is held here, then his kernel's buffer
        fills. :meth:`heal` lets all of it arrive.

        """
        for pipe in self._pipes(way):
            pipe.silence()

    def stall(self, way: Way = "both") -> None:
        """Read no more, as a host whose buffers are full; what is held arrives."""
        for pipe in self._pipes(way):
            pipe.stall()

    def heal(self) -> None:
        """End :meth:`silence` and :meth:`stall`."""
        for pipe in self._pipes("both"):
            pipe.heal()

    def forget(self) -> None:
        """
        End it and say nothing; each end gets a RST when it says something again.

        So do load balancers and NATs that have dropped an idle link from their table.

        """
        self._forget("forgotten by the proxy")

    # What its pipes and its proxy tell it.

    async def run(self) -> None:
        """Dial, carry and end. Cancelled, both ends get a RST."""
        try:
            with self._scope:
                with self._carrying:
                    await self._carry()
                if self._forgotten:
                    await self._answer_with_resets()
        finally:
            self.cut("reset by the proxy, which was closed", reset=True)
            for sock in self._sockets():
                if self._resets:
                    _close_with_reset(sock)
                sock.close()
            self.up.drop()
            self.down.drop()

    def cut(self, how: str, *, reset: bool) -> None:
        """End it now."""
        if self.ended is None:
            self._resets = reset
            self._scope.cancel()
            self._say_end(how)

    def moved(self) -> None:
        """Bytes have passed: it is not idle."""
        self._moved_at = anyio.current_time()

    def stir(self) -> None:
        """Rules have changed."""
        for news in (self._news, self.up.news, self.down.news):
            news.stir()

    def allowance(self) -> int:
        """Return how many bytes it may still carry."""
        bound = self.rules.cut_after
        if bound is None:
            return sys.maxsize
        return max(0, bound - self.up.given - self.down.given)

    def used_up(self) -> None:
        """It has carried all that it may."""
        if self.rules.on_cut == "eof":  # it comes instead of the rest
            self.up.drop()
            self.down.drop()
        self._end_by_rule(self.rules.on_cut, f"after {self.rules.cut_after} bytes")

    def said_eof(self, pipe: ProxyPipe) -> None:
        """An EOF was handed on; after both ways' it is over."""
        other = self._other(pipe)
        if other.said_eof:
            self.cut(f"closed by {other.ended_by}", reset=False)

    def lost_receiver(self, pipe: ProxyPipe) -> None:
        """
        Who receives has reset it: that goes the other way.

        On a way that is silenced it waits, for that is what silence means.

        """
        other = self._other(pipe)
        pipe.end("reset", other.sender)  # nobody gives any more: nothing is to be read
        pipe.drop()
        other.end("reset", other.sender)

    # Within.

    def _pipes(self, way: Way) -> list[ProxyPipe]:
        ways = {"up": [self.up], "down": [self.down], "both": [self.up, self.down]}
        if way not in ways:
            raise ValueError(f"way={way!r}: give 'up', 'down' or 'both'")
        return ways[way]

    def _other(self, pipe: ProxyPipe) -> ProxyPipe:
        return self.down if pipe is self.up else self.up

    def _sockets(self) -> list[socket.socket]:
        return [sock for sock in (self._near, self._far) if sock is not None]

    def _eof(self, way: Way, by: str) -> None:
        for pipe in self._pipes(way):
            pipe.end("eof", by)

    def _forget(self, how: str) -> None:
        if self.ended is None:
            self._forgotten = self._resets = True
            self._carrying.cancel()
            self._say_end(how)

    def _say_end(self, how: str) -> None:
        self.ended = how
        self.ended_at = anyio.current_time()
        self._end.set()
        self._on_end(self)

    def _end_by_rule(self, ending: Ending, why: str) -> None:
        match ending:
            case "eof":
                self._eof("both", f"the proxy {why}")
            case "reset":
                self.cut(f"reset by the proxy {why}", reset=True)
            case "silence":
                self.silence()
            case "forget":
                self._forget(f"forgotten by the proxy {why}")

    async def _carry(self) -> None:
        if (problem := await self._reach()) is not None:
            await self._be_unreachable(problem)
            return
        assert self._far is not None
        async with anyio.create_task_group() as group:
            group.start_soon(self.up.take, self._near)
            group.start_soon(self.up.give, self._far)
            group.start_soon(self.down.take, self._far)
            group.start_soon(self.down.give, self._near)
            group.start_soon(self._watch_idle)

    async def _reach(self) -> str | None:
        """Dial the target; return what went wrong."""
        target = self.rules.target, self.rules.target_port
        try:
            with anyio.fail_after(PATIENCE):
                addresses = interleave(await getaddrinfo(*target))
                self._far, failures = await connect_tcp(addresses)
        except TimeoutError:
            return f"no answer in {PATIENCE:g} s"
        except (OSError, UnicodeError) as error:
            return text_of(error)
        if self._far is None:
            return "; ".join(dict.fromkeys(text_of(error) for _, error in failures))
        return None

    async def _be_unreachable(self, problem: str) -> None:
        ending = self.rules.on_unreachable
        if ending == "silence":
            await self.up.take(self._near)  # until he leaves
        target = authority((self.rules.target, self.rules.target_port))
        self.cut(f"{target} is unreachable: {problem}", reset=ending == "reset")

    async def _watch_idle(self) -> None:
        while True:
            await self._news.until(self._idle_at)
            why = f"after {self.rules.idle_timeout:g} s without a byte"
            self._end_by_rule(self.rules.on_idle, why)
            self.moved()  # silenced and healed it may be idle again

    def _idle_at(self) -> float:
        timeout = self.rules.idle_timeout
        return inf if timeout is None else self._moved_at + timeout

    async def _answer_with_resets(self) -> None:
        """Know nothing of this link: whatever comes is answered with a RST."""

        async def answer(sock: socket.socket) -> None:
            await anyio.wait_readable(sock)
            _close_with_reset(sock)

        async with anyio.create_task_group() as group:
            for sock in self._sockets():
                group.start_soon(answer, sock)


def _close_with_reset(sock: socket.socket) -> None:
    """Close it with a RST, not a FIN: SO_LINGER with no time (RFC 9293, 3.10.5)."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        sock.close()
