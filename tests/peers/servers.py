"""Third-party WebSocket servers that offer the same services, plain and over TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .certificates import Certificates
from .processes import Peer, missing

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Server:
    """A running server of one of the two makes."""

    name: str
    ports: dict[str, int]

    def url(self, path: str, scheme: str = "ws") -> str:
        return f"{scheme}://localhost:{self.ports[scheme]}{path}"


def npm_package(name: str, version: str) -> Path:
    """
    Return a folder whose node_modules holds a package, installing it at first use.

    It lies under ``WSCLIENT_TEST_CACHE``, else in the user's cache.

    """
    npm = shutil.which("npm")
    if not shutil.which("node") or not npm:
        missing("there is no node and npm to run the ws package with")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("WSCLIENT_TEST_CACHE") or caches / "wsclient-tests")
    folder = cache / f"{name}-{version}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    # Installed aside and moved at once: another run may be installing too.
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        made = Path(aside, "made")
        made.mkdir()
        options = [
            "--no-audit",
            "--no-fund",
            f"{name}@{version}",
            "--prefix",
            str(made),
        ]
        done = subprocess.run(
            [npm, "install", *options], capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            missing(f"npm cannot install {name}@{version}: {done.stderr.strip()}")
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    return folder


@contextmanager
def _running(name: str, command: list[str | Path], log: Path) -> Iterator[Server]:
    peer = Peer(command, log)
    try:
        yield Server(name, json.loads(peer.read_line()))
    finally:
        peer.kill()


@contextmanager
def node_server(folder: Path, certificates: Certificates) -> Iterator[Server]:
    """Run node's ``ws``."""
    package = npm_package("ws", "8")
    pems = [certificates.chain, certificates.key]
    command: list[str | Path] = ["node", HERE / "ws_server.mjs", package, *pems]
    with _running("node ws", command, folder / "node.log") as server:
        yield server


@contextmanager
def websockets_server(folder: Path, certificates: Certificates) -> Iterator[Server]:
    """Run Python's ``websockets``, on asyncio whatever loop we are on."""
    pems = [certificates.chain, certificates.key]
    command: list[str | Path] = [sys.executable, HERE / "websockets_server.py", *pems]
    with _running("websockets", command, folder / "websockets.log") as server:
        yield server
