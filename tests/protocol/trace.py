"""
Golden traces: conversations written by hand, and how an endpoint replays its half.

A file ``tests/traces/*.wire`` holds one trace, or several with ``---`` between them. A
trace has one statement a line::

    # RFC 6455, section 5.7: ...   what it shows; a comment may stand anywhere
    starts CONNECTING              the opening handshake is part of it, else it is done
    only server                    the client is rude: no call makes what it sends
    both have deflate=Deflate()    arguments of Endpoint; or "client has", "server has"
    keys 37fa213d ffffffff         the client's mask keys, in order, again and again

    client calls encode("Hello")   a method of Endpoint that gives bytes
    client cannot close(1005)      one that raises, and sends nothing
    client answers                 data_to_send()
    > 81 85 37fa213d 7f9f4d5158    what the client sends; < is what the server sends
    server gets "Hello"            an event; the last one comes with the last byte
    server is OPEN                 its state

Bytes are hexadecimal, or text in quotes, and ``00*9`` is a byte nine times. After ``|``
stands a line of HTTP without its CRLF. ``EOF`` is the end of all bytes. A trace may
name some fields of an event only.

"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from wsclient import protocol
from wsclient.errors import ArgumentError, LocalProtocolError
from wsclient.protocol import Endpoint, Event, Role, State, parse_uri

NONCE = b"the sample nonce"  # RFC 6455, section 1.3
SENDERS = {">": Role.CLIENT, "<": Role.SERVER}
CALLS = (
    *("connect", "accept", "reject"),
    *("encode", "encode_fragment", "ping", "pong", "close"),
)
EVENTS = (
    *("Request", "Response", "Rejection", "HandshakeFailed"),
    *("Ping", "Pong", "CloseReceived", "Failed"),
)

_part = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<hex>(?:[0-9a-f]{2})+))')
_times = re.compile(r"\*(\d+)")


class Like:
    """Equals the events of one kind that have these fields."""

    def __init__(self, kind: type, *values: object, **fields: object) -> None:
        names = [field.name for field in dataclasses.fields(kind)]
        self.kind = kind
        self.fields = dict(zip(names, values, strict=False)) | fields

    def __eq__(self, other: object) -> bool:
        return type(other) is self.kind and all(
            getattr(other, name) == value for name, value in self.fields.items()
        )

    def __repr__(self) -> str:
        return f"{self.kind.__name__} with {self.fields}"


def _like(kind: type) -> Callable[..., Like]:
    return lambda *values, **fields: Like(kind, *values, **fields)


WORDS: dict[str, Any] = {name: _like(getattr(protocol, name)) for name in EVENTS}
WORDS |= {"Deflate": protocol.Deflate, "Limits": protocol.Limits}
WORDS |= {"__builtins__": {"bytes": bytes, "dict": dict}, "uri": parse_uri}


@dataclasses.dataclass
class Step:
    """What one end says, hears or sends; lines of bytes in a row are one step."""

    where: str
    who: Role
    verb: str
    text: str = ""
    data: bytes = b""


class Trace:
    """A trace as it was read, line by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.roles = tuple(Role)
        self.state = State.OPEN
        self.settings = dict.fromkeys(Role, "")
        self.keys = b"\0\0\0\0"
        self.steps: list[Step] = []

    def read(self, where: str, line: str) -> None:
        """Take a line."""
        word, _, rest = line.partition(" ")
        if word in SENDERS:
            self._send(Step(where, SENDERS[word], "sends"), rest.strip())
        elif word == "starts":
            self.state = State[rest]
        elif word == "only":
            self.roles = (Role(rest),)
        elif word == "keys":
            self.keys = bytes.fromhex(rest)
        elif word == "both":
            self.settings = dict.fromkeys(Role, rest.removeprefix("have "))
        elif word and word != "#":
            verb, _, rest = rest.partition(" ")
            if verb == "has":
                self.settings[Role(word)] = rest
            else:
                self.steps.append(Step(where, Role(word), verb, rest))

    def _send(self, step: Step, text: str) -> None:
        last = self.steps[-1] if self.steps else None
        if text == "EOF":
            step.verb = "EOF"
        elif last and last.verb == "sends" and last.who is step.who:
            last.data += read_bytes(text)
            return
        else:
            step.data = read_bytes(text)
        self.steps.append(step)


