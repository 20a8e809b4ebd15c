"""Two ledgers and their comparison: what was written, and what was received."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from ..supervisor import Gap

__all__ = (
    "Entry",
    "Heard",
    "Line",
    "Message",
    "Opened",
    "Row",
    "Verdict",
    "compare",
    "format_line",
    "parse_lines",
    "read_ledger",
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The server opened a connection; the client had told it its generation."""

    connection: str
    generation: int


@dataclass(frozen=True, slots=True)
class Heard:
    """The server heard a subscription on a connection."""

    connection: str
    channel: str


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message; it says itself where it belongs.

    ``number`` counts all messages of its connection from 0, whatever their channel.

    """

    connection: str
    number: int
    channel: str
    value: str


Line = Opened | Heard | Message
"""One line of the server's ledger."""

Entry = Message | Gap
"""One line of the client's ledger of one subscription."""

KINDS: dict[str, type[Opened] | type[Heard] | type[Message]] = {
    kind.__name__.lower(): kind for kind in (Opened, Heard, Message)
}


def format_line(line: Line) -> str:
    """Write a line of the server's ledger as JSON, ended by a newline."""
    kind = type(line).__name__.lower()
    return json.dumps({"kind": kind, **asdict(line)}, separators=(",", ":")) + "\n"


def parse_lines(text: str) -> list[Line]:
    """
    Read the lines of one server process.

    A last line without its end is passed over: the process was killed while it wrote
    it, and it writes a line before it writes the message.

    Raises:
        ValueError: a line is none of a ledger.

    """
    whole, _, _ = text.rpartition("\n")
    lines: list[Line] = []
    for row in whole.splitlines():
        try:
            values = json.loads(row)
            lines.append(KINDS[values.pop("kind")](**values))
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"this is no line of a ledger: {row[:200]!r}") from exc
    return lines


def read_ledger(directory: Path) -> list[Line]:
    """Read what the server's processes left in a directory, a file for each."""
    return [
        line
        for path in sorted(directory.glob("server-*.jsonl"))
        for line in parse_lines(path.read_text(encoding="utf-8"))
    ]


@dataclass(slots=True)
class Socket:
    """What the server's ledger says of one connection."""

    connection: str
    generation: int
    heard: list[str] = field(default_factory=list)
    messages: dict[int, Message] = field(default_factory=dict)
    received: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        return f"generation {self.generation} (connection {self.connection})"

    @property
    def prefix(self) -> int:
        """How many messages were received without one missing before them."""
        return next(n for n in range(len(self.messages) + 1) if n not in self.received)


@dataclass(frozen=True, slots=True)
class Row:
    """One connection in figures."""

    connection: str
    generation: int
    subscribed: int
    written: int
    received: int

    @property
    def under_gap(self) -> int:
        """How many messages were written and not received."""
        return self.written - self.received


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; without faults the ledgers agree."""

    rows: tuple[Row, ...]
    gaps: int
    duplicates: int
    faults: tuple[str, ...]

    @property
    def written(self) -> int:
        """The messages of all connections that the server wrote."""
        return sum(row.written for row in self.rows)

    @property
    def received(self) -> int:
        """The messages of all connections that the client received."""
        return sum(row.received for row in self.rows)

    @property
    def under_gaps(self) -> int:
        """The messages that a Gap stands for."""
        return self.written - self.received


def compare(
    written: Iterable[Line],
    received: Mapping[str, Sequence[Entry]],
    settled: Collection[str] = (),
) -> Verdict:
    """
    Compare the server's ledger with the client's, subscription by subscription.

    For each connection what was received is a prefix, in order, of what was written to
    its socket; nothing came twice; what is missing lies under a Gap, and each
    generation begins behind the Gap that names it. No connection heard a subscription
    twice; those in ``settled`` heard each of them, in order.

    """
    faults: list[str] = []
    sockets = _sockets(written, faults)
    duplicates = 0
    for channel, entries in received.items():
        duplicates += _check_record(channel, entries, sockets, faults)
    for socket in sockets.values():
        _check_prefix(socket, faults)
        _check_heard(socket, tuple(received), socket.connection in settled, faults)
        for channel, entries in received.items():
            _check_told(socket, channel, entries, sockets, faults)
    faults += [
        f"the server's ledger has no connection {connection}"
        for connection in settled
        if connection not in sockets
    ]
    return Verdict(
        rows=tuple(
            Row(
                socket.connection,
                socket.generation,
                len(socket.heard),
                len(socket.messages),
                len(socket.received),
            )
            for socket in sockets.values()
        ),
        gaps=sum(
            isinstance(entry, Gap) for entries in received.values() for entry in entries
        ),
        duplicates=duplicates,
        faults=tuple(faults),
    )


def _sockets(written: Iterable[Line], faults: list[str]) -> dict[str, Socket]:
    """Sort the server's ledger by connection."""
    sockets: dict[str, Socket] = {}
    for line in written:
        if isinstance(line, Opened):
            if line.connection in sockets:
                faults.append(f"the server opened connection {line.connection} twice")
            sockets[line.connection] = Socket(line.connection, line.generation)
            continue
        socket = sockets.get(line.connection)
        if socket is None:
            faults.append(f"the server did not open the connection of {line}")
        elif isinstance(line, Heard):
            socket.heard.append(line.channel)
        elif line.number != len(socket.messages):
            faults.append(f"{socket}: the server's ledger has no order at {line}")
        else:
            socket.messages[line.number] = line
    return sockets


