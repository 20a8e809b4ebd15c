"""Real peers in processes of their own: started, watched, always killed and reaped."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]  # whence Python's peers find their modules
PATIENCE = 20.0  # seconds for a peer to come up; a hang guard, not a promise


def missing(reason: str) -> NoReturn:
    """Skip for want of a peer; fail where ``WSCLIENT_REQUIRE_PEERS=1`` wants all."""
    if os.environ.get("WSCLIENT_REQUIRE_PEERS") == "1":
        pytest.fail(f"WSCLIENT_REQUIRE_PEERS=1, and {reason}", pytrace=False)
    pytest.skip(reason)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll until ``condition()`` is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE} s in vain for {what}")
        time.sleep(0.01)


def listening(port: int) -> bool:
    """Return whether somebody accepts connections on a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Peer:
    """
    One process and its log; it ends with us at the latest, whatever ends us.

    It leads a process group, so that its own children end with it. In the group there
    is a watchman, who ends all of it when the pipe to him is closed.

    """

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=ROOT,
                text=True,
                process_group=0,
            )
        self._watchman = subprocess.Popen(
            ["/bin/sh", "-c", "read _; kill -9 0"],
            stdin=subprocess.PIPE,
            process_group=self.process.pid,
        )

    def write_line(self, line: str) -> None:
        """Tell a peer that listens to stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def read_line(self) -> str:
        """Return the next line of a peer that speaks on stdout."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise self.failure("ended before it spoke")
        return line

    def wait_listening(self, *ports: int) -> None:
        """Return when it accepts connections on all of these ports."""

        def up() -> bool:
            if self.process.poll() is not None:
                raise self.failure("ended before it listened")
            return all(listening(port) for port in ports)

        wait_until(up, f"{self.process.args!r} to listen on {ports}")

    def failure(self, what: str) -> RuntimeError:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return RuntimeError(f"{self.process.args!r} {what}:\n{text[-4000:]}")

    def kill(self) -> None:
        """``kill -9`` it and its children, and reap; idempotent."""
        with suppress(ProcessLookupError):  # they have ended
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in (self._watchman, self.process):
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def free_ports(count: int) -> list[int]:
    """
    Return ports nobody listens on now, below those the kernel gives to who dials.

    So nobody takes one of them while its peer is dead: not even a client that dials it
    in vain, which the kernel would otherwise connect to itself once in a while.

    """
    held: list[socket.socket] = []
    try:
        while len(held) < count:
            with suppress(OSError):
                port = random.randrange(10_000, 32_000)
                held.append(socket.create_server(("127.0.0.1", port)))
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()
