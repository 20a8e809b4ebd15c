"""What waits to be received is counted when it matters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsclient.connection.backlog import Backlog
from wsclient.protocol import Limits, Part

MESSAGES = st.lists(st.binary(max_size=12), max_size=12)


@given(st.lists(st.tuples(MESSAGES, st.integers(0, 12))), st.integers(1, 60))
def test_it_is_full_exactly_at_its_bounds_whatever_was_taken_before(
    steps: list[tuple[list[bytes], int]], bound: int
) -> None:
    backlog = Backlog(Limits(max_queue=10, max_queue_bytes=bound))
    for messages, taken in steps:
        full = backlog.add(messages)
        waiting = backlog.messages
        size = sum(map(len, waiting))
        assert full == backlog.full == (len(waiting) >= 10 or size >= bound)
        assert backlog.size() == size
        for _ in range(min(taken, len(waiting))):
            waiting.popleft()


@given(MESSAGES, MESSAGES, st.integers(1, 60))
def test_low_is_what_holds_half_of_the_messages_and_half_of_the_bytes(
    earlier: list[bytes], messages: list[bytes], bound: int
) -> None:
    backlog = Backlog(Limits(max_queue=10, max_queue_bytes=bound))
    backlog.add([*earlier, *messages])
    for _ in earlier:
        backlog.messages.popleft()
    left = backlog.low()
    kept = messages[len(messages) - left :] if left < len(messages) else messages
    assert left <= 5
    assert sum(map(len, kept)) <= bound // 2
    if len(kept) < min(5, len(messages)):  # one more would be too much
        assert sum(map(len, messages[-left - 1 :])) > bound // 2


def test_parts_count_until_they_are_taken() -> None:
    backlog = Backlog(Limits())
    backlog.add_part(Part(b"abc", False))
    assert backlog.reaches(3)
    assert not backlog.reaches(4)
    backlog.parts.popleft()
    assert not backlog.reaches(3)


def test_parts_that_fill_the_bound_let_all_messages_be_left() -> None:
    backlog = Backlog(Limits(max_queue_bytes=10))
    backlog.add([b"a", b"b"])
    backlog.add_part(Part(b"x" * 20, False))
    assert backlog.full
    assert backlog.low() == 2
