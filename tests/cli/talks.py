"""The command and a server for it: in a pipe, or at a terminal of its own."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from signal import Signals
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
from anyio.abc import Process

from wsclient import Connection, ConnectionClosed, ConnectionLost, Request, serve

from .display import Display

COMMAND = (sys.executable, "-W", "error", "-m", "wsclient.cli", "connect")
GUARD = 120  # seconds after which a test has failed

Handler = Callable[[Connection], Awaitable[None]]


async def echo(ws: Connection) -> None:
    """Send every message back."""
    async for message in ws:
        await ws.send(message)


def echoing(count: int) -> Handler:
    """Make a handler that sends so many messages back, then closes."""

    async def echo_some(ws: Connection) -> None:
        for _ in range(count):
            await ws.send(await ws.recv())
        await ws.close()

    return echo_some


# The server.


@dataclass(slots=True)
class Server:
    """Where a server is, and what it saw of its clients."""

    url: str
    requests: list[Request] = field(default_factory=list)
    ends: list[ConnectionClosed | ConnectionLost | None] = field(default_factory=list)


@asynccontextmanager
async def serving(handler: Handler = echo, **options: Any) -> AsyncIterator[Server]:
    """Serve on a port of its own; the whole test has ``GUARD`` seconds."""
    seen = Server("")

    async def handle(ws: Connection) -> None:
        assert ws.request
        seen.requests.append(ws.request)
        try:
            await handler(ws)
        finally:
            seen.ends.append(ws.ended)

    with anyio.fail_after(GUARD):
        async with serve(handle, "127.0.0.1", **options) as server:
            scheme = "wss" if "tls" in options else "ws"
            seen.url = f"{scheme}://127.0.0.1:{server.addresses[0][1]}/"
            yield seen


# The command.


@dataclass(frozen=True, slots=True)
class Done:
    """A run that is over."""

    status: int
    out: str
    err: str


async def done(*words: str, said: bytes = b"") -> Done:
    """Run the command with this input, up to its end."""
    process = await anyio.run_process([*COMMAND, *words], input=said, check=False)
    assert b"Traceback" not in process.stderr, process.stderr.decode()
    return Done(process.returncode, process.stdout.decode(), process.stderr.decode())


class Running:
    """A command between pipes, while it runs."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.err = ""

    async def says(self, text: str) -> None:
        """Wait until it has said so on its error output."""
        assert self._process.stderr
        while text not in self.err:
            self.err += (await self._process.stderr.receive()).decode()

    async def hears(self, line: bytes) -> None:
        """Write to its input."""
        assert self._process.stdin
        await self._process.stdin.send(line)

    async def prints(self) -> str:
        """Return what it prints next."""
        assert self._process.stdout
        return (await self._process.stdout.receive()).decode()

    async def hears_no_more(self) -> None:
        """Close the other end of its input."""
        assert self._process.stdin
        await self._process.stdin.aclose()

    def signal(self, number: Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def ends(self) -> int:
        """Wait for its end; its input stays open. Return the exit status."""
        assert self._process.stderr
        status = await self._process.wait()
        async for part in self._process.stderr:
            self.err += part.decode()
        assert "Traceback" not in self.err, self.err
        return status


@asynccontextmanager
async def running(*words: str, stdout: int = PIPE) -> AsyncIterator[Running]:
    """Run the command between pipes."""
    command = [*COMMAND, *words]
    async with await anyio.open_process(command, stdout=stdout) as process:
        try:
            yield Running(process)
        finally:
            if process.returncode is None:
                process.kill()


class Terminal:
    """A command at a terminal, while it runs, and what there is to see."""

    def __init__(self, process: Process, fd: int) -> None:
        self._process = process
        self._fd = fd
        self.display = Display(80, 24)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._fd, keys.encode())

    async def shows(self, *rows: str) -> None:
        """Wait until these are the last rows to be seen."""
        while self.display.text[-len(rows) :] != list(rows):
            assert await self._read(), "\n".join(self.display.text)

    async def ends(self) -> int:
        """Wait for its end; return the exit status."""
        while await self._read():
            pass
        return await self._process.wait()

    async def _read(self) -> bool:
        await anyio.wait_readable(self._fd)
        try:
            self.display.feed(os.read(self._fd, 65536).decode())
        except OSError:
            return False  # the other end of a terminal is gone
        return True


@asynccontextmanager
async def terminal(*words: str) -> AsyncIterator[Terminal]:
    """Run the command at a terminal that is its own, so that Ctrl-C reaches it."""
    ours, theirs = os.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, 80))
        # Who leads a session and opens a terminal has it.
        shell = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(theirs)]
        process = await anyio.open_process(
            [*shell, *COMMAND, *words],
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            env={**os.environ, "TERM": "xterm"},
            start_new_session=True,
        )
        async with process:
            try:
                screen = Terminal(process, ours)
                await anyio.wait_readable(ours)
                os.close(theirs)
                theirs = -1
                yield screen
            finally:
                if process.returncode is None:
                    process.kill()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
