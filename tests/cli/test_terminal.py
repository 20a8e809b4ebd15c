"""Lines in, without a thread that anybody waits for; lines out, above what is typed."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.cli.terminal import (
    PROMPT,
    Lines,
    Screen,
    above,
    is_dialogue,
    width,
)

from .display import Display

pytestmark = pytest.mark.real

# Lines in.


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # the test has closed it
            os.close(end)


async def rest(lines: Lines) -> list[bytes]:
    found = []
    while (line := await lines.next()) is not None:
        found.append(line)
    return found


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\r\ntwo", [b"one", b"two"]),
        (b"\n\nx\ry\n", [b"", b"", b"x\ry"]),
        (b"\xff\n", [b"\xff"]),
    ],
)
async def test_lines_come_without_their_ends_the_last_one_too(
    pipe: tuple[int, int], written: bytes, lines: list[bytes]
) -> None:
    os.write(pipe[1], written)
    os.close(pipe[1])
    assert await rest(Lines(pipe[0])) == lines


async def test_a_line_comes_when_it_is_written_not_at_the_end(
    pipe: tuple[int, int],
) -> None:
    lines = Lines(pipe[0])
    for number in range(50):
        os.write(pipe[1], b"%d\n" % number)
        assert await lines.next() == b"%d" % number


async def test_a_line_may_come_in_parts_and_be_long(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[0])
    found: list[bytes | None] = []

    async def read() -> None:
        found.append(await lines.next())

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for _ in range(40):
            await anyio.wait_writable(pipe[1])
            os.write(pipe[1], b"x" * 4000)
        await anyio.wait_writable(pipe[1])
        os.write(pipe[1], b"\n")
    assert found == [b"x" * 160_000]


async def test_files_are_read_too(tmp_path: Path) -> None:
    """For which epoll has only EPERM."""
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(100_000)))
    with path.open("rb") as file:
        found = await rest(Lines(file.fileno()))
    assert found == [b"%d" % number for number in range(100_000)]


async def test_it_reads_only_when_a_line_is_asked_for(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[0])
    os.write(pipe[1], b"one\n")
    assert await lines.next() == b"one"
    os.write(pipe[1], b"two\n")
    await anyio.wait_readable(pipe[0])
    assert os.read(pipe[0], 100) == b"two\n"


async def test_a_descriptor_that_does_not_block_is_waited_for(
    pipe: tuple[int, int],
) -> None:
    os.set_blocking(pipe[0], False)
    lines = Lines(pipe[0])
    async with anyio.create_task_group() as group:

        async def read() -> None:
            assert await lines.next() == b"late"

        group.start_soon(read)
        await anyio.lowlevel.checkpoint()
        os.write(pipe[1], b"late\n")


async def test_what_cannot_be_read_has_no_lines(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    assert await Lines(pipe[0]).next() is None


async def test_asking_can_be_cancelled(pipe: tuple[int, int]) -> None:
    lines = Lines(pipe[0])
    with anyio.move_on_after(0) as scope:
        await lines.next()
    assert scope.cancelled_caught
    os.write(pipe[1], b"lost\n")  # wakes the thread, which finds the loop or its end


def test_a_read_that_never_ends_holds_up_neither_the_loop_nor_the_interpreter(
    anyio_backend_name: str,
) -> None:
    code = (
        "import anyio; from wsclient.cli.terminal import Lines\n"
        "async def main():\n"
        "    async with anyio.create_task_group() as group:\n"
        "        group.start_soon(Lines(0).next)\n"
        "        print('left', flush=True)\n"
        "        group.cancel_scope.cancel()\n"
        f"anyio.run(main, backend={anyio_backend_name!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.wait(60) == 0
        assert process.stdout
        assert process.stderr
        assert process.stdout.read() == b"left\n"
        assert process.stderr.read() == b""


# Lines out.


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def printed(*messages: str | bytes, terminal: bool) -> str:
    out = Terminal() if terminal else io.StringIO()
    screen = Screen(out, io.StringIO(), dialogue=False)
    for message in messages:
        screen.message(message)
    return out.getvalue()


def test_in_a_pipe_there_is_the_message_and_nothing_else() -> None:
    assert printed("Hello", b"\x00\xff", "", b"", terminal=False) == "Hello\n00ff\n\n\n"
    assert printed("\x1b[2J\ttab\nline", terminal=False) == "\x1b[2J\ttab\nline\n"


def test_on_a_terminal_a_message_has_a_mark() -> None:
    assert printed("Hello", terminal=True) == "< Hello\n"
    assert printed(b"\x00\xff", terminal=True) == "< (2 bytes) 00 ff\n"
    assert printed("", b"", terminal=True) == "< \n< (0 bytes)\n"
    assert printed("two\nlines", terminal=True) == "< two\nlines\n"


def test_a_stranger_does_not_steer_the_terminal() -> None:
    text = "\x1b[2J\x07\r\x9b1m\x7f\x00"
    assert printed(text, terminal=True) == "< \\x1b[2J\\x07\\r\\x9b1m\\x7f\\x00\n"
    err = io.StringIO()
    Screen(io.StringIO(), err, dialogue=False).note("closed: \x1b]0;x\x07\nrm -rf\t.")
    assert err.getvalue() == "closed: \\x1b]0;x\\x07\\nrm -rf\\t.\n"


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Screen(out, out, dialogue=False).message("\u20ac")
    assert out.buffer.getvalue() == b"\\u20ac\n"


@pytest.mark.parametrize(
    ("line", "columns"),
    [("", 0), ("abc", 3), ("\u4f60\u597d", 4), ("e\u0301", 1), ("\uff21", 2)],
)
def test_a_line_is_as_wide_as_it_looks(line: str, columns: int) -> None:
    assert width(line) == columns


@given(
    st.integers(4, 30),
    st.integers(3, 8),
    st.integers(0, 12),
    st.text("xy", max_size=20),
    st.lists(st.text("ab\n", max_size=40), max_size=4),
)
def test_what_comes_appears_above_what_is_typed(
    columns: int, lines: int, before: int, typed: str, messages: list[str]
) -> None:
    display = Display(columns, lines)
    typed = PROMPT + typed[: columns - len(PROMPT) - 1]
    expected = [str(number) for number in range(before)]
    for line in expected:
        display.feed(f"{line}\n")
    display.feed(typed)
    for message in messages:
        rows = [
            line[start : start + columns]
            for line in message.split("\n")
            for start in range(0, max(1, len(line)), columns)
        ]
        if len(rows) < lines:
            display.feed(above(message, os.terminal_size((columns, lines))))
            expected += rows
    expected = [*expected, typed.rstrip()][-lines:]
    assert display.text == expected
    assert (display.row, display.column) == (len(expected) - 1, len(typed))


def test_what_is_as_tall_as_the_screen_leaves_a_new_prompt_below() -> None:
    display = Display(10, 3)
    display.feed(f"{PROMPT}typed")
    display.feed(above("one\ntwo\nthree", os.terminal_size((10, 3))))
    assert display.text == ["two", "three", ">"]


def test_a_dialogue_needs_a_terminal_on_both_sides_that_can_be_steered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, file = Terminal(), io.StringIO()
    assert is_dialogue(terminal, terminal)
    assert not is_dialogue(file, terminal)
    assert not is_dialogue(terminal, file)
    monkeypatch.setenv("TERM", "dumb")
    assert not is_dialogue(terminal, terminal)
    monkeypatch.delenv("TERM")
    assert not is_dialogue(terminal, terminal)


def test_the_prompt_is_gone_at_the_end_and_so_is_what_was_half_typed() -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "w") as out, open(ours, "rb", buffering=0) as seen:
        screen = Screen(out, out, dialogue=True)
        screen.prompt()
        os.write(ours, b"rm -rf\n")  # a line that nobody has read
        screen.note("= closed")
        screen.close()
        printed = b""
        while not printed.endswith(b"\r\x1b[K"):
            printed += seen.read(1000)
        os.set_blocking(theirs, False)
        with pytest.raises(BlockingIOError):
            os.read(theirs, 100)
    display = Display(20, 5)
    display.feed(printed.decode().replace("rm -rf\r\n", ""))
    assert display.text == ["= closed"]
