"""From the command line to an event loop, and back to an exit status."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest

from wsclient.cli.running import run_command

BACKENDS = ("asyncio", "trio")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_status_is_what_the_command_returns(backend: str) -> None:
    async def command(settings: int) -> int:
        await anyio.lowlevel.checkpoint()
        return settings + 1

    assert run_command(command, 6, backend=backend) == 7


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_that_the_command_does_not_notice_is_a_status(
    backend: str,
) -> None:
    async def command(settings: None) -> int:
        async with anyio.create_task_group():
            raise KeyboardInterrupt
        return 0

    assert run_command(command, None, backend=backend) == 130


def test_another_error_is_not_hidden() -> None:
    async def command(settings: None) -> int:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        run_command(command, None, backend="asyncio")


def test_a_backend_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def command(settings: None) -> int:
        raise AssertionError

    monkeypatch.setitem(sys.modules, "trio", None)
    assert run_command(command, None, backend="trio") == 2
    assert "pip install 'wsclient[trio]'" in capsys.readouterr().err


@pytest.mark.parametrize("when", ["at once", "at the end"])
def test_a_reader_that_has_left_is_no_traceback(when: str) -> None:
    code = (
        "import sys; from wsclient.cli.running import run_command\n"
        "async def command(when):\n"
        "    sys.stdin.readline()\n"
        "    print('x' * 100_000 if when == 'at once' else 'x')\n"
        "    return 0\n"
        "sys.exit(run_command(command, sys.argv[1], backend='asyncio'))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(b"\n")
    assert errors == b""
    assert process.returncode == 141
