"""The demo's server, a process of its own: it talks, misbehaves and keeps books."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio.abc import SocketAttribute
from anyio.streams.memory import MemoryObjectReceiveStream

from ..connection import Connection
from ..errors import ConnectionClosed, ConnectionLost, Reason
from ..protocol import Request
from ..server import HTTPResponse, serve
from .ledger import Heard, Line, Message, Opened, format_line
from .schedule import CHANNELS, GENERATION

__all__ = ("DemoServer", "Ledger", "main", "run")

TICK = 0.01  # seconds between two rounds of messages
BURST = 1500  # messages written in one step before a reset
AWAY = 1.0  # seconds for which nobody listens
SILENCE = 4.0  # seconds for which an opening handshake gets no answer
RETRY_AFTER = 1  # seconds


class Ledger:
    """
    The server's own record, a file to which lines are appended.

    A line is in the kernel's hands when the call returns: it outlives ``kill -9``.

    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, line: Line) -> None:
        """Append a line."""
        os.write(self._file, format_line(line).encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Guest:
    """One connection: what it has subscribed to, and the messages it gets."""

    def __init__(self, connection: Connection, name: str, ledger: Ledger) -> None:
        self.connection = connection
        self.name = name
        self.stalled = False
        self._ledger = ledger
        self._channels: list[str] = []
        self._written = 0

    def hear(self, text: str | bytes) -> bool:
        """Take a message of the client; return whether it has now subscribed to all."""
        channel = str(json.loads(text)["channel"])
        self._ledger.note(Heard(self.name, channel))
        self._channels.append(channel)
        return len(self._channels) == len(CHANNELS)

    async def feed(self, random: Random) -> None:
        """Write messages until the connection ends."""
        while self.connection.ended is None:
            await anyio.sleep(TICK)
            for channel in () if self.stalled else tuple(self._channels):
                if self.connection.ready:
                    self._write(channel, random)

    def burst(self, random: Random) -> None:
        """Write in one step as much as there is room for."""
        for number in range(BURST if self._channels else 0):
            if not self.connection.ready:
                return
            self._write(self._channels[number % len(self._channels)], random)

    def _write(self, channel: str, random: Random) -> None:
        value = random.randbytes(40).hex()
        message = Message(self.name, self._written, channel, value)
        # First the book, then the wire, and nothing between them but kill -9: what
        # was sent stands in the ledger whatever happens.
        self._ledger.note(message)
        self._written += 1
        self.connection.send_nowait(
            json.dumps(
                {
                    "channel": channel,
                    "connection": self.name,
                    "number": message.number,
                    "value": value,
                }
            )
        )


class DemoServer:
    """
    Serves one port and obeys its parent: commands on stdin, reports on stdout.

    ``process`` is the number of this process, so that the names of connections differ
    from those of the processes before it.

    """

    def __init__(self, port: int, process: int, ledger: Ledger, random: Random) -> None:
        self._port = port
        self._process = process
        self._ledger = ledger
        self._random = random
        self._guests: dict[str, Guest] = {}
        self._opened = 0
        self._to_refuse = 0
        self._to_ignore = 0
        self._over = anyio.Event()
        self._leave = anyio.Event()

    async def run(self) -> None:
        """Serve until stdin ends; leave and come back when told to be away."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._obey)
            while not self._over.is_set():
                self._leave = anyio.Event()
                async with serve(
                    self._handle,
                    "127.0.0.1",
                    self._port,
                    process_request=self._process_request,
                    ping_interval=None,  # a stalled peer must not be heard
                    close_timeout=2,
                    shutdown_timeout=3,
                ):
                    report(event="listening")
                    await self._leave.wait()
                with anyio.move_on_after(AWAY):
                    await self._over.wait()

    async def _obey(self) -> None:
        """Do what is asked, one line at a time, until there are no more lines."""
        async with lines_of_stdin() as lines:
            async for line in lines:
                await self._do(json.loads(line))
        self._over.set()
        self._leave.set()

    async def _do(self, command: dict[str, Any]) -> None:
        guest = self._guests.get(command["connection"])
        if guest is not None:
            if command["then"] == "refuse":
                self._to_refuse = command["times"]
            elif command["then"] == "mute":
                self._to_ignore = command["times"]
            await self._drop(guest, command["drop"])
        report(event="done", ok=guest is not None)

    async def _drop(self, guest: Guest, how: str) -> None:
        connection = guest.connection
        match how.split():
            case ["close", code]:
                await connection.close(int(code), "as the schedule says")
            case ["reset"]:
                sock = connection.extra(SocketAttribute.raw_socket)
                if sys.platform == "linux":
                    # The kernel keeps what is no full segment, and so the reset
                    # will swallow the last messages of the burst.
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
                guest.burst(self._random)
                linger = struct.pack("ii", 1, 0)  # closing it resets it
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.end(Reason.WRITE_STALLED, "as the schedule says")
            case ["eof"]:
                connection.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_WR)
            case ["stall"]:
                guest.stalled = True
                connection.pause()
            case ["away"]:
                self._leave.set()
            case _:
                raise ValueError(f"no way to drop a connection: {how!r}")

    async def _process_request(
        self, connection: Connection, request: Request
    ) -> HTTPResponse | None:
        for guest in self._guests.values():
            if guest.stalled:  # its client has come again: let it see that it is over
                guest.connection.resume()
        if self._to_refuse:
            self._to_refuse -= 1
            return HTTPResponse(503, "later\n", [("Retry-After", str(RETRY_AFTER))])
        if self._to_ignore:
            self._to_ignore -= 1
            await anyio.sleep(SILENCE)
            return HTTPResponse.of_status(503)
        return None

    async def _handle(self, connection: Connection) -> None:
        assert connection.request is not None
        self._opened += 1
        guest = Guest(connection, f"{self._process}.{self._opened}", self._ledger)
        generation = generation_of(connection.request)
        self._ledger.note(Opened(guest.name, generation))
        self._guests[guest.name] = guest
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(guest.feed, self._random)
                try:
                    async for text in connection:
                        if guest.hear(text):
                            report(
                                event="subscribed",
                                connection=guest.name,
                                generation=generation,
                            )
                except (ConnectionClosed, ConnectionLost):
                    pass  # a drop, ours or the client's: the ledger has all
                group.cancel_scope.cancel()
        finally:
            del self._guests[guest.name]


def generation_of(request: Request) -> int:
    """Return the generation that the client tells; 0 for a stranger."""
    wanted = GENERATION.lower()
    told = (value for name, value in request.headers if name.lower() == wanted)
    return int(next(told, "0"))


def lines_of_stdin() -> MemoryObjectReceiveStream[bytes]:
    """
    Return what a thread reads from stdin; the stream ends with it.

    The thread does not keep a process alive whose event loop has failed: hence neither
    a worker thread nor ``sys.stdin``, whose lock would be held at the end.

    """
    send, receive = anyio.create_memory_object_stream[bytes](math.inf)
    token = anyio.lowlevel.current_token()

    def read() -> None:
        with (
            open(0, "rb", buffering=0, closefd=False) as stdin,
            suppress(anyio.RunFinishedError),
        ):
            for line in stdin:
                anyio.from_thread.run_sync(send.send_nowait, line, token=token)
            anyio.from_thread.run_sync(send.close, token=token)

    threading.Thread(target=read, daemon=True).start()
    return receive


def report(**values: object) -> None:
    """Tell the parent, in one line."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


async def run(options: argparse.Namespace, ledger: Ledger) -> None:
    """Be the server of the demo."""
    random = Random(f"{options.seed} {options.process}")
    await DemoServer(options.port, options.process, ledger, random).run()


def main(
    arguments: Sequence[str] | None = None, keep: Callable[[Path], Ledger] = Ledger
) -> None:
    """Be the server's process; it ends when its stdin does, and so with its parent."""
    parser = argparse.ArgumentParser(prog="demo_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--process", type=int, required=True)
    parser.add_argument("--ledgers", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--backend", required=True)
    options = parser.parse_args(arguments)
    # Ctrl-C in a terminal is for the parent; it will end this by closing stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(format="server: %(message)s")
    ledger = keep(options.ledgers / f"server-{options.process:03}.jsonl")
    try:
        anyio.run(run, options, ledger, backend=options.backend)
    finally:
        ledger.close()


if __name__ == "__main__":
    main()
