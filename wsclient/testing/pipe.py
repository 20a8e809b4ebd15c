"""One direction of a simulated connection, and every way it fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from ..transport.sockets import BUFFER_SIZE

__all__ = ("Pipe",)

Clock = Callable[[], float]

_SEGMENT = 1460  # bytes: TCP over Ethernet


@dataclass(slots=True)
class _Failure:
    """An error that is met from some moment on."""

    due: float
    error: OSError

    def given(self) -> OSError:
        """Give it away and keep a copy: one that was raised keeps its frames."""
        error, self.error = self.error, copy(self.error)
        return error


class Pipe:
    """
    One direction of a simulated connection: a kernel's buffers and the way between.

    Set its attributes at any time; whatever waits learns of it. What an attribute says
    holds from now on; bytes that are on their way keep their time of arrival, and
    nothing overtakes what was sent before.

    Attributes:
        latency: seconds from sending to arrival.
        bandwidth: bytes a second that pass; None: no bound.
        capacity: bytes it holds at most, sent and not yet read. 0 takes a byte at a
            time, and only while it is being waited for.
        chunk: bytes given by one read at most; None: all there are.
        sent: everything it took from the sender, for the test to read.
        received: everything that was read, for the test to read.

    """

    def __init__(
        self,
        clock: Clock,
        *,
        latency: float = 0.0,
        bandwidth: float | None = None,
        capacity: int = BUFFER_SIZE,
    ) -> None:
        self.latency = latency
        self.bandwidth = bandwidth
        self.chunk: int | None = None
        self.sent = bytearray()
        self.received = bytearray()
        self._clock = clock
        self._capacity = capacity
        self._segments: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._busy_until = 0.0  # the way takes no more bytes before
        self._last = 0.0  # when what was sent last arrives
        self._wanted = False  # somebody waits to read
        self._stalled = False
        self._silences: set[object] = set()
        self._fin: float | None = None  # when the EOF arrives
        self._error: _Failure | None = None  # what reading meets
        self._refusal: _Failure | None = None  # what sending meets
        self._cut: tuple[int, OSError | None] | None = None
        self._watchers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Pipe {len(self.sent)} sent, {len(self.received)} received>"

    # What a test does to it.

    @property
    def capacity(self) -> int:
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed()

    def stall(self) -> None:
        """Take no more bytes, as when the peer's host does not read."""
        self._stalled = True

    def silence(self, cause: object = None) -> None:
        """
        Let nothing arrive any more: a black hole.

        It still takes what its capacity holds, as a kernel does whose packets vanish.
        Of several causes each is healed for itself.

        """
        self._silences.add(cause)

    def heal(self, cause: object = None) -> None:
        """
        End :meth:`silence` of that cause; what was held by it alone arrives now.

        Without a cause it ends :meth:`stall` too.

        """
        self._silences.discard(cause)
        if cause is None:
            self._stalled = False
        self._changed()

    def eof(self) -> None:
        """Say the end after what was sent: the reader gets an EOF."""
        if self._fin is None:
            self._fin = self._pass(0)
            self._changed()

    def reset(self, error: OSError | None = None, *, losing: bool = False) -> None:
        """
        Break it: reading meets the error after what had been sent, sending at once.

        The default is ``ConnectionResetError``. ``losing`` what is on its way, as when
        the host that sent it has forgotten it.

        """
        error = error or ConnectionResetError("the simulated peer reset the connection")
        if losing:
            self._segments.clear()
            self._held = 0
        self._error = _Failure(self._clock() + self.latency, error)
        self.refuse(error)

    def refuse(self, error: OSError, *, after: float = 0.0) -> None:
        """Let sending meet the error, from ``after`` seconds on."""
        if self._refusal is None:
            self._refusal = _Failure(self._clock() + after, copy(error))
            self._changed()

    def cut_at(self, count: int, error: OSError | None = None) -> None:
        """
        Let exactly ``count`` bytes through, counted from the very first, then end.

        The reader meets the error, or an EOF if there is none; what is sent beyond
        vanishes.

        """
        self._cut = count, error
        self._cut_off()

    # What the sockets do with it.

    def send(self, data: bytes | memoryview) -> int:
        if self.departure() > self._clock():
            raise BlockingIOError
        if self._refusal is not None and self._refusal.due <= self._clock():
            raise self._refusal.given()
        taken = bytes(data[: self._room()])
        self.sent += taken
        passed = taken
        if self._cut is not None:
            passed = taken[: max(0, self._cut[0] - (len(self.sent) - len(taken)))]
        if passed and self._fin is None:
            self._held += len(passed)
            size = len(passed) if self.bandwidth is None else _SEGMENT
            for start in range(0, len(passed), size):
                segment = passed[start : start + size]
                self._segments.append((self._pass(len(segment)), segment))
        self._cut_off()
        self._changed()
        return len(taken)

    def _cut_off(self) -> None:
        if self._cut is not None and len(self.sent) >= self._cut[0]:
            _, error = self._cut
            if error is None:
                self.eof()
            elif self._error is None:
                self._error = _Failure(self._pass(0), error)
                self._changed()

    def _pass(self, size: int) -> float:
        """Take up the way for so many bytes; return when the last of them arrives."""
        start = max(self._clock(), self._busy_until)
        taken = 0.0 if self.bandwidth is None else size / self.bandwidth
        self._busy_until = start + taken
        self._last = max(self._last, self._busy_until + self.latency)
        return self._last

    def recv_into(self, buffer: memoryview) -> int:
        if self.arrival() > self._clock():
            raise BlockingIOError
        if not self._segments:
            if self._error is not None and self._error.due <= self._clock():
                raise self._error.given()
            return 0
        arrival, data = self._segments.popleft()
        count = min(len(data), len(buffer), self.chunk or len(data))
        buffer[:count] = data[:count]
        if count < len(data):
            self._segments.appendleft((arrival, data[count:]))
        self._held -= count
        self.received += data[:count]
        self._changed()
        return count

    def arrival(self) -> float:
        """When there is something to read: bytes, an error or an EOF; maybe never."""
        if self._silences:
            return float("inf")
        if self._segments:
            return self._segments[0][0]
        ends = [self._error.due] if self._error is not None else []
        ends += [self._fin] if self._fin is not None else []
        return min(ends, default=float("inf"))

    def departure(self) -> float:
        """When sending takes something or meets an error; maybe never."""
        if self._room() > 0 and not self._stalled:
            return self._clock()
        return self._refusal.due if self._refusal is not None else float("inf")

    def _room(self) -> int:
        return max(self._capacity, 1 if self._wanted else 0) - self._held

    def want(self, wanted: bool) -> None:
        """Be told whether somebody waits to read."""
        if self._wanted != wanted:
            self._wanted = wanted
            if wanted:
                self._changed()

    def watch(self, watcher: Callable[[], None]) -> None:
        self._watchers.append(watcher)

    def _changed(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()
