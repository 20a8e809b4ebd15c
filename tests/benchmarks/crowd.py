"""
The other end of many connections: one thread, one selector, no library.

A handshake costs it less than any client pays for one, so it is not the limit of how
many connect in a second. It answers pings and closes, and sends nothing of its own.
``GET /drop/SECONDS`` drops everybody: after 0 it goes on listening, otherwise it
refuses everybody for so long. The answer comes when all are back: for each the seconds
since it could be.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import selectors
import socket
import time

from .framing import CLOSE, PING, PONG, Request, frame_of, frames_in

BACKLOG = 4096


class Crowd:
    """All connections, and when each came back since they were dropped."""

    def __init__(self, listener: socket.socket) -> None:
        self._selector = selectors.DefaultSelector()
        self._members: dict[socket.socket, bytearray] = {}
        self._strangers: dict[socket.socket, bytearray] = {}
        self._judge: socket.socket | None = None
        self._expected = 0
        self._since = 0.0  # when those dropped could come back
        self._back: list[float] = []
        self._address = listener.getsockname()
        self._listen(listener)

    def _listen(self, listener: socket.socket) -> None:
        self._listener = listener
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> None:
        """Serve until this process is ended."""
        while True:
            away = self._listener.fileno() < 0
            patience = max(0.0, self._since - time.monotonic()) if away else None
            for key, _ in self._selector.select(patience):
                key.data(key.fileobj)
            if away and time.monotonic() >= self._since:
                self._since = time.monotonic()
                self._listen(socket.create_server(self._address, backlog=BACKLOG))

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._strangers[connection] = bytearray()
            self._selector.register(connection, selectors.EVENT_READ, self._greet)

    def _greet(self, connection: socket.socket) -> None:
        head = self._read(connection, self._strangers)
        if head is None or b"\r\n\r\n" not in head:
            return
        del self._strangers[connection]
        request = Request(bytes(head))
        if request.path[0] == "drop":
            self._drop(connection, float(request.path[1]))
            return
        connection.send(request.answer())
        self._members[connection] = bytearray()
        self._selector.modify(connection, selectors.EVENT_READ, self._talk)
        if self._judge is not None:
            self._returned(self._judge)

    def _talk(self, connection: socket.socket) -> None:
        buffer = self._read(connection, self._members)
        if buffer is None:
            return
        for opcode, payload in frames_in(buffer):
            if opcode == PING:
                connection.send(frame_of(payload, PONG))
            elif opcode == CLOSE:
                connection.send(frame_of(payload, CLOSE))
                self._forget(connection, self._members)
                return

    def _read(
        self, connection: socket.socket, among: dict[socket.socket, bytearray]
    ) -> bytearray | None:
        """Read what is there; None if the client is gone."""
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self._forget(connection, among)
            return None
        among[connection] += data
        return among[connection]

    def _forget(
        self, connection: socket.socket, among: dict[socket.socket, bytearray]
    ) -> None:
        del among[connection]
        self._selector.unregister(connection)
        connection.close()

    def _drop(self, judge: socket.socket, seconds: float) -> None:
        self._selector.unregister(judge)
        self._judge, self._expected, self._back = judge, len(self._members), []
        self._since = time.monotonic() + seconds
        if seconds:
            self._selector.unregister(self._listener)
            self._listener.close()
            for connection in list(self._strangers):
                self._forget(connection, self._strangers)
        for connection in list(self._members):
            self._forget(connection, self._members)

    def _returned(self, judge: socket.socket) -> None:
        self._back.append(time.monotonic() - self._since)
        if len(self._back) == self._expected:
            judge.setblocking(True)
            with judge:
                judge.sendall(json.dumps(self._back).encode())
            self._judge = None


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--listener", type=int, required=True, help="its descriptor")
    parser.add_argument("--core", type=int, help="the one to run on")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Crowd(socket.socket(fileno=options.listener)).serve()


if __name__ == "__main__":
    main()