def _check_record(
    channel: str,
    entries: Sequence[Entry],
    sockets: Mapping[str, Socket],
    faults: list[str],
) -> int:
    """Check one subscription's record as it stands; return its duplicates."""
    duplicates = 0
    last: Message | None = None
    gap: Gap | None = None
    for entry in entries:
        if isinstance(entry, Gap):
            gap = entry
            continue
        socket = sockets.get(entry.connection)
        where = f"{channel}, connection {entry.connection}, number {entry.number}"
        if socket is None or socket.messages.get(entry.number) != entry:
            faults.append(f"{where}: nobody wrote this message")
            continue
        if entry.channel != channel:
            faults.append(f"{where}: it belongs to {entry.channel}")
        if entry.number in socket.received:
            duplicates += 1
            faults.append(f"{where}: received twice")
        socket.received.add(entry.number)
        before = None if last is None else sockets[last.connection]
        if last is None or before is not socket:
            _check_border(where, before, socket, gap, faults)
        elif gap is not None:
            faults.append(f"{where}: behind a Gap where the connection stayed")
        elif entry.number < last.number:
            faults.append(f"{where}: behind number {last.number}, out of order")
        last = entry
        gap = None
    return duplicates


def _check_border(
    where: str, before: Socket | None, after: Socket, gap: Gap | None, faults: list[str]
) -> None:
    """Where one generation's messages end and another's begin stands its Gap."""
    if before is not None and before.generation >= after.generation:
        faults.append(f"{where}: behind {before}, out of order")
    if gap is None:
        if before is not None:
            faults.append(f"{where}: no Gap between {before} and {after}")
    elif gap.generation != after.generation or not gap.recovered:
        faults.append(f"{where}: the Gap before it tells of another: {gap}")


def _check_prefix(socket: Socket, faults: list[str]) -> None:
    """No message is missing before one that was received."""
    prefix = socket.prefix
    behind = sum(number > prefix for number in socket.received)
    if behind:
        faults.append(
            f"{socket}: number {prefix} is missing, and {behind} behind it are not"
        )


def _check_heard(
    socket: Socket, wanted: tuple[str, ...], whole: bool, faults: list[str]
) -> None:
    """Each subscription is said once, in order; all of them, where it was settled."""
    heard = tuple(socket.heard)
    if heard != (wanted if whole else wanted[: len(heard)]):
        faults.append(
            f"{socket}: the subscriptions said were {', '.join(heard) or 'none'}"
            f" instead of {', '.join(wanted)}"
        )


def _check_told(
    socket: Socket,
    channel: str,
    entries: Sequence[Entry],
    sockets: Mapping[str, Socket],
    faults: list[str],
) -> None:
    """What was not received lies under a Gap: right behind what was."""
    missing = sum(
        message.channel == channel and number not in socket.received
        for number, message in socket.messages.items()
    )
    if not missing:
        return
    rest: Entry | None = entries[0] if entries else None
    for entry, follower in pairwise([*entries, None]):
        if not isinstance(entry, Message) or entry.connection not in sockets:
            continue
        if sockets[entry.connection].generation <= socket.generation:
            rest = follower
    if not isinstance(rest, Gap):
        faults.append(
            f"{channel}: {missing} messages of {socket} are missing without a Gap"
        )
