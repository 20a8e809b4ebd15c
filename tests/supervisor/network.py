"""A network in memory: links as the seam describes them, and who dialled when."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any

import anyio
import anyio.lowlevel

from wsclient.errors import (
    Close,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    HandshakeRejected,
    Initiator,
    Phase,
    Reason,
)
from wsclient.supervisor.seam import Attempt, Data, Sink

ABORTING = {Reason.LIVENESS, Reason.WRITE_STALLED}


class FakeLink:
    """
    One connection in memory.

    The tests play the peer: :meth:`deliver`, :meth:`lose`, :meth:`peer_closes`. What
    the peer got is in ``sent``, what it was told at the end in ``close_sent``.
    ``make_room(0)`` stops commits, ``kernel`` False keeps what is committed from
    leaving at once.

    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.subprotocol: str | None = "fake"
        self.response_headers: Sequence[tuple[str, str]] = (("server", "fake"),)
        self.latency: float | None = 0.05
        self.sent: list[Data] = []
        self.compressed: list[bool | None] = []  # what was asked for each
        self.unflushed = 0
        self.kernel = True
        self.pings: list[float] = []
        self.answers_pings = True
        self.close_sent: Close | None = None
        self.close_takes = 0.0
        self.paused = False
        self.pauses = 0
        self.sinks: list[Sink] = []
        self.ended_at: float | None = None
        self._heard_at = anyio.current_time()
        self._room: float = float("inf")  # messages
        self._backlog: deque[Data] = deque()
        self._make_end: Callable[[], ConnectionClosed | ConnectionLost] | None = None
        self._stirred = anyio.Event()

    # The seam.

    @property
    def ended(self) -> ConnectionClosed | ConnectionLost | None:
        return None if self._make_end is None else self._make_end()

    @property
    def heard_at(self) -> float:
        return self._heard_at

    @property
    def ready(self) -> bool:
        return self._make_end is None and self._room > 0

    def deliver_to(self, sink: Sink, *, wide: bool = True) -> None:
        self.sinks.append(sink)
        self.wide = wide
        waiting, self._backlog = self._backlog, deque()
        if waiting:
            sink(waiting)

    def commit_many(
        self, data: Sequence[Data], compress: bool | None = None
    ) -> tuple[int, bool]:
        count = 0
        while count < len(data) and (self.ready or not count):
            self.commit(data[count], compress)
            count += 1
        return count, self.kernel

    def commit(self, data: Data, compress: bool | None = None) -> bool:
        assert self.ready, "commit() only while ready"
        self.sent.append(data)
        self.compressed.append(compress)
        self._room -= 1
        if not self.kernel:
            self.unflushed += 1
        return self.kernel

    async def wait_ready(self) -> None:
        while not self.ready:
            self._raise_end()
            await self._stirred.wait()

    async def flush(self) -> None:
        while self.unflushed:
            self._raise_end()
            await self._stirred.wait()

    def pause(self) -> None:
        self.pauses += not self.paused
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._stir()
        self._read()

    def ping_nowait(self) -> None:
        self.pings.append(anyio.current_time())
        if self.answers_pings and not self.paused:
            self._heard_at = anyio.current_time()

    def end(self, reason: Reason, detail: str) -> None:
        sent = None if reason in ABORTING else Close(1001)
        if sent is not None and self._make_end is None:
            self.paused = False  # what is readable is read first
            self._read()
        self._end(
            lambda: ConnectionLost(
                Facts(
                    reason=reason,
                    phase=Phase.OPEN,
                    initiator=Initiator.US,
                    sent=sent,
                    detail=detail,
                )
            ),
            sent,
        )

    async def wait_ended(self) -> None:
        while self._make_end is None:
            self._read()
            await self._stirred.wait()

    async def close(self, code: int, reason: str) -> None:
        if self._make_end is not None:
            return
        try:
            await anyio.sleep(self.close_takes)
        except BaseException:
            self.end(Reason.LOCAL, "close() was cancelled")
            raise
        close = Close(code, reason)
        self._end(
            lambda: ConnectionClosed(
                Facts(
                    reason=Reason.LOCAL,
                    phase=Phase.CLOSING,
                    initiator=Initiator.US,
                    sent=close,
                    received=close,
                )
            ),
            close,
        )

    # What the peer and the world do.

    def deliver(self, *messages: Data) -> None:
        """The peer sends; while we pause it stays in the kernel."""
        assert self._make_end is None, "the peer cannot send after the end"
        self._backlog.extend(messages)
        self._read()

    def make_room(self, messages: float = float("inf")) -> None:
        self._room = messages
        self._stir()

    def flush_kernel(self) -> None:
        self.unflushed = 0
        self._stir()

    def lose(self, reason: Reason = Reason.RESET, detail: str = "") -> None:
        """The connection breaks."""
        self._end(
            lambda: ConnectionLost(
                Facts(
                    reason=reason, phase=Phase.OPEN, detail=detail, host="example.com"
                )
            ),
            None,
        )

    def peer_closes(self, code: int = 1000, reason: str = "") -> None:
        """The peer says goodbye, and we have answered."""
        close = Close(code, reason)
        self._end(
            lambda: ConnectionClosed(
                Facts(
                    reason=Reason.PEER_CLOSED,
                    phase=Phase.OPEN,
                    initiator=Initiator.PEER,
                    received=close,
                    sent=close,
                    host="example.com",
                )
            ),
            close,
        )

    def fail(self, code: int) -> None:
        """We close because the peer broke the protocol."""
        close = Close(code)
        self._end(
            lambda: ConnectionLost(
                Facts(
                    reason=Reason.PROTOCOL_ERROR,
                    phase=Phase.OPEN,
                    initiator=Initiator.US,
                    sent=close,
                )
            ),
            close,
        )

    def _read(self) -> None:
        while self._backlog and self.sinks and not self.paused:
            self._heard_at = anyio.current_time()
            self.sinks[-1]([self._backlog.popleft()])

    def _end(
        self, make: Callable[[], ConnectionClosed | ConnectionLost], close: Close | None
    ) -> None:
        if self._make_end is None:
            self._make_end = make
            self.close_sent = close
            self.ended_at = anyio.current_time()
            self._stir()

    def _raise_end(self) -> None:
        if self._make_end is not None:
            raise self._make_end()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = anyio.Event()


