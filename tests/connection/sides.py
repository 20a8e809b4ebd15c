"""One end of a conversation: what it was asked, and what must be true of it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio

from wsclient.connection import Connection, Timeouts
from wsclient.errors import (
    AttemptTimeout,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    HandshakeRejected,
    Initiator,
    MaybeSent,
    NotSent,
    Phase,
    Reason,
    ReceiveTimeout,
)
from wsclient.protocol import Role, State
from wsclient.testing.pipe import Pipe

from .records import Reading, Recorder, read

__all__ = ("Asked", "Side")

TICK = 1e-6  # seconds that arithmetic may lose


@dataclass(slots=True)
class Asked:
    """
    One send that was asked for, and what became of it.

    ``outcome`` is "sent", "not sent", "maybe", or "cancelled" if the call raised
    something else; None: it has not come back. ``kernel`` is what the kernel had then.

    """

    message: str | bytes
    whole: bool
    outcome: str | None = None
    kernel: int | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was received of a message in parts, before it was left, or broke off."""

    data: str | bytes
    left: bool = True


class Side:
    """
    One end: a connection, the record of its wire, and all calls that were made.

    Attributes:
        asked: every send, in the order of the calls.
        received: what was received, whole or in parts.
        latencies: what its pings gave.
        failed: what the opening handshake raised.
        quiet_from: how many bytes had been fed when what comes was no longer wanted.
        cut_short: whether its owner was cancelled in a call that ends it then.

    """

    def __init__(self, role: Role, timeouts: Timeouts, kernel: Pipe | None) -> None:
        self.role = role
        self.timeouts = timeouts
        self.tap: Recorder | None = None
        self.ws: Connection | None = None
        self.asked: list[Asked] = []
        self.received: list[str | bytes | Beginning] = []
        self.latencies: list[float] = []
        self.failed: ConnectError | None = None
        self.told: list[ConnectionClosed | ConnectionLost] = []
        self.quiet_from: int | None = None
        self.left_at: float | None = None
        self.cut_short = False
        self._kernel = kernel

    def __repr__(self) -> str:
        return f"<{self.role.value} {self.ws}>"

    @property
    def live(self) -> Connection:
        assert self.ws is not None
        return self.ws

    @property
    def record(self) -> Recorder:
        assert self.tap is not None
        return self.tap

    # What is asked of it.

    async def send(self, message: str | bytes, pieces: Any = None) -> None:
        """Send a message, as the fragments that ``pieces`` gives if there are any."""
        asked = Asked(message, pieces is None)
        self.asked.append(asked)
        try:
            await self.live.send(message if pieces is None else pieces)
        except NotSent as error:
            asked.outcome = "not sent"
            self._check_cause(error)
        except MaybeSent as error:
            asked.outcome = "maybe"
            self._check_cause(error)
        except BaseException:
            asked.outcome = "cancelled"
            self.cut_short |= pieces is not None
            raise
        else:
            asked.outcome = "sent"
        if self._kernel is not None:
            asked.kernel = len(self._kernel.sent)

    def send_nowait(self, message: str | bytes) -> None:
        """Send a message; it is an error if that cannot be done at once."""
        asked = Asked(message, whole=True)
        self.asked.append(asked)
        self.live.send_nowait(message)
        asked.outcome = "sent"

    def _check_cause(self, error: NotSent | MaybeSent) -> None:
        cause = error.__cause__
        assert isinstance(cause, ConnectionClosed | ConnectionLost)
        if self.live.ended is not None:
            self.told.append(cause)

    async def recv(self, timeout: float | None = None) -> bool:
        """Receive one message; return whether there may be more."""
        try:
            self.received.append(await self.live.recv(timeout))
        except ReceiveTimeout:
            assert timeout is not None
        except (ConnectionClosed, ConnectionLost) as error:
            self.told.append(error)
            return False
        return True

    async def recv_parts(self, most: int, timeout: float | None = None) -> bool:
        """Receive so many parts of one message; return whether there may be more."""
        at = len(self.received)
        data: Any = None
        try:
            async with self.live.recv_streaming(timeout) as parts:
                data = "" if parts.is_text else b""
                self.received.append(Beginning(data))
                async for part in parts:
                    data += part
                    self.received[at] = Beginning(data)
                    most -= 1
                    if not most:
                        return True
                self.received[at] = data
        except ReceiveTimeout:
            assert timeout is not None
        except (ConnectionClosed, ConnectionLost) as error:
            self.told.append(error)
            if data is not None:
                self.received[at] = Beginning(data, left=False)
            return False
        return True

    async def recv_all(self) -> None:
        """Receive until the end."""
        while await self.recv():
            pass

    async def recv_until(self, happened: Callable[[], bool]) -> None:
        """Receive until that has happened, or the end."""
        while not happened() and await self.recv():
            pass

    async def hears(self, message: str) -> None:
        """Receive until that message has come, or the end."""
        await self.recv_until(lambda: message in self.received)

    async def ping(self) -> None:
        try:
            self.latencies.append(await self.live.ping())
        except (ConnectionClosed, ConnectionLost) as error:
            if self.live.ended is not None:
                self.told.append(error)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.leaves()
        try:
            await self.live.close(code, reason)
        except BaseException:
            self.cut_short = True
            raise

    def end(self, reason: Reason) -> None:
        self.cut_short = True
        self.live.end(reason)

    def leaves(self) -> None:
        """It is about to close: what comes from now on is discarded."""
        if self.quiet_from is None:
            self.quiet_from = len(self.record.fed)
            self.left_at = anyio.current_time()

    # What was said.

    def out(self) -> Reading:
        """Read what it wrote."""
        return self._read(self.record.written, self.role is Role.CLIENT)

    def into(self) -> Reading:
        """Read what it was fed."""
        return self._read(self.record.fed, self.role is Role.SERVER)

    def _read(self, data: bytearray, masked: bool) -> Reading:
        answer = self.record.fed if self.role is Role.CLIENT else self.record.written
        deflated = b"permessage-deflate" in answer.partition(b"\r\n\r\n")[0]
        return read(data, masked=masked, deflated=deflated)

    # What must be true of it, once it is over.

    def judge(self, other: Side) -> None:
        """Compare all it told with what went over its wire, and what was said to it."""
        tap = self.tap
        if tap is None:
            self._judge_dialling()
            return
        out, into = self.out(), self.into()
        assert out.end == len(tap.written), "half a frame was written"
        assert tap.ended_at is not None, "the wire was left open"
        if self.ws is None:
            self._judge_opening(tap, into)
            return
        assert self.ws.state is State.CLOSED
        assert not self.ws.ready
        self._judge_sends(out)
        self._judge_receiving(into, other.out())
        self._judge_end(out, into)

    def _judge_dialling(self) -> None:
        """TLS came to nothing; a server tells that to nobody."""
        error = self.failed
        if self.role is Role.CLIENT and not self.cut_short:
            assert error is not None
            assert error.phase is Phase.TLS
            assert error.reason in (Reason.TLS, Reason.OPEN_TIMEOUT)

    def _judge_opening(self, tap: Recorder, into: Reading) -> None:
        if self.role is Role.SERVER:
            return
        error = self.failed
        if error is None:
            assert self.cut_short
            return
        assert error.phase is Phase.UPGRADE
        if into.refused:
            assert isinstance(error, HandshakeRejected)
            assert (error.reason, error.initiator) == (Reason.REJECTED, Initiator.PEER)
            return
        assert into.head is None or tap.told is not None, "it was opened"
        told = tap.told
        if told is None:
            assert isinstance(error, AttemptTimeout)
            assert error.reason is Reason.OPEN_TIMEOUT
        else:
            assert type(error) is ConnectError
            assert error.reason is (Reason.EOF if told == "eof" else _reason(told))
            assert error.initiator is Initiator.PEER
            assert error.__cause__ is (None if told == "eof" else told)

    def _judge_sends(self, out: Reading) -> None:
        said = {one.message: one for one in out.said}
        assert len(said) == len(out.said), "a message was said twice"
        assert list(said) == [
            asked.message for asked in self.asked if asked.message in said
        ], "not in the order in which they were asked for"
        for asked in self.asked:
            one = said.get(asked.message)
            begun = not asked.whole and out.unfinished is not None
            begun = begun and _bytes(asked.message).startswith(out.unfinished or b"")
            match asked.outcome:
                case "sent":
                    assert one is not None, asked
                    assert asked.kernel is None or one.end <= asked.kernel, asked
                case "not sent":
                    assert one is None, asked
                    assert not (begun and out.unfinished), asked
                case "maybe":
                    assert one is not None or begun, asked
                    if asked.whole and asked.kernel is not None and one is not None:
                        assert one.end > asked.kernel, asked
                case "cancelled":
                    pass
                case _:
                    raise AssertionError(f"never came back: {asked}")

    def _judge_receiving(self, into: Reading, said: Reading) -> None:
        """All that was wanted and came whole was received; of one more a beginning."""
        limit = len(self.record.fed) if self.quiet_from is None else self.quiet_from
        due = sum(one.end <= limit for one in into.said)
        assert due <= len(self.received) <= due + 1, "lost or twice"
        for number, heard in enumerate(self.received):
            if isinstance(heard, Beginning):
                assert heard.left or number == due, "broken off, and yet it is whole"
                whole = [*map(_bytes, said.messages), said.unfinished or b""][number]
                assert whole.startswith(_bytes(heard.data))
            else:
                assert number < due, "nobody wanted it any more"
                assert heard == into.said[number].message
        assert len(self.latencies) <= len(into.pongs())

    def _judge_end(self, out: Reading, into: Reading) -> None:
        error = self.live.ended
        assert error is not None
        assert {told.facts for told in self.told} <= {error.facts}
        assert error.received == into.close
        assert error.sent == out.close, (error.sent, out.close)
        assert error.code == (into.close.code if into.close else 1006)
        ours_first = self._closed_first(out, into)
        told = self.record.told
        if into.close is not None:
            assert type(error) is ConnectionClosed
            why = (Reason.LOCAL, Initiator.US)
            if not ours_first:
                why = (Reason.PEER_CLOSED, Initiator.PEER)
            assert (error.reason, error.initiator) == why
            assert error.phase is (Phase.CLOSING if ours_first else Phase.OPEN)
            return
        assert type(error) is ConnectionLost
        if told is not None:
            reason = Reason.EOF if told == "eof" else _reason(told)
            assert (error.reason, error.initiator) == (reason, Initiator.PEER)
            assert error.__cause__ is (None if told == "eof" else told)
        else:
            assert error.initiator is Initiator.US
            self._judge_our_end(error)

    def _closed_first(self, out: Reading, into: Reading) -> bool:
        """Whether our Close frame was written before the peer's was fed."""
        for kind, end in self.record.order:
            if kind == "written" and out.close_end == end:
                return True
            if kind == "fed" and into.close_end is not None and into.close_end <= end:
                return False
        return False

    def _judge_our_end(self, error: ConnectionLost) -> None:
        """What we ended was due."""
        at, times = self.record.ended_at, self.timeouts
        assert at is not None
        assert error.idle is not None
        match error.reason:
            case Reason.LIVENESS:
                assert times.ping_interval is not None
                assert times.ping_timeout is not None
                assert error.idle >= times.ping_interval + times.ping_timeout - TICK
                assert at - self.record.heard_at >= error.idle - TICK
                assert self.record.ended_by == "abort"
            case Reason.WRITE_STALLED:
                assert times.write_timeout is not None
                assert self.record.behind_since is not None
                assert at - self.record.behind_since >= times.write_timeout - TICK
                assert self.record.ended_by == "abort"
            case Reason.LOCAL | Reason.IDLE if self.cut_short:
                pass
            case Reason.SLOW_CONSUMER:
                assert times.slow_timeout is not None
                since, until = self.record.paused
                assert since + times.slow_timeout - TICK <= at <= until
            case Reason.LOCAL:
                assert self.left_at is not None, error
                assert times.close_timeout is not None
                assert at - self.left_at >= times.close_timeout - TICK
                assert error.phase is Phase.CLOSING
            case _:
                raise AssertionError(error)


def _reason(error: str | Exception) -> Reason:
    if isinstance(error, ssl.SSLEOFError):
        return Reason.EOF
    return Reason.TLS if isinstance(error, ssl.SSLError) else Reason.RESET


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
