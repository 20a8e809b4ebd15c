"""What happens to a connection: bytes, replies, deadlines, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from threading import get_ident

import anyio

from ..errors import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    Initiator,
    Phase,
    Reason,
)
from ..protocol import (
    CloseReceived,
    Delivery,
    Endpoint,
    Event,
    Failed,
    Limits,
    Part,
    Ping,
    Pong,
    Response,
    Role,
    State,
)
from ..tasks import OwnedTasks, checkpoint_here
from ..wire import Timer, Wire
from .backlog import Backlog
from .logs import DEBUG, logger, shown
from .pings import Pings
from .turn import Turn
from .watch import Timeouts, Watch
from .writing import ROOM, Writing

__all__ = ("Life", "Sink")

Sink = Callable[[Sequence[str | bytes]], None]
"""Takes the messages that one feed completed, in order; it never raises."""

MESSAGES = frozenset({str, bytes})

DRAIN = 1 << 20  # bytes read at most when something is judged or ended
LINGER = 1.0  # seconds for the peer to end TCP after both Close frames
BREATH = 32  # calls that did not wait until one is a checkpoint


class Life(Writing):
    """
    The machinery below :class:`Connection`; each event ends in a synchronous call.

    Whoever waits looks at one of two things: a message in the queue, or
    :attr:`_facts`, which are set exactly once, at the end, before anybody is woken.

    """

    __slots__ = ()

    def __init__(
        self,
        wire: Wire,
        endpoint: Endpoint,
        *,
        host: str,
        timeouts: Timeouts,
        limits: Limits,
        uniform: Callable[[float, float], float],
        name: str,
    ) -> None:
        super().__init__(wire, Watch(timeouts, wire.time(), uniform))
        self._endpoint = endpoint
        self._host = host
        self._timeouts = timeouts
        self._name = name
        self._thread = get_ident()
        self._debug = logger.isEnabledFor(DEBUG)
        # Receiving
        self._backlog = Backlog(limits)
        self._queue = self._backlog.messages
        self._parts = self._backlog.parts
        self._low = 0  # messages left when a paused connection reads on
        self._receiving = False
        self._sink: Sink | None = None
        self._discarding = False
        self._leaving = False
        self._feeding = False
        self._opening: Event | None = None
        self._phase = Phase.UPGRADE
        # Calls in a row that did not wait, and how many of them are messages that may
        # be taken without looking at anything else; none beyond the queue's end.
        self._calls = 0
        self._granted = 0
        self._checkpoint = checkpoint_here()
        # Whose turn: to read the wire, to send a message
        self._reading = False
        self._fed: anyio.Event | None = None
        self._wanted = False
        self._reads = 0
        self._turn = Turn()
        # The end
        self._failing: str | None = None  # why, before it is said
        self._facts: Facts | None = None
        self._concluded: anyio.Event | None = None
        self._cause: Exception | None = None
        self._clean = False
        # Time
        self._pings = Pings()
        self._timer: Timer | None = None
        self._timer_at = inf
        self._tasks: OwnedTasks | None = None
        self._standing: anyio.CancelScope | None = None
        wire.start(self._feed, self._lost, self._drained)

    # -- bytes in ---------------------------------------------------------------

    def _feed(self, data: memoryview | None) -> None:
        endpoint = self._endpoint
        self._feeding = True
        if data is None:
            self._release()
            self._take(endpoint.receive_eof())
        else:
            if data:
                self._watch.heard_at = self._time()
            events = endpoint.receive_data(data)
            if endpoint.uneventful and not self._debug:
                if events:
                    self._deliver(events)  # type: ignore[arg-type]
                self._feeding = False
                if self._fed is not None:
                    self._wake_readers()
                return
            if events:
                self._take(events)
            if endpoint.held:
                self._hold_back()
        self._feeding = False
        if endpoint.pending:
            self._reply()
        if data is None:
            self._conclude(
                self._tell(Reason.EOF, Initiator.PEER, "the peer hung up unannounced")
            )
            self._finish()
        elif self._facts is not None:
            self._settle()
        if self._fed is not None:
            self._wake_readers()

    def _take(self, events: list[Event]) -> None:
        """Hand messages on, as many at a time as came; do what other events ask."""
        if self._debug:
            for event in events:
                logger.debug("%s < %s", self._name, shown(event))
        if set(map(type, events)) <= MESSAGES:
            self._deliver(events)  # type: ignore[arg-type]
            return
        messages: list[str | bytes] = []
        for event in events:
            if isinstance(event, str | bytes):
                messages.append(event)
            else:
                if messages:
                    self._deliver(messages)
                    messages = []
                self._control(event)
        if messages:
            self._deliver(messages)

    def _widen(self, wide: bool) -> None:
        self._wire.widen(wide and not self._endpoint.compressing)

    def _deliver(self, messages: list[str | bytes]) -> None:
        if self._discarding:
            return
        if self._sink is not None:
            self._sink(messages)
        else:
            full = self._backlog.add(messages)
            self._queue = self._backlog.messages
            if full:
                self.pause()

    def _hold_back(self) -> None:
        """A message waits to be taken in parts; a sink takes whole ones only."""
        endpoint = self._endpoint
        while endpoint.held and (self._discarding or self._sink is not None):
            if self._discarding:
                endpoint.decide(Delivery.DROPPED)
            self._take(endpoint.receive_data(b""))
        if endpoint.held:
            self.pause()

    def _release(self) -> None:
        """Take the parts that are held back, DRAIN at most: the end has come."""
        parts, endpoint = self._parts, self._endpoint
        while endpoint.held and not self._backlog.reaches(DRAIN):
            if not parts or parts[-1].fin:
                break  # it is a message that nobody has asked for
            self._take(endpoint.receive_data(b""))

    def _control(self, event: Event) -> None:
        match event:
            case Ping():
                pass  # its pong is pending in the endpoint
            case Pong(payload=payload):
                self._pings.answered(payload, self._time())
            case Part():
                self._parts = self._backlog.add_part(event)
                if self._backlog.reaches(ROOM):  # it is kept until it is asked for
                    self.pause()
            case CloseReceived(code=code):
                if self._leaving:
                    facts = self._tell(Reason.LOCAL, Initiator.US, "this side closed")
                else:
                    text = f"the peer closed with {code}"
                    facts = self._tell(Reason.PEER_CLOSED, Initiator.PEER, text)
                self._conclude(facts, clean=True)
            case Failed(detail=detail):
                self._failing = detail
                if self._sink is not None or self._discarding or self._leaving:
                    self._fail()
                else:  # who takes messages says so by asking for the next one
                    self._close_within(LINGER)
            case _:
                self._opening = event
                if isinstance(event, Response):
                    self._phase = Phase.OPEN

    def _lost(self, error: Exception) -> None:
        """Take the wire's failure: after both Close frames it means nothing."""
        self._release()
        if type(error).__module__ == "ssl":
            reason = Reason.EOF if "EOF" in type(error).__name__ else Reason.TLS
        else:
            reason = Reason.EOF if isinstance(error, EOFError) else Reason.RESET
        self._conclude(self._tell(reason, Initiator.PEER, str(error)), cause=error)
        self._abort()

    def _failed(self, error: Exception) -> None:
        """A task of this connection's own failed: without it there is none."""
        facts = self._tell(Reason.LOCAL, Initiator.US, f"it failed within: {error!r}")
        self._conclude(facts, cause=error)
        self._abort()

    # -- bytes out --------------------------------------------------------------

    def _drained(self) -> None:
        """The kernel has everything: whoever waited for room may go on."""
        self._blocked = False
        self._taken = self._written
        self._watch.flowing()
        if self._endpoint.pending:
            self._reply()
        if self._facts is not None:
            self._settle()
        self._wake_senders()

    def _reply(self) -> None:
        """Send what the endpoint owes; pongs wait for room, Close for the answers."""
        later = not self._room or self._failing is not None
        if later and self._endpoint.state is State.OPEN:
            return
        self._write(self._endpoint.data_to_send())

    # -- the end ----------------------------------------------------------------

    def _tell(self, reason: Reason, initiator: Initiator, detail: str) -> Facts:
        endpoint = self._endpoint
        if self._failing is not None:  # whatever made an end of it
            reason, initiator = Reason.PROTOCOL_ERROR, Initiator.US
            detail = self._failing
        return Facts(
            reason=reason,
            phase=self._phase,
            host=self._host,
            initiator=initiator,
            received=endpoint.close_received,
            sent=endpoint.close_sent,
            idle=max(0.0, self._time() - self._watch.heard_at),
            latency=self._pings.latency,
            detail=detail,
        )

    def _conclude(
        self, facts: Facts, *, clean: bool = False, cause: Exception | None = None
    ) -> None:
        """Store how it ended, once, then wake everybody who waits."""
        if self._facts is not None:
            return
        self._facts = facts
        self._cause = cause
        self._clean = clean
        if self._debug:
            logger.debug("%s = %s", self._name, facts)
        self._endpoint.receive_eof()  # whoever asks its state learns that it is over
        self.resume()  # the end of TCP is to be seen
        if self._concluded is not None:
            self._concluded.set()
        self._wake()

    def _fail(self) -> bool:
        """
        Fail the connection (RFC 6455, 7.1.7); return False if that is not due.

        Said as soon as it is known, our Close frame would keep the application from
        answering the good messages that came before: it has LINGER for that.

        """
        if self._failing is None or self._facts is not None:
            return False
        self._watch.close_at = None
        self._conclude(self._tell(Reason.PROTOCOL_ERROR, Initiator.US, ""))
        self._reply()
        self._settle()
        return True

    def _wake(self) -> None:
        """Let everybody who waits look again."""
        self._turn.wake_all()
        self._wake_senders()
        self._wake_readers()
        self._nudge()

    def _wake_readers(self) -> None:
        if self._fed is not None:
            self._fed.set()
            self._fed = None

    def _settle(self) -> None:
        """
        Nothing more will be said: end TCP.

        RFC 6455, 7.1.1: the server does it first, so that the client's port is free at
        once. Who failed the connection reads on until the peer has ended too: a reset
        would eat the Close frame that says why.

        """
        if self._over:
            return
        if self._endpoint.role is Role.SERVER and not self._blocked:
            if self._clean:
                self._finish()
                return
            self._wire.shutdown()
        self._close_within(LINGER)

    def _close_within(self, bound: float) -> None:
        """From now on only one deadline counts; it never moves back."""
        limits = [bound, self._timeouts.close_timeout]
        at = self._time() + min(limit for limit in limits if limit is not None)
        if self._watch.close_at is None or at < self._watch.close_at:
            self._watch.close_at = at
            self._arm()

    def _finish(self) -> None:
        """End the wire: what the kernel takes, then FIN."""
        self._end_turn()
        self._over = True
        self._wire.finish()
        self._rest()

    def _abort(self) -> None:
        self._over = True
        self._wire.abort()
        self._rest()

    def _rest(self) -> None:
        """Nothing more is due, and nothing more is told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink is not None:
            self._sink = _ignore
        self._sender = None
        self._wake()

    def end(self, reason: Reason, detail: str = "", *, code: int = 1001) -> None:
        """
        End the connection at once, synchronously, with the facts given; idempotent.

        LIVENESS and WRITE_STALLED abort. Otherwise what is readable is read first, so
        that no reset eats our Close frame, which is sent unless half a frame is on its
        way; then the connection is closed without waiting for the peer.

        """
        if self._over:
            return
        abrupt = reason in (Reason.LIVENESS, Reason.WRITE_STALLED)
        if not abrupt and not self._feeding:
            self._wire.drain(DRAIN)
        if self._over:
            return
        if self._facts is None:
            if not abrupt and not self._blocked:
                self._say_close(code)
            self._conclude(self._tell(reason, Initiator.US, detail))
        if abrupt:
            self._abort()
        else:
            self._finish()

    def _say_close(self, code: int) -> None:
        endpoint = self._endpoint
        if endpoint.state is State.OPEN:
            self._write(endpoint.close(code))
        elif endpoint.pending:  # a sink ends it, and the peer's Close stands behind
            self._write(endpoint.data_to_send())

    @property
    def ended(self) -> ConnectionClosed | ConnectionLost | None:
        """A new exception that tells how the connection ended, or None: it lives."""
        if self._facts is None:
            return None
        kind = ConnectionClosed if self._clean else ConnectionLost
        error = kind(self._facts)
        error.__cause__ = self._cause
        return error

    # -- flow -------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading, so that the peer slows down; liveness stands still."""
        if self._discarding or self._facts is not None:
            return  # closing, we want to see the end
        self._revoke()
        self._low = self._backlog.low()
        if self._watch.paused_at is None:
            self._watch.paused(self._time())
            self._wire.pause()
            self._arm()

    def resume(self) -> None:
        """Read again."""
        if self._watch.paused_at is not None:
            self._watch.resumed(self._time())
            self._wire.resume()
            self._nudge()

    # -- time -------------------------------------------------------------------

    def _nudge(self) -> None:
        """Let the attendant look again."""
        if self._standing is not None:
            self._standing.cancel()

    # -- calls ------------------------------------------------------------------

    def _revoke(self) -> None:
        """Let the next call that receives look at everything."""
        self._calls -= self._granted
        self._granted = 0

    def _check_thread(self) -> None:
        if get_ident() != self._thread:
            raise ConcurrencyError(
                "this connection belongs to another thread; call it through"
                " anyio.from_thread.run()"
            )


def _ignore(_: Sequence[str | bytes]) -> None:
    """Stand where a sink was, after the end."""
