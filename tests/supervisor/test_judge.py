"""What follows from an end, where the loop does not show it."""

from __future__ import annotations

from wsclient.errors import GaveUp, Reason
from wsclient.supervisor.backoff import Backoff, stop_never
from wsclient.supervisor.judge import HISTORY, Judge, hook_error
from wsclient.supervisor.seam import Kind

from .clients import Log, fixed, lowest
from .network import refused


def judge(first: str = "wait") -> Judge:
    it = Judge(
        classify=None,
        backoff=lambda now: Backoff(fixed(1), stop_never, lowest, now),
        wall=lambda: 0.0,
        first=first,
        has_provider=False,
        max_retry_after=300.0,
        logger=Log("test").logger,
    )
    it.start(0.0)
    return it


def test_the_history_is_bounded_and_begins_anew_with_a_proof() -> None:
    it = judge()
    for _ in range(2 * HISTORY):
        outcome = it.outcome(refused(), Kind.ATTEMPT)
        it.judge(outcome, lambda _: None, 0, 1.0, asked=False)
    assert len(it.history) == HISTORY
    assert it.history[-1].number == 2 * HISTORY
    it.lives(2.0)
    it.proof()
    assert it.history == ()
    assert it.number == 1


def test_what_is_no_exception_of_the_program_ends_it_as_itself() -> None:
    it = judge()
    error = KeyboardInterrupt()
    outcome = it.outcome(error, Kind.PREPARE)
    sentence = it.judge(outcome, lambda _: None, 1, 0.0, asked=False)
    assert sentence.delay is None
    assert sentence.failure is not None
    assert sentence.failure() is error


def test_first_raise_gives_the_first_failure_as_it_is_and_only_that() -> None:
    it = judge("raise")
    error = refused()
    sentence = it.judge(
        it.outcome(error, Kind.ATTEMPT), lambda _: None, 0, 0.0, asked=False
    )
    assert sentence.failure is not None
    assert sentence.failure() is error
    it.opened = True
    sentence = it.judge(
        it.outcome(error, Kind.ATTEMPT), lambda _: None, 1, 0.0, asked=False
    )
    assert sentence.delay == 1.0


def test_errors_without_words_and_facts_are_told_all_the_same() -> None:
    it = judge()
    error = hook_error("", ZeroDivisionError("x"))
    assert isinstance(error.__cause__, ZeroDivisionError)
    outcome = it.outcome(error, Kind.PREPARE)
    sentence = it.judge(outcome, lambda _: None, 1, 0.0, asked=False)
    assert sentence.failure is not None
    failure = sentence.failure()
    assert isinstance(failure, GaveUp)
    assert failure is not sentence.failure()
    assert failure.reason is Reason.PREPARE_FAILED
    assert failure.__cause__ is error
    assert it.history[0].text == "HookError('')"
    refusal = it.outcome(refused(""), Kind.ATTEMPT)
    it.judge(refusal, lambda _: None, 1, 0.0, asked=False)
    assert it.history[1].text == "REFUSED in phase TCP"
