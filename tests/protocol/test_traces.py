"""Conversations written by hand: each role hears and sends its half, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsclient.protocol import Role

from .trace import Replay, Trace, read_traces

FOLDER = Path(__file__).parents[1] / "traces"
FILES = sorted(FOLDER.glob("*.wire"))
TRACES = [trace for path in FILES for trace in read_traces(path)]


@pytest.mark.parametrize("size", [0, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("trace", "role"),
    [
        pytest.param(trace, role, id=f"{trace.name} {role.value}")
        for trace in TRACES
        for role in trace.roles
    ],
)
def test_an_endpoint_hears_and_sends_what_is_written(
    trace: Trace, role: Role, size: int
) -> None:
    Replay(trace, role, size).run()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_trace_says_first_which_clause_it_shows(path: Path) -> None:
    for text in path.read_text("utf-8").split("---\n"):
        assert re.match(r"# RFC \d{4}, sections? \d", text), path.name


@pytest.mark.parametrize(
    ("role", "lines", "says"),
    [
        (Role.SERVER, ["server calls encode('a')", "< 81 01 62"], ":2"),
        (Role.SERVER, ["server calls encode('a')"], "more was sent"),
        (Role.CLIENT, ["< 81 01 61"], "more was heard"),
        (Role.CLIENT, ["< 81 01 61", "client gets 'b'"], ":2"),
        (Role.CLIENT, ["< 81 01", "client gets 'a'", "< 61"], ":2: nothing was heard"),
        (Role.CLIENT, ["< 83", "client gets Failed(1002)"], "more is to be sent"),
        (Role.CLIENT, ["client answers"], ":1: nothing is due"),
        (Role.CLIENT, ["client is CLOSED"], ":1"),
        (Role.CLIENT, ["client thinks 'a'"], ":1: what is 'thinks'"),
    ],
)
def test_a_replay_takes_nothing_for_granted(
    role: Role, lines: list[str], says: str
) -> None:
    trace = Trace("a trace")
    for number, line in enumerate(lines, 1):
        trace.read(f":{number}", line)
    with pytest.raises(AssertionError, match=says):
        Replay(trace, role, 0).run()


def test_a_replay_byte_by_byte_knows_which_byte_it_was() -> None:
    trace = Trace("a trace")
    trace.read("here", "< 83 00")
    with pytest.raises(AssertionError, match="here: an event came too early"):
        Replay(trace, Role.CLIENT, 1).run()


@pytest.mark.parametrize("text", ["> 8", "> 81 0g", '> 81 "open', "> 81, 00"])
def test_what_is_no_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither bytes nor a comment"):
        Trace("a trace").read("here", text)