def read_traces(path: Path) -> Iterator[Trace]:
    """Read the traces of a file."""
    trace = Trace(f"{path.name}:1")
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line == "---":
            yield trace
            trace = Trace(f"{path.name}:{number + 1}")
        else:
            trace.read(f"{path.name}:{number}", line.strip())
    yield trace


def read_bytes(text: str) -> bytes:
    """Read what stands behind ``>`` or ``<``."""
    if text.startswith("|"):
        return text[1:].encode() + b"\r\n"
    data, position = b"", 0
    while found := _part.match(text, position):
        quoted, digits = found["text"], found["hex"]
        part = ast.literal_eval(quoted).encode() if quoted else bytes.fromhex(digits)
        position = found.end()
        if times := _times.match(text, position):
            part *= int(times[1])
            position = times.end()
        data += part
    rest = text[position:].strip()
    if rest and not rest.startswith("#"):
        raise ValueError(f"{rest!r} is neither bytes nor a comment")
    return data


class Replay:
    """One end of a trace, fed ``size`` bytes at a time, 0 for all that there is."""

    def __init__(self, trace: Trace, role: Role, size: int) -> None:
        ends = {each: self._endpoint(trace, each) for each in Role}
        if trace.state is State.OPEN:
            client, server = ends[Role.CLIENT], ends[Role.SERVER]
            server.receive_data(client.connect(parse_uri("ws://server.example.com/")))
            client.receive_data(server.accept())
        self.trace = trace
        self.size = size
        self.endpoint = ends[role]
        self.said = b""  # by calls, and not found in the trace yet
        self.heard: list[Event] = []

    @staticmethod
    def _endpoint(trace: Trace, role: Role) -> Endpoint:
        def random(size: int) -> bytes:
            return NONCE if size == 16 else (trace.keys * size)[:size]

        settings = eval(f"dict({trace.settings[role]})", WORDS)
        return Endpoint(role, random=random, **settings)

    def run(self) -> None:
        """Do what the trace says; hear and send what it says, and nothing else."""
        for step in self.trace.steps:
            if step.who is self.endpoint.role:
                self._do(step)
            elif step.verb in ("sends", "EOF"):
                self._hear(step)
        assert not self.heard, f"{self.trace.name}: more was heard"
        assert not self.said, f"{self.trace.name}: more was sent"
        assert not self.endpoint.pending, f"{self.trace.name}: more is to be sent"

    def _hear(self, step: Step) -> None:
        if step.verb == "EOF":
            self.heard += self.endpoint.receive_eof()
            return
        size = self.size or len(step.data)
        told = [
            self.endpoint.receive_data(step.data[start : start + size])
            for start in range(0, len(step.data), size)
        ]
        assert told[-1] or not any(told), f"{step.where}: an event came too early"
        self.heard += chain(*told)

    def _do(self, step: Step) -> None:
        if step.verb == "gets":
            assert self.heard, f"{step.where}: nothing was heard"
            assert self.heard.pop(0) == eval(step.text, WORDS), step.where
            return
        calls = WORDS | {name: getattr(self.endpoint, name) for name in CALLS}
        match step.verb:
            case "calls":
                self.said += eval(step.text, calls)
            case "cannot":
                with pytest.raises((ArgumentError, LocalProtocolError)):
                    eval(step.text, calls)
            case "answers":
                assert self.endpoint.pending, f"{step.where}: nothing is due"
                self.said += self.endpoint.data_to_send()
            case "sends":
                assert self.said == step.data, step.where
                self.said = b""
            case "is":
                assert self.endpoint.state is State[step.text], step.where
            case verb:
                assert verb == "EOF", f"{step.where}: what is {verb!r}?"
