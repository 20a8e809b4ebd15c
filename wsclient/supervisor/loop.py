"""The loop: dial, live, judge, wait, and again; one task, one door out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar
from weakref import WeakSet

import anyio

from ..errors import (
    Attempted,
    ConnectError,
    ConnectionClosed,
    Facts,
    GaveUp,
    Initiator,
    Phase,
    Reason,
)
from .flow import Pace, Reading
from .judge import Judge, hook_error
from .life import Life, Settings, Standing
from .lifecycle import (
    FINAL,
    AttemptFailed,
    Attempting,
    Event,
    Events,
    Input,
    LifeEnded,
    Proven,
    Refused,
    State,
    StateChanged,
    Stats,
    next_state,
)
from .outbox import Bell, Outbox
from .policy import forget_frames
from .router import Logger, Router
from .seam import (
    Attempt,
    Connect,
    Kind,
    Link,
    OnConnect,
    Outcome,
    Subprotocol,
)
from .subscriptions import Registry

__all__ = ("Loop", "Means")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means(Generic[T]):
    """What the loop is given, and the parts that it drives."""

    connect: Connect
    factory: Callable[[], Subprotocol[T]]
    on_connect: OnConnect | None
    judge: Judge
    logger: Logger
    settings: Settings
    outbox: Outbox
    registry: Registry[T]
    router: Router[T]
    reading: Reading
    pace: Pace


class Loop(Generic[T]):
    """
    What happens to a client, one thing after the other.

    What ends :meth:`run` is kept, and told by every call; it raises only what is no
    ``Exception``: a KeyboardInterrupt, which trio raises wherever it finds us.

    """

    def __init__(self, means: Means[T], owner: object) -> None:
        self._means = means
        self._logger = means.logger
        self._judging = means.judge
        self._scope: anyio.CancelScope | None = None
        self._sleeping = Bell()
        self._asked = False  # reconnect() ended the present life
        self._stale = False  # the subprotocol belongs to an earlier generation
        self._observers: WeakSet[Events] = WeakSet()  # until nobody holds them
        self._changed: anyio.Event | None = None  # while somebody waits
        self._failure: Callable[[], BaseException] | None = None
        self._standing = Standing(
            settings=means.settings,
            outbox=means.outbox,
            registry=means.registry,
            router=means.router,
            reading=means.reading,
            pace=means.pace,
            on_connect=means.on_connect,
            owner=owner,
            opened=self._on_opened,
            fenced=self._on_fenced,
            proved=self._on_proved,
        )
        self.state = State.NEW
        self.generation = 0
        self.life: Life[T] | None = None
        self.link: Link | None = None  # while OPEN and not fenced
        self.subprotocol = means.router.subprotocol
        self.told = False  # a call has raised why it failed

    # What others ask and do; all of it synchronous but the waiting.

    @property
    def history(self) -> tuple[Attempted, ...]:
        """The attempts since the last proof of life."""
        return self._judging.history

    @property
    def leaving(self) -> bool:
        """Whether the user is leaving or has left."""
        return self.state in {State.CLOSING, State.CLOSED}

    @property
    def over_or_leaving(self) -> bool:
        """Whether nothing new is taken."""
        return self.leaving or self.state is State.FAILED

    def start(self) -> None:
        """Enter: the first attempt is about to be made."""
        self._to(Input.ENTER)
        self._scope = anyio.CancelScope()
        self._judging.start(anyio.current_time())

    def stats(self) -> Stats:
        """Count what can be counted."""
        means, life = self._means, self.life
        return Stats(
            state=self.state,
            generation=self.generation,
            proven=life is not None and life.proven,
            attempts=len(self.history),
            received=means.router.received,
            sent=means.outbox.sent,
            waiting=means.outbox.waiting,
            queued=means.outbox.queued,
            unrouted=means.router.inbox.lost,
            skipped=means.router.skipped,
            subscriptions=len(means.registry),
            paused=means.reading.holders,
            latency=None if life is None else life.link.latency,
        )

    def observe(self, bound: int) -> Events:
        """Tell one more observer."""
        events = Events(bound)
        if self.state in FINAL:
            events.finish()
        else:
            self._observers.add(events)
        return events

    async def changed(self) -> None:
        """Wait for another state."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def reconnect(self) -> None:
        """End an OPEN life, dial now when DOWN, else nothing."""
        if self.state is State.OPEN and self.life is not None:
            self._asked = True
            self.life.link.end(Reason.LOCAL, "reconnect() was called")
        elif self.state is State.DOWN:
            self._sleeping.ring()

    def mark_healthy(self) -> None:
        """Take the user's word for proof of life."""
        if self.life is not None and not self.leaving:
            self.life.prove()

    def begin_leaving(self) -> Link | None:
        """Take leave of everybody; return the connection that is still to be closed."""
        new = self.state is State.NEW
        self._to(Input.LEAVE)
        if new:
            self.finish()
        if self.state is not State.CLOSING:
            return None
        self._means.outbox.end(self.closed())
        if self.life is None:
            return None
        self.life.leave()
        return self.life.link

    def stop(self) -> None:
        """Cancel what is still going on."""
        if self._scope is not None:
            self._scope.cancel()

    def closed(self, detail: str = "the client was closed") -> ConnectionClosed:
        """Make what is raised after the user has left."""
        return ConnectionClosed(
            Facts(
                reason=Reason.LOCAL,
                phase=Phase.CLOSING,
                initiator=Initiator.US,
                detail=detail,
            )
        )

    def failure(self) -> BaseException:
        """Make what is raised after the client has failed."""
        assert self._failure is not None
        return self._failure()

    def over(self) -> BaseException:
        """Make what calls raise when it is over."""
        if self.state is State.FAILED:
            self.told = True
            return self.failure()
        return self.closed()

    def down(self) -> BaseException:
        """Make what explains why there is no connection now."""
        if self.state is State.FAILED:
            return self.failure()
        if self.leaving:
            return self.closed()
        return self._judging.last_error or ConnectError(
            Facts(reason=Reason.LOCAL, phase=Phase.TCP, detail="not connected yet")
        )

    def flow_changed(self) -> None:
        """A queue wants reading to pause, or to go on."""
        if self.life is not None:
            self.life.flow_changed()

    # The loop.

    async def run(self) -> None:
        """Go on until the user leaves or nothing more can be done."""
        assert self._scope is not None
        with self._scope:
            try:
                await self._run()
            except anyio.get_cancelled_exc_class():
                # A foreign task.cancel() is not let through: it would reach the user's
                # body by way of the task group.
                if self._scope.cancel_called:
                    raise
            except BaseException as error:
                self._fail_with(error)
                if not isinstance(error, Exception):
                    raise  # an interrupt of the program ends the user's body too
            finally:
                self.finish()

    async def _run(self) -> None:
        last: Outcome | None = None
        while True:
            if last is not None:
                forget_frames(last.error)
            last = await self._attempt(last)
            if self.leaving:
                return
            self._to(Input.DROPPED)
            delay = self._judge(last)
            if delay is None:
                return
            self._sleeping = Bell()
            with anyio.move_on_after(delay):
                await self._sleeping.wait()
            self._to(Input.DIAL)

    async def _attempt(self, last: Outcome | None) -> Outcome:
        """Make one attempt, and live if there is a life; return how it ended."""
        now = anyio.current_time()
        if self._stale:
            try:
                self.subprotocol = self._means.factory()
            except Exception as error:  # noqa: BLE001 - the user's factory: judged
                text = f"the subprotocol's factory raised {error!r}"
                return self._judging.outcome(hook_error(text, error), Kind.PREPARE)
            self._stale = False
        budget = self._means.settings.open_timeout
        attempt = Attempt(
            generation=self.generation + 1,
            number=self._judging.number,
            last_outcome=last,
            deadline=inf if budget is None else now + budget,
        )
        self._publish(
            Attempting(time=now, generation=attempt.generation, number=attempt.number)
        )
        async with AsyncExitStack() as stack:
            try:
                link = await stack.enter_async_context(self._means.connect(attempt))
            except Exception as error:  # noqa: BLE001 - judged like any failure
                return self._judging.outcome(error, Kind.ATTEMPT)
            return await self._live(link)
        raise AssertionError("leaving a connection swallows nothing")

    async def _live(self, link: Link) -> Outcome:
        means = self._means
        self.generation += 1
        self._judging.lives(anyio.current_time())
        self.life = life = Life(self._standing, link, self.subprotocol, self.generation)
        self._to(Input.LINKED)
        means.pace.guard(True)
        error: BaseException = self.closed()
        try:
            kind, error = await life.run()
        finally:
            self.life = None
            self._stale = True
            means.pace.guard(False)
            means.outbox.life_ended(error)
            means.registry.life_ended()
        return self._judging.outcome(error, kind, proven=life.proven)

    def _judge(self, outcome: Outcome) -> float | None:
        """Return the delay before the next attempt, or None: it is over."""
        if not isinstance(outcome.error, Exception | None):
            raise outcome.error  # nothing to be judged: KeyboardInterrupt, SystemExit
        now = anyio.current_time()
        number = self._judging.number
        lived = outcome.kind is Kind.LIFE
        before = outcome.kind is Kind.ATTEMPT  # it would have been the next one
        asked, self._asked = self._asked, False
        sentence = self._judging.judge(
            outcome, self.subprotocol.classify, self.generation, now, asked=asked
        )
        if sentence.refused is not None:
            self._publish(
                Refused(
                    time=now,
                    generation=self.generation,
                    outcome=outcome,
                    why=sentence.refused,
                )
            )
        if sentence.failure is not None:
            self._fail(sentence.failure)
        made = LifeEnded if lived else AttemptFailed
        self._publish(
            made(
                time=now,
                generation=self.generation + before,
                number=number,
                outcome=outcome,
                delay=sentence.delay,
            )
        )
        return sentence.delay

    def _fail(self, failure: Callable[[], BaseException]) -> None:
        self._failure = failure
        self._to(Input.GAVE_UP)

    def _fail_with(self, error: BaseException) -> None:
        self._fail(lambda: error)

    # What the life tells.

    def _on_opened(self) -> None:
        assert self.life is not None
        self._judging.opened = True
        self.link = self.life.link
        self._means.pace.guard(False)
        self._to(Input.PREPARED)

    def _on_fenced(self) -> None:
        self.link = None

    def _on_proved(self) -> None:
        self._judging.proof()
        self._publish(Proven(time=anyio.current_time(), generation=self.generation))

    # States.

    def _to(self, what: Input) -> None:
        before = self.state
        self.state = next_state(before, what)
        if self.state is before:
            return
        self._logger.debug("= %s, generation %d", self.state, self.generation)
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        self._publish(
            StateChanged(
                time=anyio.current_time(),
                generation=self.generation,
                before=before,
                after=self.state,
            )
        )

    def _publish(self, event: Event) -> None:
        for observer in self._observers:
            observer.put(event)

    def finish(self) -> None:
        """Tell everybody that it is over; whatever was queued can still be read."""
        if self.state not in FINAL and self.state is not State.CLOSING:
            text = "the client's task was cancelled from outside"
            facts = Facts(reason=Reason.LOCAL, phase=Phase.OPEN, detail=text)
            self._fail(lambda: GaveUp(facts))
        means = self._means
        closed = self.state is State.CLOSING or self.state is State.CLOSED
        why = self.closed() if closed else self.failure()
        means.outbox.end(why)
        reason = Reason.LOCAL if closed else getattr(why, "reason", Reason.LOCAL)
        means.router.end(anyio.current_time(), self.generation, reason)
        means.router.inbox.end(self.over, quiet=closed)
        for handle in means.registry.handles():
            handle._inbox.end(self.over, quiet=closed)
        for want in means.registry:
            want.tell()
        if self.state is State.CLOSING:
            self._to(Input.ENDED)
        for observer in self._observers:
            observer.finish()
        self._observers.clear()
