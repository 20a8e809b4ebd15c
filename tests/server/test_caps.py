"""A server takes no more than it was told to, and lets nobody starve the others."""

from __future__ import annotations

import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

import wsclient
from wsclient.protocol import Request
from wsclient.server import Server
from wsclient.server.admission import Admission
from wsclient.server.http import HTTPResponse
from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend
from wsclient.testing.wires import wire_pair
from wsclient.wire import Wire

from .support import Answer, echo, request, rest, serving, until, upgrade, url
from .visits import made, visiting

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, Any]]:
    """In virtual time; on its own clock what is real."""
    if request.node.get_closest_marker("real"):
        return str(request.param)
    return virtual_backend(request.param)


def unasked(connection: wsclient.Connection, request: Request) -> HTTPResponse | None:
    assert not request.upgrade, "who has no place is not asked about"
    return HTTPResponse(200, "fine")


# -- connections, in memory -------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "status", "bound"),
    [
        ({"max_connections": 1}, 503, "max_connections"),
        ({"max_connections_per_address": 1}, 429, "max_connections_per_address"),
    ],
)
async def test_without_a_place_an_upgrade_is_told_when_to_come_back(
    bounds: dict[str, int],
    status: int,
    bound: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admission = Admission(**bounds)
    async with visiting(made(), admission) as first:
        await first.stream.send(upgrade())
        await until(first.stream, b"\r\n\r\n")
        async with visiting(made(process_request=unasked), admission) as second:
            await second.stream.send(upgrade())
            answer = Answer.of(await rest(second.stream))
        assert answer.status == status
        assert answer.headers["retry-after"] == "15"
        assert answer.headers["connection"] == "close"
        assert second.connection is None
        assert caplog.messages == [
            f"no place for ('192.0.2.1', 40000): {bound} is reached; it gets {status}"
        ]
        if status == 429:
            async with visiting(made(), admission, "192.0.2.2") as other:
                await other.stream.send(upgrade())
                assert b" 101 " in await until(other.stream, b"\r\n\r\n")
    async with visiting(made(), admission) as third:
        await third.stream.send(upgrade())
        assert b" 101 " in await until(third.stream, b"\r\n\r\n")


async def test_a_full_server_goes_on_answering_plain_http() -> None:
    admission = Admission(max_connections=1, max_connections_per_address=1)
    async with visiting(made(), admission) as first:
        await first.stream.send(upgrade())
        await until(first.stream, b"\r\n\r\n")
        async with visiting(made(process_request=unasked), admission) as probe:
            await probe.stream.send(request("Host: a"))
            assert Answer.of(await rest(probe.stream)).body == b"fine"


async def test_who_is_refused_and_does_not_read_why_holds_no_place() -> None:
    def refuse(connection: wsclient.Connection, request: Request) -> HTTPResponse:
        return HTTPResponse(401, b"x" * 1_000_000)

    admission = Admission(max_connections=1)
    async with visiting(made(process_request=refuse), admission) as stubborn:
        stubborn.pipe.out.stall()
        await stubborn.stream.send(upgrade())
        async with visiting(made(), admission) as other:
            await anyio.sleep(1)
            assert not stubborn.over.is_set()
            await other.stream.send(upgrade())
            assert b" 101 " in await until(other.stream, b"\r\n\r\n")


async def test_a_client_that_found_no_place_comes_back_when_it_was_told_to() -> None:
    """Retry-After n, as our own client takes it: between n and 1.1 n."""
    admission, reception = Admission(max_connections=1), made()
    dials: list[float] = []

    async def attend(wire: Wire) -> None:
        guest = admission.arrive(("192.0.2.1", 1))
        assert guest is not None
        try:
            connection = await reception.receive(wire, guest, host="a", name="#")
            if connection is not None:
                async with connection:
                    await connection.wait_ended()
        finally:
            guest.leave()
            wire.abort()

    async def dial(host: str, port: int, *, tls: object, reached: object) -> Wire:
        dials.append(anyio.current_time())
        ours, theirs = wire_pair()
        group.start_soon(attend, theirs)
        return ours

    async with (
        anyio.create_task_group() as group,
        wsclient.connect("ws://a.test/", dial=dial) as ws,
    ):
        dials.clear()  # what counts are the next one's
        late = wsclient.Client(
            "ws://a.test/", dial=dial, first="background", wait=lambda state: 0.5
        )
        async with late:
            await anyio.sleep(5)
            assert late.state is wsclient.State.DOWN
            await ws.close()
            await late.wait_open()
    first, second = dials
    assert 15 <= second - first <= 16.5


# -- on sockets -------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def dial_from(server: Server, host: str, *, secure: bool = False) -> ByteStream:
    """A connection from one of the addresses of loopback."""
    to, port = server.addresses[0][:2]
    if not secure:
        return await anyio.connect_tcp(to, port, local_host=host)
    trusting = ssl._create_unverified_context()
    return await anyio.connect_tcp(
        to, port, local_host=host, tls=True, ssl_context=trusting
    )


async def crowd(server: Server, stack: AsyncExitStack, host: str, size: int) -> None:
    """So many from one address who say nothing."""
    for _ in range(size):
        await stack.enter_async_context(await dial_from(server, host))


async def a_while() -> None:
    """Many turns of the event loop: what is going to happen has happened."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


@pytest.mark.real
async def test_beyond_max_connections_who_comes_gets_503_until_somebody_leaves() -> (
    None
):
    async with serving(echo, max_connections=2) as server, AsyncExitStack() as stack:
        first = await stack.enter_async_context(wsclient.connect(url(server)))
        await stack.enter_async_context(wsclient.connect(url(server)))
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with wsclient.connect(url(server)):
                raise AssertionError("it has no place")
        assert caught.value.status == 503
        assert 5 <= int(dict(caught.value.headers)["retry-after"]) <= 15
        assert len(server.connections) == 2
        await first.close()
        while len(server.connections) == 2:
            await anyio.lowlevel.checkpoint()
        async with wsclient.connect(url(server)) as third:
            await third.send("in")
            assert await third.recv() == "in"


@pytest.mark.real
async def test_beyond_its_share_an_address_gets_429_and_others_come_in() -> None:
    async with (
        serving(echo, max_connections_per_address=1) as server,
        wsclient.connect(url(server)),
    ):
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with wsclient.connect(url(server)):
                raise AssertionError("it has no place")
        assert caught.value.status == 429
        async with await dial_from(server, "127.0.0.2") as stream:
            await stream.send(upgrade())
            assert b" 101 " in await until(stream, b"\r\n\r\n")


@pytest.mark.real
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_beyond_max_handshakes_nobody_is_accepted_until_one_has_ended(
    secure: bool, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits is answered then: nobody is lost."""
    said: list[str] = []

    def note(connection: wsclient.Connection, request: Request) -> HTTPResponse:
        said.append("asked")
        return HTTPResponse(200, "fine")

    async with (
        serving(
            echo, max_handshakes=3, process_request=note, tls=tls if secure else None
        ) as server,
        AsyncExitStack() as stack,
    ):
        silent = [await dial_from(server, f"127.0.0.{n}") for n in (2, 3, 4)]
        for stream in silent:
            await stack.enter_async_context(stream)
        while "max_handshakes is reached" not in caplog.text:
            await anyio.lowlevel.checkpoint()

        async def ask() -> None:
            async with await dial_from(server, "127.0.0.5", secure=secure) as stream:
                await stream.send(request("Host: a"))
                assert Answer.of(await until(stream, b"fine")).status == 200

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await a_while()
            said.append("left")
            await silent[0].aclose()
    assert said == ["left", "asked"]


@pytest.mark.real
async def test_a_crowd_from_one_address_that_says_nothing_keeps_nobody_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It gets half of the places; what it opens beyond is dropped at once."""
    async with (
        serving(echo, max_handshakes=20, open_timeout=None) as server,
        AsyncExitStack() as stack,
    ):
        await crowd(server, stack, "127.0.0.2", 10)
        for _ in range(50):
            async with await dial_from(server, "127.0.0.2") as dropped:
                assert await rest(dropped) == b""
        for n in range(3, 20):
            async with await dial_from(server, f"127.0.0.{n}") as stream:
                await stream.send(upgrade())
                assert b" 101 " in await until(stream, b"\r\n\r\n")
        assert len(caplog.messages) == 1
        assert "127.0.0.2:" in caplog.messages[0]
        assert "has its share of max_handshakes: it is dropped" in caplog.messages[0]


@pytest.mark.real
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_s57_who_drips_his_request_loses_his_place_at_open_timeout(
    secure: bool, tls: ssl.SSLContext
) -> None:
    """Slow-loris: all places taken by who sends a byte now and then."""
    context = tls if secure else None
    async with (
        serving(echo, max_handshakes=3, open_timeout=0.3, tls=context) as server,
        anyio.create_task_group() as group,
    ):
        dripping = [await dial_from(server, f"127.0.0.{n}") for n in (2, 3, 4)]
        hello = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + bytes(1000)
        endless = hello if secure else request("X: " + "a" * 1000)

        async def drip(stream: ByteStream) -> None:
            async with stream:
                for byte in endless:
                    await stream.send(bytes([byte]))
                    await anyio.sleep(0.01)

        async def drip_until_dropped(stream: ByteStream) -> None:
            with pytest.raises(anyio.BrokenResourceError):
                await drip(stream)

        for stream in dripping:
            group.start_soon(drip_until_dropped, stream)
        async with await dial_from(server, "127.0.0.5", secure=secure) as other:
            await other.send(upgrade())
            assert b" 101 " in await until(other, b"\r\n\r\n")


@pytest.mark.real
async def test_a_server_whose_places_are_all_taken_can_be_closed() -> None:
    async with serving(echo, max_handshakes=2, open_timeout=None) as server:
        silent = [await dial_from(server, f"127.0.0.{n}") for n in (2, 3, 4)]
        await a_while()
        server.close()
        await server.wait_closed()
        for stream in silent:
            assert await rest(stream) == b""
            await stream.aclose()


# -- the system's own bound -------------------------------------------------------

STARVED = """
import logging, os, resource, sys

import anyio

import wsclient


async def echo(ws):
    async for message in ws:
        await ws.send(message)


async def main():
    async with wsclient.serve(echo, "127.0.0.1", 0, open_timeout=None) as server:
        held = len(os.listdir("/proc/self/fd"))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (held + 4, hard))
        print(server.addresses[0][1], flush=True)
        await server.wait_closed()


logging.basicConfig(stream=sys.stdout, format="%(message)s")
anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.real
async def test_without_descriptors_the_server_waits_for_some_and_does_not_spin(
    anyio_backend_name: str,
) -> None:
    """It looks again after 50 ms, then twice as long; who waits is served then."""
    command = [sys.executable, "-c", STARVED, anyio_backend_name]
    with anyio.fail_after(60):
        async with await anyio.open_process(command, cwd=ROOT) as process:
            assert process.stdout is not None
            lines = BufferedByteReceiveStream(process.stdout)

            async def line() -> str:
                return (await lines.receive_until(b"\n", 1000)).decode()

            port = int(await line())
            silent = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(8)]
            told = [await line() for _ in range(4)]
            for stream in silent:
                await stream.aclose()
            async with wsclient.connect(f"ws://127.0.0.1:{port}/") as ws:
                await ws.send("still there?")
                assert await ws.recv() == "still there?"
            process.terminate()
    for text, pause in zip(told, ("0.05", "0.1", "0.2", "0.4"), strict=True):
        assert "Too many open files" in text
        assert text.endswith(f"again in {pause} s")
