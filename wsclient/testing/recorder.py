"""Recording: a dial whose wires write down all that passes, and change nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping
from io import FileIO
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from ..protocol import Role
from ..protocol.handshake import accept_key
from ..wire import Dial, Feed, Lost, Reached, Wire
from .transcript import (
    HIDDEN,
    INTRODUCTION,
    Body,
    Called,
    End,
    Head,
    Raw,
    Said,
    What,
    write,
    write_called,
)
from .witness import Witness

__all__ = ("SECRETS", "Redactor", "recorded")

logger = logging.getLogger("wsclient.testing")

SECRETS = ("Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie")
"""Headers whose values are never written, whatever else is hidden."""

_parameter = re.compile(r"([?&;])([^?&;#\s]+)")
_userinfo = re.compile(r"//[^/@\s]*@")


def recorded(
    dial: Dial,
    path: str | PathLike[str],
    *,
    hide: Collection[str] = (),
    show: Collection[str] = (),
    redact: Callable[[str | bytes], str | bytes] | None = None,
) -> Dial:
    """
    Return a dial that writes all that passes on its wires to a file.

    ::

        from wsclient.transport import dial

        async with Client(url, dial=recorded(dial, "feed.recording")) as client:
            ...

    It alters nothing. It stands above TLS and reads through masks and compression: the
    file holds heads line by line, messages whole (fragments joined), pings, pongs,
    Close frames and ends. ``>`` is what the client gave to its wire, ``<`` what its
    wire fed to it, in the client's order. Bytes that break RFC 6455 are kept as they
    are. :class:`Recording` reads the file and plays it back.

    Each event is in the file, for the kernel to keep, before it goes on: a process that
    dies half-way leaves all that was said. Connections count from 1; a line
    ``connection 1`` goes back to one when several are live. The file begins anew with
    each call; one that can no longer be written (a full disk) ends the recording, with
    an error in the log, never the conversation.

    Secrets are not written. Hidden are the values of ``Authorization``,
    ``Proxy-Authorization``, ``Cookie`` and ``Set-Cookie``, users in URLs, and *every*
    value in a query. The nonce of the handshake is left out too, so that the same
    conversation gives the same file. Paths, bodies and messages are written as they
    are: give ``redact`` if messages hold secrets.

    Args:
        dial: opens the wires, ``wsclient.transport.dial`` or ``network.dial``.
        path: of the file.
        hide: names of further headers whose values are not written, such as
            ``"X-Api-Key"`` or ``"Date"``.
        show: names of parameters of a query whose values are no secret.
        redact: gives what is written of a message, and of a piece of a body; with it,
            frames that are broken or incomplete are not written at all.

    Raises:
        OSError: the file cannot be written.

    """
    pen = _Pen(Path(path), Redactor(hide, show, redact))

    async def dial_recorded(
        host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        wire = await dial(host, port, tls=tls, reached=reached)
        return _RecordedWire(wire, pen, host, port, tls=tls is not None)

    return dial_recorded


class Redactor:
    """Knows what is not to be written."""

    def __init__(
        self,
        hide: Collection[str],
        show: Collection[str],
        redact: Callable[[str | bytes], str | bytes] | None,
    ) -> None:
        self._hide = {name.lower() for name in (*SECRETS, *hide)}
        self._show = frozenset(show)
        self._redact = redact

    def __call__(self, what: What, *, key: str = "") -> What | None:
        """Return what may be written; ``key`` is the request's, as it was sent."""
        match what:
            case Head(lines):
                return Head(tuple(self._line(line, key) for line in lines))
            case str() | bytes() if self._redact is not None:
                return self._redact(what)
            case Body(data) if self._redact is not None:
                piece = self._redact(data)
                return Body(piece.encode() if isinstance(piece, str) else piece)
            case Raw() if self._redact is not None:
                return None
        return what

    def _line(self, line: str, key: str) -> str:
        name, colon, value = line.partition(":")
        bare = name.strip().lower()
        # The answer to the key is as random as the key; a wrong one is worth a line.
        nonce = bare == "sec-websocket-key" or (
            bare == "sec-websocket-accept" and value.strip() == accept_key(key)
        )
        if colon and (nonce or bare in self._hide):
            return f"{name}: {HIDDEN}"
        line = _userinfo.sub(f"//{HIDDEN}@", line)
        return _parameter.sub(self._parameter, line) if "?" in line else line

    def _parameter(self, found: re.Match[str]) -> str:
        mark, parameter = found.groups()
        name, equals, _ = parameter.partition("=")
        if name in self._show:
            return found[0]
        return f"{mark}{name}={HIDDEN}" if equals else f"{mark}{HIDDEN}"


