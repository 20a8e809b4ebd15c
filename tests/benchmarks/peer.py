"""
The other end of every measurement: one blocking socket, one connection, no library.

It must never be the limit, so it floods from a prebuilt buffer, discards what it
sinks unread, and answers round trips by spinning instead of sleeping.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import sys
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
ANSWER_AFTER = 50e-6
FLOOD_CHUNK = 64_000  # bytes handed to the kernel at once, about


def shake_hands(connection: socket.socket) -> bytes:
    """Answer the opening handshake; return the path asked for."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the contestant left during the handshake")
        head += data
    request, *lines = head.split(b"\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in lines)
    }
    key = headers[b"sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return request.split(b" ")[1].lstrip(b"/")


def text_frame(size: int) -> bytes:
    """Build one unmasked text frame (RFC 6455, 5.2)."""
    if size < 126:
        head = struct.pack("!BB", 0x81, size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x81, 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 127, size)
    return head + b"x" * size


def flood(connection: socket.socket, size: int) -> None:
    """Send texts until the contestant leaves."""
    frame = text_frame(size)
    chunk = frame * max(1, FLOOD_CHUNK // len(frame))
    while True:
        connection.sendall(chunk)


def sink(connection: socket.socket, size: int) -> None:
    """Read as fast as the kernel gives, look at nothing."""
    buffer = bytearray(1 << 20)
    while connection.recv_into(buffer):
        pass


def echo(connection: socket.socket, size: int) -> None:
    """Answer each text 50 us after it came, with one of the same size."""
    answer = text_frame(size)
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


SERVICES = {b"flood": flood, b"sink": sink, b"echo": echo}


def main() -> None:
    """Serve one connection on a port told on stdout, on the core given."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            service, size = shake_hands(connection).split(b"/")
            SERVICES[service](connection, int(size))
        except (BrokenPipeError, ConnectionResetError):
            return  # the contestant has measured enough


if __name__ == "__main__":
    main()
