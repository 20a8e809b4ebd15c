"""Ctrl-C and SIGTERM in every state: the process ends at once and says nothing else."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from .inv import anyio_backend, inv
from .world import Loopback, Peer, Script

__all__ = ("anyio_backend", "inv")

pytestmark = pytest.mark.real

PROGRAM = Path(__file__).with_name("signalled.py")
ROOT = PROGRAM.parents[2]


class Program:
    """The program, in a process of its own, and what it says."""

    def __init__(self, backend: str, state: str, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", PROGRAM, backend, state, url],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out, self.err = self.process.stdout, self.process.stderr

    async def until(self, state: str) -> None:
        """Wait until it says that it is in this state."""
        said = b""
        while state.encode() not in said.split(b"\n"):
            await anyio.wait_readable(self.out)
            part = self.out.read1(65536)  # type: ignore[attr-defined]
            assert part, self.err.read().decode()
            said += part

    async def until_idle(self) -> None:
        """Wait until it sleeps: trio may raise an interrupt wherever it finds code."""
        before = ""
        while True:
            folder = Path(f"/proc/{self.process.pid}")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            ran = (folder / "schedstat").read_text()
            if state == "S" and ran == before:
                return
            before = ran
            await anyio.sleep(0.03)

    async def ends(self, sent: signal.Signals | None) -> tuple[int, str]:
        """Send the signal; return the exit status and what came on stderr."""
        if sent is not None:
            self.process.send_signal(sent)
        told = b""
        while True:
            await anyio.wait_readable(self.err)
            part = self.err.read1(65536)  # type: ignore[attr-defined]
            if not part:
                return self.process.wait(10), told.decode()
            told += part


@asynccontextmanager
async def program(backend: str, state: str, url: str) -> AsyncIterator[Program]:
    started = Program(backend, state, url)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait(10)
        started.out.close()
        started.err.close()


async def mute(peer: Peer) -> None:
    """Answer no upgrade."""
    peer.polite = False


async def opens(peer: Peer) -> None:
    """Be there, and answer no Close frame."""
    await peer.accept()
    peer.polite = False
    peer.send("hello")


async def reads_the_beginning(peer: Peer) -> None:
    await peer.accept()
    await peer.until(lambda: peer.endpoint.half_frame)
    peer.wire.pause()


async def refuses(peer: Peer) -> None:
    await peer.reject(503)


# The state it is brought to, how the log names it, the server, what it hears at last.
STATES: dict[str, tuple[str, Script, int | None]] = {
    "RESOLVING": ("CONNECTING", mute, None),
    "CONNECTING": ("CONNECTING", mute, None),
    "PREPARING": ("PREPARING", opens, 1001),
    "OPEN": ("OPEN", opens, 1001),
    "RECEIVING": ("OPEN", opens, 1001),
    "RUN": ("OPEN", opens, 1001),
    "DOWN": ("DOWN", refuses, None),
    "CLOSING": ("CLOSING", opens, 1000),
}

NAMES = re.compile(
    r"^[ |+]*([\w.]+(?:Error|Exception|Group|Interrupt|Cancelled))\b", re.M
)


def check_said(told: str, *, wrapped: bool = False) -> None:
    """Nothing but the traceback of a KeyboardInterrupt, as the event loop makes it."""
    names = set(NAMES.findall(told))
    assert "KeyboardInterrupt" in names, told
    names -= {"KeyboardInterrupt", "asyncio.exceptions.CancelledError"}
    assert names <= ({"BaseExceptionGroup"} if wrapped else set()), told
    assert "never" not in told, told


@pytest.mark.parametrize("state", STATES)
async def test_s48_an_interrupt_ends_the_program_at_once_in_state(
    anyio_backend_name: str, state: str
) -> None:
    named, script, code = STATES[state]
    async with Loopback(script) as server:
        url = server.url()
        if state == "RESOLVING":
            url = "ws://name.that.hangs.test/"
        async with program(anyio_backend_name, state, url) as running:
            await running.until(named)
            if state == "CONNECTING":
                peer = await server.until_peer(1)
                await peer.request()
            if state == "CLOSING":
                await server.peer.until(lambda: server.peer.close_code)
            await running.until_idle()
            status, told = await running.ends(signal.SIGINT)
        for peer in server.peers:
            await peer.until_gone()
    wrapped = state == "RUN" and anyio_backend_name == "trio"  # by its own task group
    assert status == (1 if wrapped else -signal.SIGINT)
    check_said(told, wrapped=wrapped)
    assert [peer.close_code for peer in server.peers] == (
        [] if state == "RESOLVING" else [code]
    )


async def test_s48_an_interrupt_in_the_midst_of_a_send_ends_the_program_at_once(
    anyio_backend_name: str,
) -> None:
    """Half a frame is on its way: no Close frame can follow it."""
    async with Loopback(reads_the_beginning) as server:
        url = server.url()
        async with program(anyio_backend_name, "SENDING", url) as running:
            peer = await server.until_accepted()
            await peer.until(lambda: peer.endpoint.half_frame)
            await running.until_idle()
            status, told = await running.ends(signal.SIGINT)
        peer.wire.resume()
        await peer.until_gone()
    assert status == -signal.SIGINT
    check_said(told)
    assert not server.peer.messages


@pytest.mark.parametrize("moment", ["IN A HOOK", "IN WAIT", "IN DECODE"])
async def test_s48_an_interrupt_that_finds_the_client_at_work_ends_the_program(
    anyio_backend_name: str, moment: str
) -> None:
    """On trio the exception is raised there, in a task that is not the program's."""
    script = refuses if moment == "IN WAIT" else opens
    async with Loopback(script) as server:
        async with program(anyio_backend_name, moment, server.url()) as running:
            status, told = await running.ends(None)
        await server.peer.until_gone()
    assert status == -signal.SIGINT
    check_said(told)


async def test_s48_sigterm_ends_the_program_as_it_does_any_other(
    anyio_backend_name: str,
) -> None:
    """The library installs no handlers: the default one ends the process."""
    async with Loopback(opens) as server:
        async with program(anyio_backend_name, "OPEN", server.url()) as running:
            await running.until("OPEN")
            await running.until_idle()
            status, told = await running.ends(signal.SIGTERM)
        await server.peer.until_gone()
    assert status == -signal.SIGTERM
    assert not told
