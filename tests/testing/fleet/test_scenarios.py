"""The server of a fleet accepts what it can; the real policy judges its answers."""

from __future__ import annotations

import pytest

from wsclient.supervisor import Retry
from wsclient.testing.fleet import SCENARIOS, Scenario
from wsclient.testing.fleet.scenarios import Answer, Server, verdict_of


def about(answer: Answer, at: float, within: float = 1e-6) -> object:
    """Equal an answer at about this time."""
    return (answer, pytest.approx(at, abs=within))


def server(clients: int = 100, **terms: object) -> Server:
    """By default: ten in a second, of which twenty may wait; a refusal is 1/10."""
    terms = {"whole": 10.0, "backlog": 2.0, "refusal": 0.1} | terms
    return Server(Scenario(name="test", **terms), clients)  # type: ignore[arg-type]


def test_nobody_listens_before_the_server_returns() -> None:
    refusing = server(returns=5.0)
    assert refusing.arrive(4.9) == about(Answer.REFUSED, 4.95)
    silent = server(returns=5.0, meanwhile=Answer.SILENT)
    assert silent.arrive(4.9) == about(Answer.SILENT, 14.9)
    assert silent.arrive(5.0)[0] is Answer.ACCEPTED


def test_who_comes_together_is_accepted_one_after_the_other() -> None:
    busy = server()
    for at in (1.15, 1.25, 1.35):
        assert busy.arrive(1.0) == about(Answer.ACCEPTED, at)


def test_what_exceeds_the_backlog_is_refused_at_once() -> None:
    busy = server()
    answers = [busy.arrive(1.0)[0] for _ in range(22)]
    assert answers.index(Answer.BUSY) in {20, 21}
    assert busy.arrive(1.0) == about(Answer.BUSY, 1.05)


def test_refusing_costs_what_accepting_would_have_needed() -> None:
    """A herd makes itself wait: a hundred refusals are ten that are not accepted."""
    small, herd = server(), server()
    for _ in range(22):
        small.arrive(1.0)
        herd.arrive(1.0)
    for _ in range(50):
        assert herd.arrive(1.0)[0] is Answer.BUSY
    assert small.arrive(2.5)[0] is Answer.ACCEPTED
    later = herd.arrive(2.5)
    assert later[0] is Answer.ACCEPTED
    assert later[1] == pytest.approx(small.arrive(2.5)[1] - 0.1 + 0.5, abs=0.021)


def test_what_waits_longer_than_the_client_is_work_for_nobody() -> None:
    slow = server(backlog=100.0)
    answers = [slow.arrive(1.0) for _ in range(150)]
    kinds = [answer for answer, _ in answers]
    assert kinds[98] is Answer.ACCEPTED
    assert set(kinds[101:]) == {Answer.SILENT}
    assert answers[-1][1] == 11.0
    assert slow.arrive(10.0) == about(Answer.ACCEPTED, 11.25, 0.11)


def test_a_cold_server_accepts_less_until_it_is_warm() -> None:
    cold = server(returns=10.0, cold=0.1, warm=100.0)
    assert cold.rate(10.0) == pytest.approx(1.0)
    assert cold.rate(60.0) == pytest.approx(5.5)
    assert cold.rate(110.0) == cold.rate(500.0) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("answer", "retry_after", "verdict"),
    [
        (Answer.REFUSED, None, Retry()),
        (Answer.SILENT, None, Retry()),
        (Answer.BUSY, None, Retry()),
        (Answer.BUSY, 30, Retry(30.0, 33.0)),
        (Answer.RESTARTING, None, Retry(1.0, 5.0)),
        (Answer.BROKEN, None, Retry()),
    ],
)
def test_the_policy_of_the_client_judges_each_answer(
    answer: Answer, retry_after: int | None, verdict: Retry
) -> None:
    found = verdict_of(answer, retry_after)[1]
    assert found.at_least == verdict.at_least
    assert found.at_most == pytest.approx(verdict.at_most)


def test_what_befalls_a_fleet_fits_its_time_table() -> None:
    for scenario in SCENARIOS.values():
        assert scenario.returns == int(scenario.returns), "a bin begins there"
        assert scenario.returns + scenario.whole < scenario.horizon
        assert (scenario.sound > 0) == (scenario.life > 0)
