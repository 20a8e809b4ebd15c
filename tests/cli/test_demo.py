"""The demo, end to end, and that its verdict can be another."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from random import Random

import pytest

from wsclient.cli.demo import Settings, run
from wsclient.cli.schedule import schedule

from .servers import liar

pytestmark = pytest.mark.real

BACKENDS = ("asyncio", "trio")
WITHOUT_RICH = (
    "import sys; sys.modules['rich'] = None\n"
    "from wsclient.cli import main; sys.exit(main(sys.argv[1:]))"
)
TERMINAL = {"TERM": "xterm", "COLUMNS": "100"}


def seed_of(duration: float, *drops: str) -> str:
    """Return a seed whose schedule begins with these."""
    return next(
        str(seed)
        for seed in count(1)
        for plan in [schedule(duration, Random(f"{seed} schedule"))]
        if [due.trouble.drop for due in plan][: len(drops)] == list(drops)
        if all(due.trouble.cost < 3 for due in plan[: len(drops)])
    )


def demo(*options: str, start: Sequence[str] = ("-m", "wsclient.cli")) -> list[str]:
    """Return the command, with what Python only warns about as an error."""
    return [sys.executable, "-W", "error", *start, "demo", *options]


def figures(output: str) -> tuple[int, int, int, int]:
    """Return what was written, received, under a gap, and duplicates."""
    found = re.search(
        r"([\d,]+) messages written, ([\d,]+) received, ([\d,]+) under one of \d+ gaps,"
        r" duplicates: (\d+)",
        output,
    )
    assert found, output
    first, second, third, fourth = (int(s.replace(",", "")) for s in found.groups())
    return first, second, third, fourth


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_main_job_is_done_before_ones_eyes_and_proved(backend: str) -> None:
    seed = seed_of(4, "reset", "kill")
    done = subprocess.run(
        demo("--duration=4", f"--seed={seed}", "--backend", backend),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done
    assert done.stderr == ""
    written, received, under_gaps, duplicates = figures(done.stdout)
    assert written == received + under_gaps
    assert received > 100
    assert under_gaps > 0
    assert duplicates == 0
    assert "trouble 2 of 2" in done.stdout
    assert "= OPEN, generation 3" in done.stdout
    assert "\nOK: for each generation exactly a prefix" in done.stdout
    assert "pip install" not in done.stdout  # rich is there


def test_without_rich_it_works_plainly_and_says_once_how_to_get_it() -> None:
    done = subprocess.run(
        demo("--duration", "1", "--seed", "2", start=("-c", WITHOUT_RICH)),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done
    assert done.stderr == ""
    assert done.stdout.count("pip install 'wsclient[cli]'") == 1
    assert "= OPEN, generation 2" in done.stdout
    assert "\nOK: " in done.stdout


def test_on_a_terminal_it_is_shown_live() -> None:
    ours, theirs = pty.openpty()
    command = demo("--duration", "1", "--seed", "2")
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, **TERMINAL}
    ) as process:
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(ours, 65536):
                output += chunk
        except OSError:
            pass  # the other end of a terminal is gone
        finally:
            os.close(ours)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
    text = output.decode()
    assert "\x1b[" in text
    assert "╭" in text
    assert "subscription" in text
    assert "\r\nOK: " in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_ends_it_cleanly_with_the_verdict_on_what_there_was(
    backend: str,
) -> None:
    """As in a terminal the signal reaches all processes of the group."""
    seed = seed_of(60, "close 1001")
    with subprocess.Popen(
        demo("--duration=60", f"--seed={seed}", "--plain", "--backend", backend),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "generation 2" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    assert "interrupted" in output
    assert figures(output)[1] > 0
    assert "\nOK: " in output
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody is left


def test_it_ends_quietly_when_nobody_reads_on() -> None:
    with subprocess.Popen(
        demo("--duration", "1", "--seed", "2", "--plain"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("wsclient demo")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Forgetful", "number 5: nobody wrote this message"),
        ("Doubting", "the subscriptions said were trades, trades, quotes"),
    ],
)
def test_a_ledger_that_is_not_right_is_found(
    name: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(Settings(duration=1, seed=2, plain=True, server=liar(name)))
    assert status == 1
    output = capsys.readouterr().out
    assert "FAILED: the ledgers do not agree" in output
    assert fault in output
    assert "OK:" not in output


def test_a_server_that_dies_by_itself_is_a_failure(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status = run(Settings(duration=1, seed=2, plain=True, server=liar("Mute")))
    assert status == 1
    output = capfd.readouterr().out
    assert "FAILED: the server's process ended unasked" in output
    assert "OK:" not in output


def test_a_demo_that_does_not_come_to_its_end_is_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run(Settings(duration=1, seed=2, plain=True, patience=0.001))
    assert status == 1
    assert "FAILED: it did not come to its end in time" in capsys.readouterr().out


def test_a_backend_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    assert run(Settings(backend="trio")) == 2
    assert "pip install 'wsclient[trio]'" in capsys.readouterr().err