Answer = Exception | Callable[[FakeLink], Any] | float | None
"""
What a dial meets: a failure, a script to run on the new link, seconds that it takes,
or just a link. A script may be asynchronous: then it runs inside the dial.
"""


class _Dial:
    def __init__(self, network: Network, attempt: Attempt) -> None:
        self._network = network
        self._attempt = attempt
        self._link: FakeLink | None = None

    async def __aenter__(self) -> FakeLink:
        network = self._network
        network.dials.append(anyio.current_time())
        network.attempts.append(self._attempt)
        await anyio.lowlevel.checkpoint()
        answer = network.answers.popleft() if network.answers else network.default
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float | int):
            await anyio.sleep(answer)
            answer = None
        self._link = link = FakeLink(self._attempt)
        network.links.append(link)
        network.open += 1
        network.most_open = max(network.most_open, network.open)
        if answer is not None:
            result = answer(link)
            if isinstance(result, Awaitable):
                await result
        return link

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._link is not None
        self._network.open -= 1
        self._link.end(Reason.LOCAL, "left")


class Network:
    """
    Answers dials in turn, then always with ``default``; keeps the records.

    ``most_open`` is how many connections were open at once at most.

    """

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.default: Answer = None
        self.dials: list[float] = []
        self.attempts: list[Attempt] = []
        self.links: list[FakeLink] = []
        self.open = 0
        self.most_open = 0

    def __call__(self, attempt: Attempt) -> _Dial:
        return _Dial(self, attempt)

    @property
    def link(self) -> FakeLink:
        """The youngest."""
        return self.links[-1]


def refused(text: str = "refused") -> ConnectError:
    return ConnectError(
        Facts(reason=Reason.REFUSED, phase=Phase.TCP, host="example.com", detail=text)
    )


def rejected(status: int, **headers: str) -> HandshakeRejected:
    return HandshakeRejected(
        Facts(
            reason=Reason.REJECTED,
            phase=Phase.UPGRADE,
            host="example.com",
            initiator=Initiator.PEER,
            detail=f"HTTP status {status}",
        ),
        status=status,
        headers=tuple((k.replace("_", "-"), v) for k, v in headers.items()),
    )
