"""
The other end of one connection: a blocking socket, a path that names the service.

It must never be the limit, so it floods from a prepared buffer, discards what it sinks
unread, and answers round trips by spinning instead of sleeping. Over TLS it has to
encrypt, which can be the limit: compare the CPU of the clients.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from .framing import Request, deflated, frame_of, frames_in
from .texts import json_texts, topic_texts

ANSWER_AFTER = 50e-6
CHUNK = 1 << 20  # bytes handed to the kernel at once, about


class Stream(Protocol):
    """As much of a blocking socket as the services use."""

    def recv(self, size: int, /) -> bytes: ...
    def recv_into(self, buffer: bytearray, /) -> int: ...
    def sendall(self, data: bytes, /) -> None: ...


def shake_hands(connection: Stream) -> Request:
    """Answer the opening handshake; return what was asked for."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the contestant left during the handshake")
        head += data
    request = Request(head)
    connection.sendall(request.answer())
    return request


def flood(connection: Stream, request: Request, size: int) -> None:
    """Send texts until the contestant leaves: JSON if they are to be compressed."""
    if request.bits is None:
        frame = frame_of(b"x" * size)
        chunk = frame * max(1, CHUNK // len(frame))
    else:
        texts = [text.encode() for text in json_texts(size)]
        chunk = b"".join(deflated(texts, request.bits))
        tell(ratio=size * len(texts) / len(chunk))
    while True:
        connection.sendall(chunk)


def sink(connection: Stream, request: Request, size: int) -> None:
    """Read as fast as the kernel gives, look at nothing; tell how much it was."""
    buffer = bytearray(1 << 20)
    total = 0
    while received := connection.recv_into(buffer):
        total += received
    tell(bytes=total)


class Sealed:
    """TLS whose records leave, and are read, as many at a time as there are."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._connection.sendall(self._outgoing.read())
                self._incoming.write(self._connection.recv(1 << 18) or _hung_up())
            else:
                self._connection.sendall(self._outgoing.read())
                return done

    def recv(self, size: int) -> bytes:
        received: bytes = self._until_done(lambda: self._tls.read(size))
        return received

    def recv_into(self, buffer: bytearray) -> int:
        count: int = self._until_done(lambda: self._tls.read(len(buffer), buffer))
        return count

    def sendall(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))


def _hung_up() -> NoReturn:
    raise ConnectionResetError("the contestant hung up")


def echo(connection: Stream, request: Request, size: int) -> None:
    """Answer each text 50 us after it came, with one of the same size."""
    answer = frame_of(b"x" * size)
    expected = len(answer) + 4  # it is masked
    came = 0
    while received := len(connection.recv(1 << 20)):
        came += received
        while came >= expected:
            came -= expected
            due = time.perf_counter() + ANSWER_AFTER
            while time.perf_counter() < due:
                pass
            connection.sendall(answer)


def topics(connection: Stream, request: Request, size: int) -> None:
    """After ``size`` subscriptions, send a cycle each time that anything is said."""
    chunk = b"".join(frame_of(text.encode()) for text in topic_texts(size))
    buffer = bytearray()
    said = 0
    while data := connection.recv(65536):
        buffer += data
        for _ in frames_in(buffer):
            said += 1
            if said > size:
                connection.sendall(chunk)


SERVICES: dict[str, Callable[[Stream, Request, int], None]] = {
    "flood": flood,
    "sink": sink,
    "echo": echo,
    "topics": topics,
}


def tell(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    """Serve one connection."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--listener", type=int, required=True, help="its descriptor")
    parser.add_argument("--core", type=int, help="the one to run on")
    parser.add_argument("--certificate", help="speak TLS: a file with key and chain")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    with socket.socket(fileno=options.listener) as server:
        connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream: Stream = connection
    try:
        if context is not None:
            stream = Sealed(connection, context)
        request = shake_hands(stream)
        service, size = request.path
        SERVICES[service](stream, request, int(size))
    except (
        BrokenPipeError,
        ConnectionResetError,
        ssl.SSLZeroReturnError,
    ):
        return  # the contestant has measured enough
    finally:
        connection.close()


if __name__ == "__main__":
    main()
