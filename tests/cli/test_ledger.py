"""The comparison of the ledgers: right ones agree, and each lie is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient import Gap, Reason
from wsclient.cli.ledger import (
    Entry,
    Heard,
    Line,
    Message,
    Opened,
    Verdict,
    compare,
    format_line,
    parse_lines,
    read_ledger,
)

CHANNELS = ("a", "b")
Written = list[Line]
Received = dict[str, list[Entry]]


def gap(generation: int, *, recovered: bool = True) -> Gap:
    return Gap(
        generation=generation,
        reason=Reason.EOF,
        offline_for=0.5,
        recovered=recovered,
    )


def ledgers(*sizes: tuple[int, int]) -> tuple[Written, Received]:
    """Make right ledgers: for each connection how much was written and received."""
    written: Written = []
    received: Received = {channel: [] for channel in CHANNELS}
    for generation, (wrote, got) in enumerate(sizes, 1):
        name = f"1.{generation}"
        written.append(Opened(name, generation))
        written += [Heard(name, channel) for channel in CHANNELS]
        if generation > 1:
            for entries in received.values():
                entries.append(gap(generation))
        for number in range(wrote):
            channel = CHANNELS[number % len(CHANNELS)]
            message = Message(name, number, channel, f"{name}/{number}")
            written.append(message)
            if number < got:
                received[channel].append(message)
    for entries in received.values():
        entries.append(gap(len(sizes), recovered=False))
    return written, received


def judge(written: Written, received: Received) -> Verdict:
    settled = {line.connection for line in written if isinstance(line, Opened)}
    return compare(written, received, settled)


def test_right_ledgers_agree_and_are_counted() -> None:
    verdict = judge(*ledgers((6, 6), (6, 3), (4, 0), (5, 4)))
    assert verdict.faults == ()
    assert (verdict.written, verdict.received, verdict.under_gaps) == (21, 13, 8)
    assert (verdict.duplicates, verdict.gaps) == (0, 8)
    assert [row.under_gap for row in verdict.rows] == [0, 3, 4, 1]
    assert [row.generation for row in verdict.rows] == [1, 2, 3, 4]
    assert [row.subscribed for row in verdict.rows] == [2, 2, 2, 2]


sizes = st.lists(
    st.integers(0, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=1,
    max_size=5,
)


@given(sizes)
def test_any_prefixes_with_their_gaps_agree(sizes: list[tuple[int, int]]) -> None:
    assert judge(*ledgers(*sizes)).faults == ()


@given(st.data())
def test_any_message_lost_before_another_is_found(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(2, 9), min_size=1, max_size=4))
    written, received = ledgers(*((size, size) for size in sizes))
    messages = [line for line in written if isinstance(line, Message)]
    victim = data.draw(
        st.sampled_from(
            [
                message
                for message, follower in pairwise(messages)
                if message.connection == follower.connection
            ]
        )
    )
    received[victim.channel].remove(victim)
    assert "is missing, and" in " ".join(judge(written, received).faults)


@given(st.data())
def test_any_message_received_twice_is_found(data: st.DataObject) -> None:
    written, received = ledgers((6, 6), (4, 4), (5, 4))
    entries = received[data.draw(st.sampled_from(CHANNELS))]
    again = data.draw(
        st.sampled_from([entry for entry in entries if isinstance(entry, Message)])
    )
    entries.insert(data.draw(st.integers(0, len(entries))), again)
    verdict = judge(written, received)
    assert verdict.duplicates == 1
    assert any("received twice" in fault for fault in verdict.faults)


def swap(written: Written, received: Received) -> None:
    entries = received["a"]
    entries[0], entries[1] = entries[1], entries[0]


def swap_generations(written: Written, received: Received) -> None:
    received["a"] = [*received["a"][4:7], gap(1), *received["a"][:3]]


def forget_gap(written: Written, received: Received) -> None:
    received["a"].remove(gap(2))


def forget_last_gap(written: Written, received: Received) -> None:
    received["b"].pop()


def forget_gap_of_unheard_generation(written: Written, received: Received) -> None:
    """A generation of which nothing came is no less lost."""
    received["a"] = [entry for entry in received["a"] if not isinstance(entry, Gap)]
    del received["a"][3:]


def misname_gap(written: Written, received: Received) -> None:
    entries = received["a"]
    entries[entries.index(gap(2))] = gap(3)


def end_and_go_on(written: Written, received: Received) -> None:
    entries = received["a"]
    entries[entries.index(gap(2))] = gap(2, recovered=False)


def invent_gap(written: Written, received: Received) -> None:
    received["a"].insert(1, gap(1))


def invent_message(written: Written, received: Received) -> None:
    received["a"].insert(3, Message("1.1", 6, "a", "never written"))


def invent_connection(written: Written, received: Received) -> None:
    received["a"].insert(0, Message("9.9", 0, "a", "9.9/0"))


def change_message(written: Written, received: Received) -> None:
    entry = received["a"][0]
    assert isinstance(entry, Message)
    received["a"][0] = replace(entry, value="changed")


def misroute(written: Written, received: Received) -> None:
    received["b"].insert(0, received["a"].pop(0))


def say_twice(written: Written, received: Received) -> None:
    written.insert(3, Heard("1.1", "b"))


def say_less(written: Written, received: Received) -> None:
    written.remove(Heard("1.2", "b"))


def say_in_another_order(written: Written, received: Received) -> None:
    written[1], written[2] = written[2], written[1]


def lose_the_opening(written: Written, received: Received) -> None:
    written.remove(Opened("1.2", 2))


def open_twice(written: Written, received: Received) -> None:
    written.append(Opened("1.1", 1))


def lose_a_line_of_the_server(written: Written, received: Received) -> None:
    written.remove(next(line for line in written if isinstance(line, Message)))


LIES: dict[Callable[[Written, Received], None], str] = {
    swap: "out of order",
    swap_generations: "behind generation 2 .* out of order",
    forget_gap: "no Gap between generation 1 .* and generation 2",
    forget_last_gap: "1 messages of generation 3 .* missing without a Gap",
    forget_gap_of_unheard_generation: "of generation 3 .* missing without a Gap",
    misname_gap: "the Gap before it tells of another",
    end_and_go_on: "the Gap before it tells of another",
    invent_gap: "behind a Gap where the connection stayed",
    invent_message: "nobody wrote this message",
    invent_connection: "nobody wrote this message",
    change_message: "nobody wrote this message",
    misroute: "it belongs to a",
    say_twice: "the subscriptions said were a, b, b instead of a, b",
    say_less: "the subscriptions said were a instead of a, b",
    say_in_another_order: "the subscriptions said were b, a instead of a, b",
    lose_the_opening: "the server did not open the connection of",
    open_twice: "the server opened connection 1.1 twice",
    lose_a_line_of_the_server: "the server's ledger has no order",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_each_lie_is_found_and_named(lie: Callable[[Written, Received], None]) -> None:
    written, received = ledgers((6, 6), (6, 6), (6, 4))
    assert judge(written, received).faults == ()
    lie(written, received)
    faults = "\n".join(judge(written, received).faults)
    with pytest.raises(AssertionError, match=LIES[lie]):
        raise AssertionError(faults)


def test_a_connection_that_died_early_may_have_heard_less() -> None:
    """Only in order, and only where nobody saw it settled."""
    written, received = ledgers((4, 4), (0, 0))
    written.remove(Heard("1.2", "b"))
    assert compare(written, received, {"1.1"}).faults == ()
    assert compare(written, received, {"1.1", "1.2"}).faults
    written[written.index(Heard("1.2", "a"))] = Heard("1.2", "b")
    assert compare(written, received, {"1.1"}).faults


def test_a_connection_that_was_seen_and_stands_in_no_ledger_is_a_fault() -> None:
    written, received = ledgers((4, 4))
    assert "no connection 1.7" in compare(written, received, {"1.7"}).faults[0]


@given(
    st.lists(
        st.one_of(
            st.builds(Opened, st.text(), st.integers()),
            st.builds(Heard, st.text(), st.text()),
            st.builds(Message, st.text(), st.integers(), st.text(), st.text()),
        )
    )
)
def test_what_is_written_is_read_again(lines: list[Line]) -> None:
    assert parse_lines("".join(map(format_line, lines))) == lines


def test_a_line_cut_off_by_a_kill_is_passed_over() -> None:
    whole = format_line(Opened("1.1", 1))
    assert parse_lines(whole + format_line(Heard("1.1", "a"))[:-1]) == [
        Opened("1.1", 1)
    ]


@pytest.mark.parametrize(
    "row",
    ["", "[]", "nonsense", '{"kind":"other"}', '{"kind":"heard","connection":"1.1"}'],
)
def test_a_broken_line_in_the_middle_is_an_error(row: str) -> None:
    with pytest.raises(ValueError, match="no line of a ledger"):
        parse_lines(f"{row}\n{format_line(Opened('1.1', 1))}")


def test_the_files_of_all_processes_are_read_in_order(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        path = tmp_path / f"server-{number:03}.jsonl"
        path.write_text(format_line(Opened(f"{number}.1", number)), encoding="utf-8")
    assert read_ledger(tmp_path) == [
        Opened("1.1", 1),
        Opened("2.1", 2),
        Opened("10.1", 10),
    ]
