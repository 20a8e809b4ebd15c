"""Recorded conversations: read from a file, played back to a client under test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import ndiff
from os import PathLike
from pathlib import Path
from typing import Self

import anyio

from ..errors import LocalProtocolError
from ..protocol import CloseReceived, Failed, HandshakeFailed, Ping, Request, Role
from ..protocol.headers import header_values
from .peer import Peer
from .recorder import Redactor
from .script import Script
from .transcript import HIDDEN, Body, Called, End, Head, Raw, Said, What, read, written

__all__ = ("Match", "RecordedConnection", "Recording", "ReplayMismatch")

Match = Callable[[What, What], bool]
"""Takes what was recorded and what is said instead; True lets it pass."""

_CONTEXT = 4  # events shown above the one that differs

# Of a request: they depend on the address, on versions, on chance and on settings that
# change no message.
_VOLATILE = frozenset(
    {"host", "user-agent", "sec-websocket-key", "sec-websocket-extensions"}
)
# Of a 101: what the replaying server says by itself.
_FRAMING = frozenset({"upgrade", "connection", "content-length", "transfer-encoding"})
_parameter = re.compile(r"[?&;]([^=&;#\s]+)=([^&;#\s]*)")


class ReplayMismatch(AssertionError):
    """The client says something else than it did when it was recorded."""


class Recording:
    """
    A recorded conversation; a fixture for tests of a client.

    ::

        @pytest.fixture
        async def feed():
            recording = Recording.load("tests/feed.recording")
            async with ScriptedServer(*recording.scripts()) as server:
                yield server

        async def test_my_client_follows_the_feed(feed):
            assert await my_client(feed.url()) == 42

    The file is written by :func:`recorded`, or by hand: it is read from line to line,
    blank lines and comments (``#``) may stand anywhere, an indented line goes on with
    the event above. A connection without an end in the file is left open.

    Attributes:
        connections: in the order in which they began.

    """

    def __init__(self, connections: tuple[RecordedConnection, ...]) -> None:
        self.connections = connections

    def __repr__(self) -> str:
        return f"<Recording of {len(self.connections)} connections>"

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """
        Read a file.

        Raises:
            OSError: it cannot be read.
            ArgumentError: it is no recording; the text names the line.

        """
        return cls.parse(Path(path).read_text("utf-8"), str(path))

    @classmethod
    def parse(cls, text: str, name: str = "recording") -> Self:
        """
        Read a text; ``name`` is what errors call it.

        Raises:
            ArgumentError: it is no recording; the text names the line.

        """
        found = read(text, name)
        return cls(
            tuple(RecordedConnection(name, called, tuple(e)) for called, e in found)
        )

    def scripts(
        self, *, match: Match | None = None, timed: bool = False
    ) -> list[Script]:
        """Return :meth:`RecordedConnection.script` of every connection."""
        return [each.script(match=match, timed=timed) for each in self.connections]


@dataclass(frozen=True, slots=True)
class RecordedConnection:
    """
    One connection of a recording.

    Attributes:
        name: of the file.
        called: what was dialled, and when.
        events: all that was said, in the order of who was recorded.

    """

    name: str
    called: Called
    events: tuple[Said, ...]

    def messages(self, by: Role) -> list[str | bytes]:
        """Return the messages of one side."""
        said = (each.what for each in self.events if each.by is by)
        return [what for what in said if isinstance(what, str | bytes)]

    def script(self, *, match: Match | None = None, timed: bool = False) -> Script:
        """
        Return a script that says what the recorded server said, where it said it.

        Each thing the recorded client said is waited for: its request, every message,
        its Close frame, its end. Something else, or something more, raises. Requests
        agree if target and headers do; ``Host``, ``User-Agent``, offered extensions
        and what is hidden in the file may differ. Pings are answered, not compared:
        when they are due depends on the clock. Compression and masks are the replaying
        server's own; what is no 101, and bytes that broke RFC 6455, are sent as they
        were. What the server said after the client's Close frame comes before it.
        Who leaves the server early ends the script unheard: ``await
        server.peer.until_gone()`` lets it come to its end.

        Args:
            match: asked with what was recorded and what is said wherever these differ
                (messages, ``CloseReceived``, :class:`Head`); None: nothing may.
                For fields that change::

                    def match(recorded, said):
                        return isinstance(said, str) and (
                            json.loads(recorded)["op"] == json.loads(said)["op"]
                        )

            timed: keep the recorded pauses before each thing the server says; without
                it answers come at once.

        The script raises:
            ReplayMismatch: the client says something else; the text shows the lines
                of the file, the event and the difference.

        """

        async def replay(peer: Peer) -> None:
            await _Replay(self, peer, match, timed=timed).run()

        return replay

    def ordered(self) -> Iterator[Said]:
        """Give the events as the server could say them: its last words before Close."""
        held: Said | None = None
        for said in self.events:
            if held is None and said.by is Role.CLIENT and _is_close(said):
                held = said
                continue
            if held is not None and (said.by is Role.CLIENT or _ends(said)):
                yield held
                held = None
            yield said
        if held is not None:
            yield held


def _is_close(said: Said) -> bool:
    return isinstance(said.what, CloseReceived)


def _ends(said: Said) -> bool:
    return isinstance(said.what, CloseReceived | End)


class _Replay:
    """The server's side of one connection, said again to a peer."""

    def __init__(
        self,
        recorded: RecordedConnection,
        peer: Peer,
        match: Match | None,
        *,
        timed: bool,
    ) -> None:
        self._name = recorded.name
        self._steps = list(recorded.ordered())
        self._peer = peer
        self._match = match
        self._timed = timed
        self._step = 0
        self._heard = 0
        told = {(said.by, type(said.what)) for said in self._steps}
        self._cut_off = not {(role, End) for role in Role} & told
        peer.hangs_up = (Role.SERVER, End) not in told
        # A Close frame may not have been answered; its answer is not left to the peer.
        asked, answered = ((role, CloseReceived) in told for role in Role)
        peer.polite = answered or self._cut_off or not asked

    async def run(self) -> None:
        before = 0.0
        for said in self._steps:
            if said.by is Role.CLIENT:
                await self._expect(said)
            else:
                if self._timed:
                    await anyio.sleep(max(0.0, said.at - before))
                await self._say(said)
            before = said.at
            self._step += 1
        more = await self._next()
        # A recording that is cut off leaves the end to the client.
        if more is not None and not (self._cut_off and isinstance(more, CloseReceived)):
            raise self._differs(None, more)

    # What the client says.

    async def _expect(self, said: Said) -> None:
        recorded: What = said.what
        now: What | None
        match recorded:
            case Head():
                recorded, now = _bare(recorded), await self._request(recorded)
            case str() | bytes() | CloseReceived():
                now = await self._next()
            case End():
                now = await self._next()
                if now is not None:
                    raise self._differs(said, now)
                return
            case _:
                return
        if now is None:
            raise self._differs(said, None)
        if type(now) is type(recorded) and now == recorded:
            return
        if self._match is None or not self._match(recorded, now):
            raise self._differs(said, now)

    async def _request(self, recorded: Head) -> What | None:
        peer = self._peer
        await peer.until(lambda: peer.endpoint.request or peer.faults or peer.ended)
        request = peer.endpoint.request
        if request is None:
            return await self._next()
        return _bare(_as_recorded(request, recorded))

    async def _next(self) -> What | None:
        """Wait for what the client says next; None: it has gone."""
        peer = self._peer
        while True:
            await peer.until(lambda: len(peer.events) > self._heard or peer.ended)
            if len(peer.events) <= self._heard:
                return None
            event = peer.events[self._heard][1]
            self._heard += 1
            if isinstance(event, str | bytes | CloseReceived):
                return event
            if isinstance(event, Failed | HandshakeFailed):
                return Raw(b"", event.detail)

    # What the server says.

    async def _say(self, said: Said) -> None:
        peer = self._peer
        try:
            match said.what:
                case Head(lines) if " 101" in lines[0]:
                    await self._accept(said.what)
                case Head(lines):
                    peer.write("\r\n".join(lines).encode("latin-1") + b"\r\n")
                case Body(data) | Raw(data):
                    peer.write(data)
                case str() | bytes():
                    peer.send(said.what)
                case Ping(payload):
                    peer.ping(payload)
                case CloseReceived(code, reason) if peer.closed_at is None:
                    peer.close(None if code == 1005 else code, reason)
                case End("EOF"):
                    peer.hang_up()
                case End("reset"):
                    peer.reset()
        except (EOFError, LocalProtocolError):
            if not (peer.ended or peer.closed_at is not None or peer.faults):
                raise  # no server could have said this: the file is wrong
            raise self._differs(said, await self._next()) from None

    async def _accept(self, head: Head) -> None:
        pairs = [line.partition(":")[::2] for line in head.lines[1:] if line]
        headers = [(name.strip(), value.strip()) for name, value in pairs]
        chosen = header_values(headers, "Sec-WebSocket-Protocol")
        theirs = [pair for pair in headers if not _is_own(pair[0].lower())]
        await self._peer.accept(headers=theirs, subprotocol=next(iter(chosen), None))

    # How they differ.

    def _differs(self, said: Said | None, now: What | None) -> ReplayMismatch:
        """Show the difference below the events before it."""
        step = said or (self._steps[-1] if self._steps else None)
        rows = [f"{self._name}:{step.line if step else 1}: the client says otherwise"]
        for before in self._steps[max(0, self._step - _CONTEXT) : self._step]:
            arrow = ">" if before.by is Role.CLIENT else "<"
            rows += _rows(before.what, f"  {arrow} ")
        recorded = ["> (nothing more)"]
        if said is not None and said.by is Role.SERVER:
            recorded = _rows(said.what, "< ")
        elif said is not None:
            what = _bare(said.what) if isinstance(said.what, Head) else said.what
            recorded = _rows(what, "> ")
        said_now = ["> (it has gone)"] if now is None else _rows(now, "> ")
        rows += [row.rstrip("\n") for row in ndiff(recorded, said_now)]
        return ReplayMismatch("\n".join(rows))


def _rows(what: What, lead: str) -> list[str]:
    if isinstance(what, Raw) and what.why:
        return [f"{lead}({what.why})"]
    first, *more = written(what)
    return [lead + first, *(" " * len(lead) + row.strip() for row in more)]


# Heads


def _is_own(name: str) -> bool:
    """Whether a header is one that the replaying server says by itself."""
    return name.startswith("sec-websocket-") or name in _FRAMING


def _as_recorded(request: Request, recorded: Head) -> Head:
    """Write a request as the recorded one is written, with the same things hidden."""
    pairs = [line.partition(":")[::2] for line in recorded.lines[1:]]
    hide = [name.strip() for name, value in pairs if value.strip() == HIDDEN]
    found = _parameter.findall(recorded.lines[0])
    show = [name for name, value in found if value != HIDDEN]
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    shown = Redactor(hide, show, None)(Head((*lines, "")))
    assert isinstance(shown, Head)
    return shown


def _bare(head: Head) -> Head:
    """Return what two requests for the same have in common."""
    first, *rest = head.lines
    pairs = [line.partition(":") for line in rest if line]
    lines = sorted(
        f"{name.strip().lower()}: {value.strip()}"
        for name, _, value in pairs
        if name.strip().lower() not in _VOLATILE
    )
    return Head((first, *lines))
