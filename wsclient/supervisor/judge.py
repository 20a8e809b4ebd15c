"""What follows from each end: the next delay, or why it is over; and what is said."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..errors import ArgumentError, Attempted, Facts, GaveUp, GiveUp, HookError
from .backoff import Backoff
from .policy import MISUSE, classify_default, needs_attention, outcome_of
from .router import Logger
from .seam import Fatal, Kind, Outcome, Retry, Verdict

__all__ = ("Classify", "Judge", "Sentence", "hook_error")

Classify = Callable[[Outcome], Verdict]
"""Judges an outcome, or gives None to let others judge; pure."""

HISTORY = 100  # attempts that an error tells


@dataclass(frozen=True, slots=True)
class Sentence:
    """
    ``delay`` in seconds before the next attempt; None: ``failure()`` says why not.

    ``refused`` says that somebody should look, although it is tried again.

    """

    delay: float | None
    failure: Callable[[], BaseException] | None = None
    refused: str | None = None


class Judge:
    """Remembers since the last proof of life what the next sentence depends on."""

    def __init__(
        self,
        *,
        classify: Classify | None,
        backoff: Callable[[float], Backoff],
        wall: Callable[[], float],
        first: str,
        has_provider: bool,
        max_retry_after: float,
        logger: Logger,
    ) -> None:
        self._classify = classify
        self._make_backoff = backoff
        self._backoff: Backoff | None = None
        self._wall = wall
        self._first = first
        self._has_provider = has_provider
        self._max_retry_after = max_retry_after
        self.logger = logger
        self._refused_401 = 0
        self._history: deque[Attempted] = deque(maxlen=HISTORY)
        self._warned: set[str] = set()
        self.worked = False
        self.opened = False
        self.last_error: BaseException | None = None

    def start(self, now: float) -> None:
        """The client is entered: an outage begins."""
        self._backoff = self._make_backoff(now)

    @property
    def backoff(self) -> Backoff:
        """The count of attempts."""
        assert self._backoff is not None
        return self._backoff

    @property
    def number(self) -> int:
        """The number of the present attempt since the last proof of life."""
        return self.backoff.number

    @property
    def history(self) -> tuple[Attempted, ...]:
        """How attempts and lives have ended since the last proof of life."""
        return tuple(self._history)

    def lives(self, now: float) -> None:
        """An attempt got its 101."""
        self._refused_401 = 0
        self.backoff.lives(now)

    def proof(self) -> None:
        """The present life gave proof: count, tell and warn anew."""
        self.worked = True
        self.backoff.proof()
        self._history.clear()
        self._warned.clear()

    def outcome(
        self, error: BaseException, kind: Kind, *, proven: bool = False
    ) -> Outcome:
        """Make an outcome of an error; consecutive 401s are counted."""
        outcome = outcome_of(
            error,
            kind,
            proven=proven,
            worked=self.worked,
            has_provider=self._has_provider,
            refused_401_in_a_row=self._refused_401,
            now=self._wall(),
            max_retry_after=self._max_retry_after,
        )
        if outcome.status is not None:
            self._refused_401 = outcome.refused_401_in_a_row
        return outcome

    def judge(
        self,
        outcome: Outcome,
        by_subprotocol: Classify,
        generation: int,
        now: float,
        *,
        asked: bool,
    ) -> Sentence:
        """Decide what follows; ``asked``: the user wanted this end, by reconnect()."""
        error = outcome.error
        assert error is not None
        self.last_error = error
        text = _text_of(error)
        self._history.append(Attempted(now, generation, self.number, text))
        if asked:
            self.backoff.skipped(now)
            sentence = Sentence(0.0)
        elif not isinstance(error, Exception) or (
            self._first == "raise" and not self.opened
        ):
            sentence = Sentence(None, lambda: error)  # as it is
        else:
            sentence = self._weigh(outcome, error, by_subprotocol, now)
        self._log(outcome, generation, text, sentence)
        return sentence

    def _weigh(
        self, outcome: Outcome, error: Exception, by_subprotocol: Classify, now: float
    ) -> Sentence:
        try:
            verdict, refused = self._verdict(outcome, by_subprotocol)
            if isinstance(verdict, Fatal):
                return self._give_up(outcome, verdict.why or "it is fatal", error)
            delay = self.backoff.failed(error, now, verdict)
        except Exception as exc:  # noqa: BLE001 - the user's judges: told as HookError
            text = f"classify, wait or stop raised {exc!r}"
            return self._give_up(outcome, text, hook_error(text, exc))
        if delay is None:
            return self._give_up(outcome, "stop says so", error)
        return Sentence(delay, refused=refused)

    def _verdict(
        self, outcome: Outcome, by_subprotocol: Classify
    ) -> tuple[Retry | Fatal, str | None]:
        """Ask in order; with the default, say what needs attention."""
        if not isinstance(outcome.error, (*MISUSE, GiveUp)):
            for classify in self._classify, by_subprotocol:
                verdict = None if classify is None else classify(outcome)
                if isinstance(verdict, Retry | Fatal):
                    return verdict, None
                if verdict is not None:
                    raise ArgumentError(
                        f"classify gave {verdict!r}; give Retry(), Fatal() or None"
                    )
        return classify_default(outcome), needs_attention(outcome)

    def _give_up(self, outcome: Outcome, why: str, cause: Exception) -> Sentence:
        facts = getattr(cause, "facts", None) or Facts(
            reason=outcome.reason, phase=outcome.phase, initiator=outcome.initiator
        )
        history = self.history
        facts = replace(
            facts,
            attempts=history,
            detail=f"gave up after {_counted(len(history))}: {why}: {_text_of(cause)}",
        )

        def failure() -> GaveUp:
            error = GaveUp(facts)
            error.__cause__ = cause
            return error

        return Sentence(None, failure)

    def _log(
        self, outcome: Outcome, generation: int, text: str, sentence: Sentence
    ) -> None:
        delay = sentence.delay
        then = "no further attempt" if delay is None else f"next in {delay:.2g} s"
        if sentence.refused is not None:
            self.logger.warning(
                "! %s (%s); it has worked before, so it is retried: %s",
                sentence.refused,
                text,
                then,
            )
        elif outcome.kind is Kind.LIFE:
            self.logger.info("! generation %d ended: %s; %s", generation, text, then)
        else:
            what = f"{outcome.reason} {outcome.status}"
            level = logging.DEBUG if what in self._warned else logging.WARNING
            self._warned.add(what)
            hint = (
                '; first="raise" would raise this'
                if self._first == "wait" and not self.opened and delay is not None
                else ""
            )
            self.logger.log(level, "! attempt failed: %s; %s%s", text, then, hint)


def _counted(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _text_of(error: BaseException) -> str:
    facts = getattr(error, "facts", None)
    if isinstance(facts, Facts):
        return facts.detail or f"{facts.reason} in phase {facts.phase}"
    return str(error) or repr(error)


def hook_error(text: str, cause: Exception) -> HookError:
    """Make the error of what a function of the user raised."""
    error = HookError(text)
    error.__cause__ = cause
    return error
