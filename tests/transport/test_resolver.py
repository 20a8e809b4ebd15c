"""Lookups that hold up nobody."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from wsclient.transport.resolver import AddressInfo, Resolver, getaddrinfo

from .conftest import HANG

pytestmark = pytest.mark.real

FOUND: list[AddressInfo] = [
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
]


class Directory:
    """A blocking lookup that tests hold back, count and let fail."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.asking = 0
        self.most = 0
        self.answer = threading.Event()
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def __call__(
        self, host: str | None, port: int, *, type: int, flags: int
    ) -> list[AddressInfo]:
        with self._lock:
            self.asked.append(host)
            self.asking += 1
            self.most = max(self.most, self.asking)
        self.answer.wait()
        with self._lock:
            self.asking -= 1
        if self.error is not None:
            raise self.error
        return FOUND


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    directory.answer.set()


async def test_a_literal_address_needs_no_thread(directory: Directory) -> None:
    directory.answer.set()
    before = threading.active_count()
    resolver = Resolver(ask=directory)
    for host in ("127.0.0.1", "::1", "fe80::1%lo", None):
        assert await resolver.getaddrinfo(host, 443) == FOUND
    assert threading.active_count() == before


async def test_a_name_is_looked_up_while_the_event_loop_goes_on(
    directory: Directory,
) -> None:
    resolver = Resolver(ask=directory)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await resolver.getaddrinfo("example.com", 443))

    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while not directory.asking:
                await anyio.lowlevel.checkpoint()
            directory.answer.set()
    assert answers == [FOUND]


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label")]
)
async def test_a_failure_is_raised_where_it_was_asked(
    directory: Directory, error: Exception
) -> None:
    directory.answer.set()
    directory.error = error
    with pytest.raises(type(error)) as caught, anyio.fail_after(HANG):
        await Resolver(ask=directory).getaddrinfo("example.com", 443)
    assert caught.value is error


async def test_cancelling_returns_at_once_though_the_lookup_hangs(
    directory: Directory,
) -> None:
    resolver = Resolver(ask=directory)
    with anyio.fail_after(HANG):
        with anyio.move_on_after(0.01) as scope:
            await resolver.getaddrinfo("example.com", 443)
    assert scope.cancelled_caught
    assert not directory.answer.is_set()


async def test_lookups_that_nobody_waits_for_any_more_are_not_asked(
    directory: Directory,
) -> None:
    """A client that dials for hours while names hang must not pile up questions."""
    resolver = Resolver(ask=directory, threads=2)
    with anyio.fail_after(HANG):
        for number in range(10):
            with anyio.move_on_after(0.01):
                await resolver.getaddrinfo(f"{number}.example", 443)
        directory.answer.set()
        assert await resolver.getaddrinfo("last.example", 443) == FOUND
    assert directory.most == 2
    assert sorted(map(str, directory.asked)) == [
        "0.example",
        "1.example",
        "last.example",
    ]


async def test_localhost_is_found() -> None:
    with anyio.fail_after(HANG):
        found = await getaddrinfo("localhost", 443)
    assert {info[4][0] for info in found} <= {"127.0.0.1", "::1"}
    assert found


EXITS = """
import threading, anyio
from wsclient.transport.resolver import Resolver

begun = threading.Event()

def hang(*args, **kwargs):
    print("hanging", flush=True)
    begun.set()
    threading.Event().wait()

async def main():
    with anyio.move_on_after(0.05):
        await Resolver(ask=hang).getaddrinfo("example.com", 443)

anyio.run(main, backend={backend!r})
begun.wait()
print("left")
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_hung_lookup_delays_neither_the_loops_nor_the_interpreters_exit(
    backend: str,
) -> None:
    """S16: asyncio.run() would wait for its executor's threads for ever."""
    code = EXITS.format(backend=backend)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        timeout=HANG,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("hanging\nleft\n", "")
