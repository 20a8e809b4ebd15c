"""The server's process as its parent sees it: started, asked, killed, waited for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from .schedule import Trouble

__all__ = ("Host", "HostError")

PATIENCE = 20.0  # seconds for the process to come up or to answer; a hang guard
PARTING = 5.0  # seconds for it to end by itself
LONGEST = 65536  # bytes of one report


class HostError(Exception):
    """The server's process did not do what it is for."""


class Host:
    """
    Runs the server's process, one after another on the same port.

    ``subscribed(connection, generation)`` is called when a connection has heard every
    subscription. Whatever happens, leaving the context leaves no process behind.

    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        seed: int,
        backend: str,
        subscribed: Callable[[str, int], None],
    ) -> None:
        self._command = command
        self._directory = directory
        self._seed = seed
        self._backend = backend
        self._subscribed = subscribed
        self._process: Process | None = None
        self._number = 0
        self._listening = anyio.Event()
        self._answered = anyio.Event()
        self._answer = False
        self._tasks = anyio.create_task_group()
        self._holder = _hold_port()
        self.port: int = self._holder.getsockname()[1]

    async def __aenter__(self) -> Self:
        if sys.platform != "linux":
            self._holder.close()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._end()
        finally:
            self._holder.close()
            await self._tasks.__aexit__(exc_type, exc, traceback)

    async def start(self) -> None:
        """
        Start a process and wait until it listens.

        Raises:
            HostError: it does not.

        """
        self._number += 1
        self._listening = anyio.Event()
        with anyio.CancelScope(shield=True):  # or nobody would know of it
            self._process = await anyio.open_process(
                [
                    *self._command,
                    f"--port={self.port}",
                    f"--process={self._number}",
                    f"--ledgers={self._directory}",
                    f"--seed={self._seed}",
                    f"--backend={self._backend}",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
            )
            self._tasks.start_soon(self._listen, self._process)
        await self._patiently(self._listening, "listen")

    async def kill(self) -> None:
        """``kill -9``, and wait for it."""
        process, self._process = self._process, None
        assert process is not None
        with anyio.CancelScope(shield=True):
            await _bury(process)

    async def ask(self, connection: str, trouble: Trouble) -> bool:
        """
        Ask for trouble on a connection; False: there is no such connection any more.

        Raises:
            HostError: it does not answer.

        """
        assert self._process is not None
        assert self._process.stdin is not None
        command = {
            "connection": connection,
            "drop": trouble.drop,
            "then": trouble.then,
            "times": trouble.times,
        }
        self._answered = anyio.Event()
        try:
            await self._process.stdin.send(json.dumps(command).encode() + b"\n")
        except anyio.BrokenResourceError:
            raise HostError("the server's process ended unasked") from None
        await self._patiently(self._answered, "answer")
        return self._answer

    async def _patiently(self, event: anyio.Event, what: str) -> None:
        with anyio.move_on_after(PATIENCE) as scope:
            await event.wait()
        if scope.cancelled_caught:
            raise HostError(f"the server's process did not {what} in {PATIENCE:g} s")

    async def _listen(self, process: Process) -> None:
        """Take the reports of one process until it ends."""
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        try:
            while True:
                self._take(json.loads(await lines.receive_until(b"\n", LONGEST)))
        except (anyio.IncompleteRead, anyio.BrokenResourceError):
            if process is self._process:
                raise HostError("the server's process ended unasked") from None
        finally:
            with anyio.CancelScope(shield=True):
                await process.stdout.aclose()

    def _take(self, report: dict[str, object]) -> None:
        match report:
            case {"event": "listening"}:
                self._listening.set()
            case {"event": "subscribed", "connection": str(name), "generation": int(n)}:
                self._subscribed(name, n)
            case {"event": "done", "ok": bool(ok)}:
                self._answer = ok
                self._answered.set()
            case _:
                raise HostError(f"the server's process reports {report}")

    async def _end(self) -> None:
        """Let it end by itself, which it does at the end of its stdin; or kill it."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            await process.stdin.aclose()
            with anyio.move_on_after(PARTING):
                await process.wait()
            await _bury(process)


async def _bury(process: Process) -> None:
    """Kill it if it lives, and wait for it."""
    assert process.stdin is not None
    if process.returncode is None:
        process.kill()
    await process.wait()
    await process.stdin.aclose()


def _hold_port() -> socket.socket:
    """
    Find a free port, and on Linux keep it while no server listens there.

    Bound without listening it refuses who dials, lets the next server bind it, and is
    no port that somebody else could be given in between.

    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return sock
