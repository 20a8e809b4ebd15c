"""``wsclient connect URL``: talk to a server by hand, or from a script."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import AsyncIterable
from contextlib import suppress

import anyio
from anyio.abc import TaskStatus

from ..client import connect
from ..client.client import Client
from ..client.connect import Connecting
from ..connection import Connection
from ..errors import (
    ArgumentError,
    CertificateError,
    Close,
    ConnectError,
    ConnectionClosed,
    ConnectionLost,
    Facts,
    GaveUp,
    HandshakeRejected,
    Initiator,
    MaybeSent,
    NotSent,
    WebSocketError,
)
from ..protocol import CloseCode, parse_uri
from ..supervisor import (
    AttemptFailed,
    Events,
    Gap,
    LifeEnded,
    Outcome,
    State,
    StateChanged,
)
from .options import Settings
from .running import USAGE, run_command
from .story import LogLines, again, said
from .terminal import Lines, Screen, is_dialogue

__all__ = ("run",)

CUT = 4095  # bytes of a line at a terminal: POSIX has them cut silently (MAX_CANON)
ENOUGH = 1.0  # seconds for the answers to the last line that did not come from a hand
BODY = 500  # characters shown of what a server says with a refusal
FINE = frozenset(
    {1000, 1001, 1005}
)  # codes of servers that have nothing to complain of

FAILED = 1


class Talk:
    """One run: what is typed goes to the server, what the server sends is shown."""

    def __init__(self, settings: Settings, screen: Screen, lines: Lines) -> None:
        self._settings = settings
        self._screen = screen
        self._lines = lines
        self._status = 0
        # What a first signal ends, and what a second one does.
        self._polite = self._whole = anyio.CancelScope()

    async def run(self, opening: Connecting | Client) -> int:
        """Talk, and return the exit status."""
        async with anyio.create_task_group() as group:
            await group.start(self._heed_signals)
            with self._whole:
                if isinstance(opening, Client):
                    await self._talk_on(opening)
                else:
                    await self._talk_once(opening)
            group.cancel_scope.cancel()
        return self._status

    async def _talk_once(self, opening: Connecting) -> None:
        try:
            async with opening as ws:
                self._screen.note(f"= connected to {where(self._settings.url, ws)}")
                await self._converse(ws, ws)
        except ConnectError as error:
            self._fail(error)
        else:
            self._tell_end(ws.ended)

    async def _talk_on(self, client: Client) -> None:
        """Talk over as many connections as it takes."""
        error = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._observe, client.events())  # they end with it
            try:
                async with client:
                    error = await self._converse(client, client.with_gaps())
            except WebSocketError as failed:
                error = failed
        if error is None:
            self._screen.note("= closed by us")
        else:
            self._fail(error)

    async def _converse(
        self, peer: Connection | Client, items: AsyncIterable[str | bytes | Gap]
    ) -> WebSocketError | None:
        """Show what comes and send what is typed, until either ends."""
        error = None
        with anyio.CancelScope() as self._polite:
            async with anyio.create_task_group() as group:
                group.start_soon(self._type, peer)
                try:
                    async for item in items:
                        self._show(item)
                except WebSocketError as failed:
                    error = failed
                group.cancel_scope.cancel()
        return error

    async def _heed_signals(self, *, task_status: TaskStatus[None]) -> None:
        """Leave politely at the first Ctrl-C, at once at the second."""
        if sys.platform == "win32":  # no signals for event loops: KeyboardInterrupt
            task_status.started()
            return
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                self._status = 128 + number
                self._polite.cancel()
                self._polite = self._whole

    # What is typed.

    async def _type(self, peer: Connection | Client) -> None:
        """Send each line; at the end leave, after a time for the answers."""
        while isinstance(peer, Client) or peer.ended is None:
            self._screen.prompt()
            line = await self._lines.next()
            if line is None:
                break
            self._screen.entered()
            if not await self._obey(peer, line):
                await self._send(peer, line)
        wait = self._settings.wait
        if wait is None:
            wait = 0.0 if sys.stdin.isatty() else ENOUGH
        await anyio.sleep(wait)
        await peer.close()

    async def _send(self, peer: Connection | Client, line: bytes) -> None:
        if len(line) >= CUT and sys.stdin.isatty():
            self._fail(
                "a line was not sent: terminals cut it here; send it from a file"
            )
            return
        try:
            await peer.send(line if self._settings.binary else line.decode())
        except UnicodeDecodeError:
            self._fail("a line was not sent: it is not UTF-8; --binary sends any bytes")
        except (NotSent, MaybeSent) as error:
            self._fail(error)

    async def _obey(self, peer: Connection | Client, line: bytes) -> bool:
        """Do what a line commands; False: it is to be sent."""
        if not self._settings.slash or isinstance(peer, Client):
            return False
        word, *rest = line.decode(errors="replace").split(None, 2) or [""]
        if word == "/ping":
            with suppress(ConnectionClosed, ConnectionLost):  # its end is told
                latency = await peer.ping()
                self._screen.note(f"% pong after {latency * 1000:.1f} ms")
        elif word == "/close":
            code, reason = [*rest, *("1000", "")[len(rest) :]]
            try:
                await peer.close(int(code), reason)
            except ValueError as error:  # no number, or an ArgumentError
                self._screen.note(f"! {error}")
        else:
            return False
        return True

    # What is shown.

    def _show(self, item: str | bytes | Gap) -> None:
        if not isinstance(item, Gap):
            self._screen.message(item)
        elif item.recovered:
            self._screen.note(
                f"! {item.offline_for:.1f} s without a connection: messages may be "
                "missing"
            )

    async def _observe(self, events: Events) -> None:
        uri = parse_uri(self._settings.url)
        async for event in events:
            match event:
                case StateChanged(after=State.OPEN, generation=generation):
                    self._screen.note(f"= connected to {uri}, generation {generation}")
                case LifeEnded(outcome=outcome, delay=delay):
                    self._screen.note(f"! {what_of(outcome)}{again(delay)}")
                case AttemptFailed(number=number, outcome=outcome, delay=delay):
                    what = f"attempt {number}: {what_of(outcome)}"
                    self._screen.note(f"! {what}{again(delay)}")

    def _tell_end(self, error: ConnectionClosed | ConnectionLost | None) -> None:
        if isinstance(error, ConnectionClosed):
            ours = error.initiator is Initiator.US
            close = (error.sent if ours else error.received) or Close(error.code)
            who = "us" if ours else "the server"
            self._screen.note(f"= closed by {who}: {described(close)}")
            if not ours and close.code not in FINE:
                self._status = self._status or FAILED
        elif error is not None:
            self._fail(error)

    def _fail(self, error: WebSocketError | str) -> None:
        self._status = self._status or FAILED
        for line in [error] if isinstance(error, str) else explain(error):
            self._screen.note(f"! {line}")


def where(url: str, ws: Connection) -> str:
    """Say what we are connected to, and what was agreed on."""
    agreed = [f"subprotocol {ws.subprotocol}"] if ws.subprotocol else []
    if ws.response and ws.response.compression:
        agreed.append("compression")
    text = str(parse_uri(url))
    return f"{text} ({', '.join(agreed)})" if agreed else text


def described(close: Close) -> str:
    """Say what a Close frame says."""
    text = f"{close.code}, {CloseCode(close.code).meaning}"
    return f"{text}: {close.reason}" if close.reason else text


def what_of(outcome: Outcome) -> str:
    """Say how an attempt or a life ended, without advice."""
    facts = getattr(outcome.error, "facts", None)
    detail = facts.detail if isinstance(facts, Facts) else ""
    return f"{detail} [{said(outcome)}]" if detail else said(outcome)


def explain(error: WebSocketError) -> list[str]:
    """Say in a line or two what went wrong, and what may help."""
    lines = [str(error)]
    cause = error.__cause__ if isinstance(error, GaveUp) else error
    if isinstance(cause, CertificateError):
        lines.append("--cafile FILE trusts other authorities, --insecure everybody")
    elif isinstance(cause, HandshakeRejected):
        places = [value for name, value in cause.headers if name == "location"]
        lines += [f"it points to {place}" for place in places]
        if body := " ".join(cause.body.decode(errors="replace").split()):
            lines.append(f"it says: {body[:BODY]}")
    elif isinstance(cause, ConnectionLost) and cause.sent and cause.sent.code == 1009:
        lines.append("--max-message-size BYTES lets larger ones in, 0 any")
    return lines


async def talk(settings: Settings) -> int:
    """Talk to a server on this terminal; return the exit status."""
    dialogue = is_dialogue(sys.stdin, sys.stdout)
    screen = Screen(sys.stdout, sys.stderr, dialogue=dialogue)
    opening: Connecting | Client
    try:
        arguments = settings.arguments()
        if settings.reconnect:
            opening = Client(settings.url, first="background", **arguments)
        else:
            opening = connect(settings.url, **arguments)
    except ArgumentError as error:
        screen.note(f"wsclient connect: {error}")
        return USAGE
    except OSError as error:
        screen.note(f"wsclient connect: --cafile {settings.cafile}: {error.strerror}")
        return USAGE
    if settings.insecure:
        screen.note("! --insecure: whoever answers is trusted")
    log = logging.getLogger("wsclient")
    handler = LogLines(screen.note) if settings.verbose else logging.NullHandler()
    if settings.verbose:
        handler.setLevel(logging.DEBUG)
        log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        return await Talk(settings, screen, Lines(sys.stdin.fileno())).run(opening)
    finally:
        log.removeHandler(handler)
        screen.close()


def run(settings: Settings) -> int:
    """
    Talk to a server on this terminal and return the exit status.

    0: the connection was closed in order, 1: it failed, or something was not sent, 2:
    the command line was wrong, 130 and 143: it was interrupted, 141: nobody reads what
    it prints.

    """
    return run_command(talk, settings, backend=settings.backend)
