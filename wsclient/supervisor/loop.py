"""The loop: dial, live, judge, wait, and again; one task, one door out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import anyio

from ..errors import (
    ArgumentError,
    Attempted,
    Close,
    ConnectionClosed,
    Facts,
    GaveUp,
    HookError,
    Initiator,
    Phase,
    Reason,
)
from .backoff import Backoff
from .inbox import Pace, Reading
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
    next_state,
)
from .outbox import Bell, Outbox
from .policy import MISUSE, classify_default, needs_attention, outcome_of
from .router import Logger, Router
from .seam import (
    Attempt,
    Connect,
    Fatal,
    Kind,
    Link,
    OnConnect,
    Outcome,
    Retry,
    Subprotocol,
    Verdict,
)
from .subscriptions import Registry

__all__ = ("Classify", "Loop", "Means")

T = TypeVar("T")

Classify = Callable[[Outcome], Verdict]
"""Judges an outcome, or gives None to let others judge; pure."""

HISTORY = 100  # attempts that an error tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Means(Generic[T]):
    """What the loop is given, and the parts that it drives."""

    connect: Connect
    factory: Callable[[], Subprotocol[T]]
    on_connect: OnConnect | None
    classify: Classify | None
    backoff: Callable[[float], Backoff]
    wall: Callable[[], float]
    first: str
    has_provider: bool
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

    :meth:`run` never raises: what ends it is kept, and told by every call.

    """

    def __init__(self, means: Means[T], owner: object) -> None:
        self._means = means
        self._logger = means.logger
        self._backoff: Backoff | None = None
        self._scope: anyio.CancelScope | None = None
        self._sleeping = Bell()
        self._asked = False  # reconnect() ended the present life
        self._ever_opened = False
        self._worked = False
        self._refused_401 = 0
        self._stale = False  # the subprotocol belongs to an earlier generation
        self._history: deque[Attempted] = deque(maxlen=HISTORY)
        self._warned: set[str] = set()
        self._observers: list[Events] = []
        self._changed = anyio.Event()
        self._failure: Callable[[], BaseException] | None = None
        self._last_error: BaseException | None = None
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
        return tuple(self._history)

    @property
    def number(self) -> int:
        """The number of the present attempt."""
        return 0 if self._backoff is None else self._backoff.number

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
        self._backoff = self._means.backoff(anyio.current_time())

    def observe(self, bound: int) -> Events:
        """Tell one more observer."""
        events = Events(bound)
        if self.state in FINAL:
            events.finish()
        else:
            self._observers.append(events)
        return events

    async def changed(self) -> None:
        """Wait for another state."""
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

    def closed(self) -> ConnectionClosed:
        """Make what is raised after the user has left."""
        return ConnectionClosed(
            Facts(
                reason=Reason.LOCAL,
                phase=Phase.CLOSING,
                initiator=Initiator.US,
                sent=Close(1000),
                detail="the client was closed",
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
        return self._last_error or ConnectionError("not connected yet")

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
                if not self.leaving:
                    await self._run()
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - kept: every call raises it
                self._fail_with(error)
            finally:
                self.finish()

    async def _run(self) -> None:
        last: Outcome | None = None
        while True:
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
                return self._outcome(_hook_error(text, error), Kind.PREPARE)
            self._stale = False
        attempt = Attempt(
            generation=self.generation + 1,
            number=self.number,
            last_outcome=last,
            deadline=now + self._means.settings.open_timeout,
        )
        self._publish(
            Attempting(time=now, generation=attempt.generation, number=attempt.number)
        )
        async with AsyncExitStack() as stack:
            try:
                link = await stack.enter_async_context(self._means.connect(attempt))
            except Exception as error:  # noqa: BLE001 - judged like any failure
                return self._outcome(error, Kind.ATTEMPT)
            return await self._live(link)
        raise AssertionError("leaving a connection swallows nothing")

    async def _live(self, link: Link) -> Outcome:
        assert self._backoff is not None
        means = self._means
        self.generation += 1
        self._refused_401 = 0
        self._backoff.lives(anyio.current_time())
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
        return self._outcome(error, kind, proven=life.proven)

    def _outcome(
        self, error: BaseException, kind: Kind, *, proven: bool = False
    ) -> Outcome:
        outcome = outcome_of(
            error,
            kind,
            proven=proven,
            worked=self._worked,
            has_provider=self._means.has_provider,
            refused_401_in_a_row=self._refused_401,
            now=self._means.wall(),
            max_retry_after=self._means.settings.max_retry_after,
        )
        if outcome.status is not None:
            self._refused_401 = outcome.refused_401_in_a_row
        return outcome

    # Judging.

    def _judge(self, outcome: Outcome) -> float | None:
        """Return the delay before the next attempt, or None: it is over."""
        now = anyio.current_time()
        error = outcome.error
        assert self._backoff is not None
        assert error is not None
        number = self._backoff.number
        lived = outcome.kind is Kind.LIFE
        text = _text_of(error)
        self._last_error = error
        self._history.append(Attempted(now, self.generation, number, text))
        delay: float | None = None
        if self._asked:
            self._asked = False
            self._backoff.skipped(now)
            delay = 0.0
        elif isinstance(error, Exception) and not self._is_first():
            delay = self._delay(outcome, error, now)
        else:
            self._fail_with(error)
        made = LifeEnded if lived else AttemptFailed
        generation = (
            self.generation
            if lived or outcome.kind is Kind.PREPARE
            else (self.generation + 1)
        )
        self._publish(
            made(
                time=now,
                generation=generation,
                number=number,
                outcome=outcome,
                delay=delay,
            )
        )
        self._log(outcome, text, delay)
        return delay

    def _is_first(self) -> bool:
        """Whether the user asked to hear of the first failure as it is."""
        return self._means.first == "raise" and not self._ever_opened

    def _delay(self, outcome: Outcome, error: Exception, now: float) -> float | None:
        assert self._backoff is not None
        try:
            verdict = self._verdict(outcome)
            if isinstance(verdict, Fatal):
                self._give_up(outcome, verdict.why, error)
                return None
            delay = self._backoff.failed(error, now, verdict)
        except Exception as exc:  # noqa: BLE001 - the user's judges: told as HookError
            text = f"classify, wait or stop raised {exc!r}"
            self._give_up(outcome, text, _hook_error(text, exc))
            return None
        if delay is None:
            self._give_up(outcome, "stop says so", error)
        return delay

    def _verdict(self, outcome: Outcome) -> Retry | Fatal:
        if not isinstance(outcome.error, MISUSE):
            for classify in self._means.classify, self.subprotocol.classify:
                verdict = None if classify is None else classify(outcome)
                if isinstance(verdict, Retry | Fatal):
                    return verdict
                if verdict is not None:
                    raise ArgumentError(
                        f"classify gave {verdict!r}; give Retry(), Fatal() or None"
                    )
        default = classify_default(outcome)
        why = needs_attention(outcome)
        if isinstance(default, Retry) and why is not None:
            self._logger.warning("! %s; it has worked before, so it is retried", why)
            self._publish(
                Refused(
                    time=anyio.current_time(),
                    generation=self.generation,
                    outcome=outcome,
                    why=why,
                )
            )
        return default

    def _give_up(self, outcome: Outcome, why: str, cause: Exception) -> None:
        facts = getattr(cause, "facts", None) or Facts(
            reason=outcome.reason, phase=outcome.phase, initiator=outcome.initiator
        )
        history = self.history
        facts = replace(
            facts,
            attempts=history,
            detail=f"gave up after {len(history)} attempts: {why}: {_text_of(cause)}",
        )

        def failure() -> GaveUp:
            error = GaveUp(facts)
            error.__cause__ = cause
            return error

        self._fail(failure)

    def _fail(self, failure: Callable[[], BaseException]) -> None:
        self._failure = failure
        self._to(Input.GAVE_UP)

    def _fail_with(self, error: BaseException) -> None:
        self._fail(lambda: error)

    def _log(self, outcome: Outcome, text: str, delay: float | None) -> None:
        then = "no further attempt" if delay is None else f"next in {delay:.1f} s"
        if outcome.kind is Kind.LIFE:
            self._logger.info(
                "! generation %d ended: %s; %s", self.generation, text, then
            )
            return
        known = f"{outcome.reason} {outcome.status}" in self._warned
        self._warned.add(f"{outcome.reason} {outcome.status}")
        hint = (
            '; first="raise" would raise this'
            if self._means.first == "wait" and not self._ever_opened
            else ""
        )
        level = logging.DEBUG if known else logging.WARNING
        self._logger.log(level, "! no connection: %s; %s%s", text, then, hint)

    # What the life tells.

    def _on_opened(self) -> None:
        assert self.life is not None
        self._ever_opened = True
        self.link = self.life.link
        self._means.pace.guard(False)
        self._to(Input.PREPARED)

    def _on_fenced(self) -> None:
        self.link = None

    def _on_proved(self) -> None:
        assert self._backoff is not None
        self._worked = True
        self._backoff.proof()
        self._history.clear()
        self._warned.clear()
        self._publish(Proven(time=anyio.current_time(), generation=self.generation))

    # States.

    def _to(self, what: Input) -> None:
        before = self.state
        self.state = next_state(before, what)
        if self.state is before:
            return
        self._logger.debug("= %s, generation %d", self.state, self.generation)
        self._changed.set()
        self._changed = anyio.Event()
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
            self._fail(lambda: ConnectionError("the client's task was cancelled"))
        means = self._means
        closed = self.state is State.CLOSING or self.state is State.CLOSED
        why = self.closed() if closed else self.failure()
        means.outbox.end(why)
        reason = Reason.LOCAL if closed else getattr(why, "reason", Reason.LOCAL)
        means.router.end(anyio.current_time(), self.generation, reason)
        means.router.inbox.end(self.over, quiet=closed)
        for handle in means.registry.handles():
            handle.inbox.end(self.over, quiet=closed)
        for want in means.registry:
            want.tell()
        if self.state is State.CLOSING:
            self._to(Input.ENDED)
        for observer in self._observers:
            observer.finish()
        self._observers.clear()


def _text_of(error: BaseException) -> str:
    facts = getattr(error, "facts", None)
    if isinstance(facts, Facts):
        return facts.detail or f"{facts.reason} in phase {facts.phase}"
    return str(error) or repr(error)


def _hook_error(text: str, cause: Exception) -> HookError:
    error = HookError(text)
    error.__cause__ = cause
    return error