class _Pen:
    """Writes the file; it is open while a connection is."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.redactor = redactor
        self._path = path
        self._file: FileIO | None = None
        self._live = 0
        self._count = 0
        self._last = 0  # whose event stands last in the file
        self._began = 0.0
        self._broken = False
        path.write_text(INTRODUCTION, "utf-8", newline="\n")

    def begin(self, host: str, port: int, now: float, *, tls: bool) -> int:
        """Begin a connection; return its number."""
        self._count += 1
        if self._count == 1:
            self._began = now
        self._live += 1
        called = Called(self._count, host, port, tls, now - self._began)
        self._last = self._count
        self._write(write_called(called))
        return self._count

    def say(self, number: int, said: Said) -> None:
        """Write an event of a connection."""
        back = "" if number == self._last else f"\nconnection {number}\n"
        self._last = number
        self._write(back + write(said))

    def end(self) -> None:
        """End a connection; the last one closes the file."""
        self._live -= 1
        if not self._live and self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, text: str) -> None:
        if self._broken:
            return
        try:
            if self._file is None:
                # Unbuffered: an event is one write, so a crash leaves whole ones.
                self._file = self._path.open("ab", buffering=0)
            self._file.write(text.encode())
        except OSError:
            self._broken = True
            logger.exception("the recording %s ends here", self._path)


class _RecordedWire:
    """A wire that writes down what passes; everything else is handed on."""

    def __init__(
        self, wire: Wire, pen: _Pen, host: str, port: int, *, tls: bool
    ) -> None:
        self.pulled = wire.pulled
        self.adopt, self.time, self.call_at = wire.adopt, wire.time, wire.call_at
        self.flush, self.pump, self.drain = wire.flush, wire.pump, wire.drain
        self.pause, self.resume, self.widen = wire.pause, wire.resume, wire.widen
        self._wire = wire
        self._pen = pen
        self._witness = Witness()
        self._ended: set[Role] = set()
        self._over = False
        self._began = wire.time()
        self._number = pen.begin(host, port, self._began, tls=tls)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._wire.extra_attributes

    @property
    def buffered(self) -> int:
        return self._wire.buffered

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        def fed(chunk: memoryview | None) -> None:
            if chunk is None:
                self._end(Role.SERVER, "EOF")
            else:
                self._hear(Role.SERVER, bytes(chunk))
            feed(chunk)

        def broke(error: Exception) -> None:
            self._end(Role.SERVER, "reset", over=True)
            lost(error)

        self._wire.start(fed, broke, drained)

    def write(self, data: bytes) -> bool:
        if not self._over and Role.CLIENT not in self._ended:
            self._hear(Role.CLIENT, bytes(data))
        return self._wire.write(data)

    def shutdown(self) -> None:
        self._end(Role.CLIENT, "EOF")
        self._wire.shutdown()

    def finish(self) -> None:
        self._end(Role.CLIENT, "EOF", over=True)
        self._wire.finish()

    def abort(self) -> None:
        self._end(Role.CLIENT, "reset", over=True)
        self._wire.abort()

    async def aclose(self) -> None:
        try:
            await self._wire.aclose()
        except BaseException:
            self._end(Role.CLIENT, "reset", over=True)
            raise
        self._end(Role.CLIENT, "EOF", over=True)

    def _hear(self, by: Role, data: bytes) -> None:
        for role, what in self._witness.hear(by, data):
            self._say(role, what)

    def _end(
        self, by: Role, how: Literal["EOF", "reset"], *, over: bool = False
    ) -> None:
        if self._over:
            return
        for role in Role if over else (by,):
            if role not in self._ended:
                for what in self._witness.voices[role].end():
                    self._say(role, what)
        if by not in self._ended:
            self._ended.add(by)
            self._say(by, End(how))
        if over:
            self._over = True
            self._pen.end()

    def _say(self, by: Role, what: What) -> None:
        shown = self._pen.redactor(what, key=self._witness.key)
        if shown is not None:
            at = self._wire.time() - self._began
            self._pen.say(self._number, Said(at, by, shown))
