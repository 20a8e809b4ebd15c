"""The server's process is started, asked, killed, and never left behind."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from textwrap import dedent

import anyio
import pytest

from wsclient.cli.host import Host, HostError
from wsclient.cli.schedule import TROUBLES

pytestmark = pytest.mark.real

# Speaks the language of the reports, and says what happens to it in a file.
PUPPET = """
import json, os, sys
path = sys.argv[-3].removeprefix("--ledgers=")
open(path + "/" + str(os.getpid()), "w").close()
for line in sys.argv[1].splitlines():
    print(line, flush=True)
for line in sys.stdin:
    print(json.dumps({"event": "done", "ok": "1.1" in line}), flush=True)
"""
LISTENING = '{"event": "listening"}'


def host(
    directory: Path, anyio_backend_name: str, *says: str, code: str = PUPPET
) -> tuple[Host, list[tuple[str, int]]]:
    heard: list[tuple[str, int]] = []
    made = Host(
        [sys.executable, "-c", dedent(code), "\n".join(says)],
        directory,
        seed=1,
        backend=anyio_backend_name,
        subscribed=lambda name, generation: heard.append((name, generation)),
    )
    return made, heard


def started(directory: Path) -> int:
    """Return how many puppets there have been."""
    return len(list(directory.iterdir()))


def alive(directory: Path) -> list[int]:
    """Return those of the puppets that still run, or were not waited for."""
    found = []
    for path in directory.iterdir():
        try:
            os.kill(int(path.name), 0)
        except ProcessLookupError:
            continue
        found.append(int(path.name))
    return found


async def test_a_process_is_asked_and_ends_with_its_context(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    subscribed = '{"event": "subscribed", "connection": "1.1", "generation": 1}'
    made, heard = host(tmp_path, anyio_backend_name, subscribed, LISTENING)
    with anyio.fail_after(30):
        async with made:
            await made.start()
            assert heard == [("1.1", 1)]
            assert await made.ask("1.1", TROUBLES[0])
            assert not await made.ask("1.2", TROUBLES[0])
            assert len(alive(tmp_path)) == 1
    assert started(tmp_path) == 1
    assert not alive(tmp_path)


async def test_a_killed_process_is_followed_by_another(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    made, _ = host(tmp_path, anyio_backend_name, LISTENING)
    with anyio.fail_after(30):
        async with made:
            for _ in range(2):
                await made.start()
                assert len(alive(tmp_path)) == 1
                await made.kill()
                assert not alive(tmp_path)
    assert started(tmp_path) == 2


async def test_no_process_is_left_behind_a_cancellation(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    made, _ = host(tmp_path, anyio_backend_name, LISTENING)
    with anyio.fail_after(30):
        with anyio.CancelScope() as scope:
            async with made:
                await made.start()
                scope.cancel()
                await anyio.sleep_forever()
    assert not alive(tmp_path)


async def test_a_process_that_ends_unasked_is_an_error(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    made, _ = host(tmp_path, anyio_backend_name, code="raise SystemExit(3)")
    with anyio.fail_after(30), pytest.raises(ExceptionGroup) as caught:
        async with made:
            await made.start()
    assert caught.group_contains(HostError, match="ended unasked")


async def test_a_report_that_is_none_is_an_error(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    made, _ = host(tmp_path, anyio_backend_name, '{"event": "bored"}')
    with anyio.fail_after(30), pytest.raises(ExceptionGroup) as caught:
        async with made:
            await made.start()
    assert caught.group_contains(HostError, match="bored")
    assert not alive(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="the port is held on Linux only")
async def test_the_port_is_held_while_nobody_listens(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    """Who dials is refused; a server may listen, and after it another."""
    made, _ = host(tmp_path, anyio_backend_name)
    async with made:
        address = ("127.0.0.1", made.port)
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            with socket.create_server(address):
                socket.create_connection(address).close()
